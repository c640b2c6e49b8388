package main

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
	*rig
	t     *testing.T
	ctx   context.Context
	store *storeWire
	api   *apiWire
	log   *eventstore.Log
}

func newCrashRig(ctx context.Context, t *testing.T) *crashRig {
	t.Helper()
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
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
	c.rig = startTestRig(ctx, t, []string{
		"WAYPOST_SECRET_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "WAYPOST_EVENTSTORE_URL=" + c.store.url(), "WAYPOST_WHATSAPP_URL=" + c.api.server.URL + "/v25.0",
		"WAYPOST_CALL_TIMEOUT=5s", "WAYPOST_SETTLE_AFTER=1s", "WAYPOST_SETTLE_AFTER_OUTAGE=" + crashOutage.String(),
	}, map[string]any{"webhook_delay": "1s", "latency": "5ms"})
	c.api.mu.Lock()
	c.api.target = c.simURL
	c.api.mu.Unlock()
	return c
}

// types are the events of a message that stand in the log.
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
	for end := time.Now().Add(crashWait); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("waited %s in vain until %s; the platform's log ends: %s", crashWait, what, c.serve.tail())
		}
	}
}

// stands waits until a message has an event of the type.
func (c *crashRig) stands(id, kind string) {
	c.t.Helper()
	c.eventually(kind+" stands", func() bool { return slices.Contains(c.types(id), kind) })
}

// queue queues a message that is due after a while.
func (c *crashRig) queue(name string, n int, after time.Duration) string {
	c.t.Helper()
	input := benchMessage("shop", name, n)
	if after > 0 {
		input["sendAt"] = time.Now().Add(after).UTC().Format(time.RFC3339Nano)
	}
	ids, err := c.client.queueMessages(c.ctx, []map[string]any{input})
	if err != nil {
		c.t.Fatal(err)
	}
	return ids[0]
}

// serves waits until the platform sends: the lease of the one before is over.
func (c *crashRig) serves(n int) {
	c.t.Helper()
	id := c.queue(fmt.Sprintf("serves-%d", n), 1000+n, 0)
	c.stands(id, "Sent")
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
		c.t.Fatalf("no call came within %s; the platform's log ends: %s", crashWait, c.serve.tail())
	}
}

// The platform is killed between every two steps of an attempt. No message is
// called again of which a status told that WhatsApp has it, each ends as it should,
// and what the policy sent twice is counted.
func TestACrashBetweenAnyTwoStepsOfAnAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the platform, and waits for its lease each time")
	}
	t.Parallel() // it waits most of the time
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	c := newCrashRig(ctx, t)
	if err := c.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
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
		// history is what stands at the kill.
		history []string
	}{
		{
			name: "before SendAttempted", written: 1, taken: 1, history: []string{"Queued"},
			crash: func(string) {
				c.store.stopRequests()
				time.Sleep(2500 * time.Millisecond) // it becomes due meanwhile
			},
		},
		{
			name: "after SendAttempted", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(id string) {
				c.store.stopAnswersTo("SendAttempted")
				c.stands(id, "SendAttempted")
			},
		},
		{
			name: "after the request was written", written: 2, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				defer close(g.open)
				c.api.set(func() bool { g.pass(); return false }, yes)
				c.reach(g)
				c.serve.kill() // while the request waits
			},
		},
		{
			name: "after WhatsApp took it", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				defer close(g.open)
				c.api.set(yes, func() bool { g.pass(); return false })
				c.reach(g)
				c.serve.kill() // while the answer waits
			},
		},
		{
			name: "after the answer", written: 1, taken: 1, history: []string{"Queued", "SendAttempted"},
			crash: func(string) {
				g := newGate()
				c.api.set(yes, always(func() { c.store.stopRequests(); g.pass() }))
				c.reach(g)
				close(g.open)
				time.Sleep(300 * time.Millisecond) // the answer arrives, its record cannot
			},
		},
		{
			name: "after the outcome was appended", written: 1, taken: 1, history: []string{"Queued", "SendAttempted", "Sent"},
			crash: func(id string) {
				c.api.set(yes, always(c.store.stopAnswers))
				c.stands(id, "Sent")
			},
		},
		{
			name: "in settlement", written: 1, taken: 1, history: []string{"Queued", "SendAttempted", "OutcomeUnknown"},
			before: map[string]any{"webhook_delay": "2s"}, // the status comes to the one that follows
			crash: func(id string) {
				c.api.set(yes, no)
				c.stands(id, "OutcomeUnknown")
			},
		},
		{
			name: "in settlement, and the status comes too late", written: 2, taken: 2,
			history: []string{"Queued", "SendAttempted", "OutcomeUnknown"}, before: map[string]any{"webhook_delay": crashEcho.String()},
			crash: func(id string) {
				c.api.set(yes, no)
				c.stands(id, "OutcomeUnknown")
			},
		},
	}
	ids := make([]string, len(steps))
	for i, s := range steps {
		c.serves(i)
		if s.before == nil {
			s.before = map[string]any{"webhook_delay": "1s"}
		}
		if err := c.control(ctx, s.before); err != nil {
			t.Fatal(err)
		}
		ids[i] = c.queue(s.name, i, 1500*time.Millisecond)
		s.crash(ids[i])
		c.serve.kill()
		if got := c.types(ids[i]); !slices.Equal(got, s.history) {
			t.Errorf("%s: at the kill stood %v, want %v", s.name, got, s.history)
		}
		c.api.reset()
		c.store.heal()
		if err := c.control(ctx, map[string]any{"webhook_delay": "1s"}); err != nil {
			t.Fatal(err)
		}
		if err := c.startServe(ctx); err != nil {
			t.Fatal(err)
		}
	}

	taken, written := 0, 0
	for i, s := range steps {
		taken, written = taken+s.taken, written+s.written
		c.eventually(s.name+": it is read", func() bool {
			status, _, err := c.client.messageLifecycle(ctx, ids[i])
			return err == nil && status == "READ"
		})
		types := c.types(ids[i])
		if got := strings.Count(strings.Join(types, " "), "SendAttempted"); got < s.written {
			t.Errorf("%s: %d requests were written and %d SendAttempted stand: %v", s.name, s.written, got, types)
		}
	}
	// The late status tells that the last was sent twice.
	c.eventually("the ledger counts what was sent twice", func() bool {
		b, err := c.client.ledger(ctx)
		return err == nil && b.SentTwice == 1
	})
	extra := len(steps) // the messages by which it showed that it serves
	if got := c.api.requests(); got != written+extra {
		t.Errorf("%d requests were written, want %d", got, written+extra)
	}
	stats, err := c.stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if stats.DuplicatesAfterEcho != 0 || stats.Duplicates != 1 || int(stats.Accepted) != taken+extra {
		t.Errorf("WhatsApp took %d, %d of them again, %d after a status; want %d, 1, 0",
			stats.Accepted, stats.Duplicates, stats.DuplicatesAfterEcho, taken+extra)
	}
	c.eventually("the ledger balances", func() bool {
		b, err := c.client.ledger(ctx)
		return err == nil && b.Balanced && b.Read == b.Accepted && int(b.Accepted) == len(steps)+extra
	})
}
