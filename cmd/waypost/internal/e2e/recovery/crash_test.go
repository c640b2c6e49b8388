package recovery

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// crashTimeout bounds the test, crashWait one step of it, on a busy machine.
	crashTimeout = 8 * time.Minute
	crashWait    = 2 * time.Minute
	// crashOutage is how long a lost answer waits for its status after a restart:
	// longer than the 16 s that the simulator lets pass, after half a minute without
	// an answer, until it repeats a webhook.
	crashOutage = 20 * time.Second
	// crashEcho is when a status comes too late: after that, and a slow restart.
	crashEcho = time.Minute
)

// crashRig is a platform whose event store is in this process, with a wire to it
// and one to WhatsApp that can be cut, and a look past them into the log.
type crashRig struct {
	*harness.TestEnv
	t     *testing.T
	ctx   context.Context
	store *storeWire
	api   *apiWire
	log   *eventstore.Log
}

func newCrashRig(ctx context.Context, t *testing.T) *crashRig {
	t.Helper()
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Insecure: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(context.Background()) })
	codec, err := event.NewCodec() // the types of events are enough
	if err != nil {
		t.Fatal(err)
	}
	c := &crashRig{t: t, ctx: ctx, store: newStoreWire(t, server.Addr()), api: newAPIWire(t)}
	if c.log, err = eventstore.Open(ctx, eventstore.Options{URL: server.URL(), Codec: codec}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.log.Close(context.Background()) })
	c.TestEnv = e2etest.Start(ctx, t, []string{
		"WAYPOST_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "WAYPOST_EVENTSTORE_URL=" + c.store.url(), "WAYPOST_WHATSAPP_URL=" + c.api.server.URL + "/v25.0",
		"WAYPOST_CALL_TIMEOUT=5s", "WAYPOST_SETTLE_AFTER=1s", "WAYPOST_SETTLE_AFTER_OUTAGE=" + crashOutage.String(),
	}, map[string]any{"webhook_delay": "1s", "latency": "5ms"})
	c.api.mu.Lock()
	c.api.target = c.SimURL
	c.api.mu.Unlock()
	return c
}

