package graph_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/graph"
)

// countedLog counts the open subscriptions to the event log.
type countedLog struct {
	event.Log

	open atomic.Int64
}

func (l *countedLog) Subscribe(ctx context.Context, s event.Subscription, handle func(context.Context, event.Batch) error) error {
	l.open.Add(1)
	defer l.open.Add(-1)
	return l.Log.Subscribe(ctx, s, handle)
}

// However many subscribers a field has, one subscription to the event log serves them,
// and each of them is counted.
func TestSubscribersOfAFieldShareItsFeed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	log := &countedLog{Log: p.options.Log}
	opts := p.options
	opts.Log = log
	p.serve(opts)
	webhooks := p.webhooks()
	fields := map[string]struct {
		query   string
		trigger func(n int)
	}{
		"messageUpdates": {`subscription { messageUpdates { cursor } }`, func(n int) { p.queue(fmt.Sprint("updates-", n)) }},
		"messageEvents":  {`subscription { messageEvents { cursor } }`, func(n int) { p.queue(fmt.Sprint("events-", n)) }},
		"alerts":         {`subscription { alerts { cursor } }`, func(n int) { p.raise(fmt.Sprint("rule-", n), "acme", alert.Critical) }},
		"metrics":        {`subscription { metrics { at } }`, func(int) {}},
		"inboundMessages": {`subscription { inboundMessages { cursor } }`, func(n int) {
			p.deliver(webhooks, inboundTo("1001", fmt.Sprint("wamid.", n), "14155550102", "hello"))
		}},
	}
	for _, f := range served(t).Subscription.Fields {
		c, ok := fields[f.Name]
		if !ok {
			t.Errorf("%s is not tested", f.Name)
			continue
		}
		const subscribers = 90 // more than the event store's client supports at a time
		conn := p.socket("admin")
		for i := range subscribers {
			p.write(conn, wsMessage{ID: fmt.Sprint(i), Type: "subscribe", Payload: map[string]any{"query": c.query}})
		}
		open := func() (int, error) { return p.api.OpenSubscriptions(), nil }
		polltest.Value(t, fmt.Sprintf("%s: %d subscriptions are counted", f.Name, subscribers), open, func(n int) bool { return n >= subscribers })
		got := make(chan string)
		go func() {
			defer close(got)
			for {
				var m wsMessage
				if wsjson.Read(p.ctx, conn, &m) != nil {
					return
				}
				if m.Type == "next" {
					got <- m.ID
				}
			}
		}()
		seen := map[string]bool{}
		for n := 0; len(seen) < subscribers; { // subscribers that begin late miss earlier changes
			select {
			case id, ok := <-got:
				if !ok {
					t.Fatalf("%s: %d of %d got something", f.Name, len(seen), subscribers)
				}
				seen[id] = true
			case <-time.After(200 * time.Millisecond):
				c.trigger(n)
				n++
			}
		}
		openInLog := func() (int64, error) { return log.open.Load(), nil }
		polltest.Value(t, f.Name+": the subscribers share one subscription to the log", openInLog, func(n int64) bool { return n <= 1 })
		conn.CloseNow()
		for range got {
			continue
		}
		polltest.Value(t, f.Name+": the subscriptions have ended with their socket", open, func(n int) bool { return n == 0 })
		polltest.Value(t, f.Name+": the subscription to the log has ended", openInLog, func(n int64) bool { return n == 0 })
	}
}

// An ID that is in use closes the socket, as the protocol requires. A completed ID can
// be reused immediately.
func TestSocketWithAnIDTwiceIsClosed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := p.socket("admin")
	subscribe := func(query string) {
		p.write(conn, wsMessage{ID: "a", Type: "subscribe", Payload: map[string]any{"query": query}})
	}
	const follow = `subscription { metrics(every: "PT1H") { at } }`
	for range 20 {
		subscribe(follow)
		if got := p.until(conn, "next"); got.ID != "a" {
			t.Fatalf("got %+v", got)
		}
		p.write(conn, wsMessage{ID: "a", Type: "complete"})
	}
	subscribe(`{ viewer { keyId } }`) // it ends, and no other operation
	for _, want := range []string{"next", "complete"} {
		var m wsMessage
		for m.Type == "" || m.Type == "ping" {
			m = wsMessage{}
			must(t, wsjson.Read(p.ctx, conn, &m))
		}
		if m.Type != want || m.ID != "a" {
			t.Fatalf("got %+v, want %s", m, want)
		}
	}
	subscribe(`{ nothing }`)
	p.until(conn, "error")
	subscribe(follow)
	p.until(conn, "next")
	subscribe(follow)
	for {
		_, _, err := conn.Read(p.ctx)
		if err == nil {
			continue
		}
		if code := websocket.CloseStatus(err); code != 4409 {
			t.Errorf("closed with %v, want 4409", err)
		}
		contains(t, err.Error(), "Subscriber for a already exists")
		break
	}
}

func TestOperationsOfASocketAreBounded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := p.socket(p.keys.add("reader", nil, graph.ScopeRead))
	for i := range graph.MaxSocketOperations + 1 {
		p.write(conn, wsMessage{ID: fmt.Sprint(i), Type: "subscribe", Payload: map[string]any{"query": `subscription { metrics(every: "PT1H") { at } }`}})
	}
	refused := p.until(conn, "error")
	contains(t, fmt.Sprint(refused.Payload), "UNAVAILABLE")
	if refused.ID != fmt.Sprint(graph.MaxSocketOperations) {
		t.Errorf("%q is refused", refused.ID)
	}
	p.write(conn, wsMessage{ID: "0", Type: "complete"})
	for { // there is room once it has ended
		p.write(conn, wsMessage{ID: "more", Type: "subscribe", Payload: map[string]any{"query": `{ viewer { keyId } }`}})
		var m wsMessage
		for m.ID != "more" {
			m = wsMessage{}
			must(t, wsjson.Read(p.ctx, conn, &m))
		}
		if m.Type == "next" {
			break
		}
	}
}