// types returns the types of a message's events in the log.
func (c *crashRig) types(id string) []string {
	c.t.Helper()
	events, err := c.log.Read(c.ctx, event.MessageStream(uuid.MustParse(id)), 0, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	types := make([]string, len(events))
	for i, e := range events {
		types[i] = e.Type
	}
	return types
}

func (c *crashRig) eventually(what string, ok func() bool) {
	c.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(crashWait); !ok(); <-tick.C {
		if time.Now().After(end) {
			c.t.Fatalf("waited %s in vain until %s; Waypost's log ends: %s", crashWait, what, c.Serve.Tail())
		}
	}
}

// awaitEvent waits until a message has an event of the type.
func (c *crashRig) awaitEvent(id, kind string) {
	c.t.Helper()
	c.eventually(kind+" is recorded", func() bool { return slices.Contains(c.types(id), kind) })
}

// queue queues a message that is due after a while.
func (c *crashRig) queue(name string, n int, after time.Duration) string {
	c.t.Helper()
	input := harness.Message("shop", name, n)
	if after > 0 {
		input["sendAt"] = time.Now().Add(after).UTC().Format(time.RFC3339Nano)
	}
	ids, err := c.Client.QueueMessages(c.ctx, []map[string]any{input})
	if err != nil {
		c.t.Fatal(err)
	}
	return ids[0]
}

// serves waits until the platform sends: the lease of the one before is over.
func (c *crashRig) serves(n int) {
	c.t.Helper()
	id := c.queue(fmt.Sprintf("serves-%d", n), 1000+n, 0)
	c.awaitEvent(id, "Sent")
}

// gate stops whoever passes it until it is opened.
type gate struct{ reached, open chan struct{} }

func newGate() *gate { return &gate{reached: make(chan struct{}, 16), open: make(chan struct{})} }

func (g *gate) pass() {
	g.reached <- struct{}{}
	<-g.open
}

func (c *crashRig) reach(g *gate) {
	c.t.Helper()
	select {
	case <-g.reached:
	case <-time.After(crashWait):
		c.t.Fatalf("no call came within %s; the platform's log ends: %s", crashWait, c.Serve.Tail())
	}
}

// The platform is killed between every two steps of an attempt. No message is
// called again after a status showed that WhatsApp has it, each ends as it should,
// and what the policy sent twice is counted.
func TestACrashBetweenAnyTwoStepsOfAnAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the platform, and waits for its lease each time")
	}
	t.Parallel() // it waits most of the time
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	c := newCrashRig(ctx, t)
	if err := c.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	yes := func() bool { return true }
	no := func() bool { return false }
	always := func(do func()) func() bool { return func() bool { do(); return true } }

	steps := []struct {
		name string
		// written and taken are how many requests of the message are written and how
		// many of them WhatsApp takes, in all.
		written, taken int
		// crash brings the message to the step; the kill follows.
		crash func(id string)
		// before is done before the message is queued.
		before map[string]any
		// history has the events that are recorded at the kill.
		history []string
	}{
		{
			name: "before SendAttempted", written: 1, taken: 1, history: []string{"Queued"},
			crash: func(string) {
				c.store.stopRequests()
				c.eventually("SendAttempted is on its way", func() bool { return c.store.swallowed("SendAttempted") })
			},
		},
		{
			name: "after SendAttempted", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(id string) {
				c.store.stopAnswersTo("SendAttempted")
				c.awaitEvent(id, "SendAttempted")
			},
		},
		{
			name: "after the request was written", written: 2, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				defer close(g.open)
				c.api.set(func() bool { g.pass(); return false }, yes)
				c.reach(g)
				c.Serve.Kill() // while the request waits
			},
		},
		{
			name: "after WhatsApp took it", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				defer close(g.open)
				c.api.set(yes, func() bool { g.pass(); return false })
				c.reach(g)
				c.Serve.Kill() // while the answer waits
			},
		},
		{
			name: "after the answer", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				c.api.set(yes, always(func() { c.store.stopRequests(); g.pass() }))
				c.reach(g)
				close(g.open)
				c.eventually("Sent is on its way", func() bool { return c.store.swallowed("Sent") })
			},
		},
		{
			name: "after the outcome was appended", written: 1, taken: 1, history: []string{"Queued", "SendAttempted", "Sent"},
			crash: func(id string) {
				c.api.set(yes, always(c.store.stopResponses))
				c.awaitEvent(id, "Sent")
			},
		},
		{
			name: "in settlement", written: 1, taken: 1, history: []string{"Queued", "SendAttempted", "OutcomeUnknown"},
			before: map[string]any{"webhook_delay": "2s"}, // the status comes to the one that follows
			crash: func(id string) {
				c.api.set(yes, no)
				c.awaitEvent(id, "OutcomeUnknown")
			},
		},
		{
			name: "in settlement, and the status comes too late", written: 2, taken: 2,
			history: []string{"Queued", "SendAttempted", "OutcomeUnknown"}, before: map[string]any{"webhook_delay": crashEcho.String()},
			crash: func(id string) {
				c.api.set(yes, no)
				c.awaitEvent(id, "OutcomeUnknown")
			},
		},
	}
	ids := make([]string, len(steps))
	for i, s := range steps {
		c.serves(i)
		if s.before == nil {
			s.before = map[string]any{"webhook_delay": "1s"}
		}
		if err := c.Control(ctx, s.before); err != nil {
			t.Fatal(err)
		}
		ids[i] = c.queue(s.name, i, 1500*time.Millisecond)
		s.crash(ids[i])
		c.Serve.Kill()
		if got := c.types(ids[i]); !slices.Equal(got, s.history) {
			t.Errorf("%s: the events at the kill are %v, want %v", s.name, got, s.history)
		}
		c.api.reset()
		c.store.heal()
		if err := c.Control(ctx, map[string]any{"webhook_delay": "1s"}); err != nil {
			t.Fatal(err)
		}
		if err := c.StartServe(ctx); err != nil {
			t.Fatal(err)
		}
	}

	taken, written := 0, 0
	for i, s := range steps {
		taken, written = taken+s.taken, written+s.written
		c.eventually(s.name+": it is read", func() bool {
			status, _, err := c.Client.MessageLifecycle(ctx, ids[i])
			return err == nil && status == "READ"
		})
		types := c.types(ids[i])
		if got := strings.Count(strings.Join(types, " "), "SendAttempted"); got < s.written {
			t.Errorf("%s: %d requests were written and %d SendAttempted are recorded: %v", s.name, s.written, got, types)
		}
	}
	// The late status tells that the last was sent twice.
	c.eventually("the ledger counts what was sent twice", func() bool {
		b, err := c.Client.Ledger(ctx)
		return err == nil && b.SentTwice == 1
	})
	extra := len(steps) // the messages by which it showed that it serves
	if got := c.api.requests(); got != written+extra {
		t.Errorf("%d requests were written, want %d", got, written+extra)
	}
	stats, err := c.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stats.DuplicatesAfterEcho != 0 || stats.Duplicates != 1 || int(stats.Accepted) != taken+extra {
		t.Errorf("WhatsApp took %d, %d of them again, %d after a status; want %d, 1, 0",
			stats.Accepted, stats.Duplicates, stats.DuplicatesAfterEcho, taken+extra)
	}
	c.eventually("the ledger balances", func() bool {
		b, err := c.Client.Ledger(ctx)
		return err == nil && b.Balanced && b.Read == b.Accepted && int(b.Accepted) == len(steps)+extra
	})
}
