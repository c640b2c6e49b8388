package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// feedPatience limits every wait of these tests.
const feedPatience = time.Minute

type fed struct {
	N int `json:"n"`
}

func (fed) EventType() string { return "Fed" }

type other struct {
	N int `json:"n"`
}

func (other) EventType() string { return "Other" }

// way is how a Log reaches a store's server.
type way func(s *eventstored.Server, o *Options)

func byURL(s *eventstored.Server, o *Options)     { o.URL = s.URL() }
func inProcess(s *eventstored.Server, o *Options) { o.Store = s.Store() }

// onBoth runs a test with a client, and with the store in this process.
func onBoth(t *testing.T, test func(t *testing.T, reach way)) {
	t.Helper()
	t.Run("client", func(t *testing.T) { test(t, byURL) })
	t.Run("in process", func(t *testing.T) { test(t, inProcess) })
}

// openFed returns a Log on its own store, whose feed keeps at most maxEvents.
func openFed(t *testing.T, reach way, maxEvents int, change ...func(*eventstored.Options)) (context.Context, *Log) {
	t.Helper()
	options := eventstored.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&options)
	}
	ctx, cancel := context.WithTimeout(context.Background(), feedPatience)
	t.Cleanup(cancel)
	server, err := eventstored.Open(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := event.NewCodec([]domain.Type{domain.TypeOf[fed](), domain.TypeOf[other]()})
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Codec: codec}
	reach(server, &opts)
	log, err := Open(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	log.feed.maxEvents = maxEvents
	t.Cleanup(func() {
		if err := errors.Join(log.Close(context.WithoutCancel(ctx)), server.Close(context.WithoutCancel(ctx))); err != nil {
			t.Error(err)
		}
	})
	return ctx, log
}

func appendFed(ctx context.Context, t *testing.T, log *Log, events ...domain.Event) {
	t.Helper()
	for _, e := range events {
		_, err := log.Append(ctx, "s-"+e.EventType(), event.Any(),
			event.Proposed{ID: uuid.Must(uuid.NewV7()), Event: e, Meta: event.Meta{By: domain.Platform("test")}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// reader is a subscription in the background and the numbers of the events that it received.
type reader struct {
	mu   sync.Mutex
	seen []int
	at   event.Position // of the last batch
	live bool
	news chan struct{} // of capacity 1
	gate chan struct{} // if not nil, each batch of events waits for it
}

func subscribeFed(ctx context.Context, t *testing.T, log *Log, sub event.Subscription, gate chan struct{}) *reader {
	t.Helper()
	r := &reader{news: make(chan struct{}, 1), gate: gate}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- log.Subscribe(ctx, sub, func(ctx context.Context, b event.Batch) error {
			if r.gate != nil && len(b.Events) > 0 {
				select {
				case <-r.gate:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.at, r.live = b.Position, r.live || b.Live
			for _, e := range b.Events {
				switch e := e.Event.(type) {
				case fed:
					r.seen = append(r.seen, e.N)
				case other:
					r.seen = append(r.seen, e.N)
				}
			}
			select {
			case r.news <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the subscription ended: %v", err)
		}
	})
	return r
}

// await waits until the subscription is live and has received the events with exactly these numbers, in this order.
func (r *reader) await(ctx context.Context, t *testing.T, want ...int) {
	t.Helper()
	for {
		r.mu.Lock()
		live, seen := r.live, fmt.Sprint(r.seen)
		enough := len(r.seen) >= len(want)
		r.mu.Unlock()
		if live && enough {
			if seen != fmt.Sprint(want) {
				t.Fatalf("received %s, want %v", seen, want)
			}
			return
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			t.Fatalf("received %s, live %t; want %v", seen, live, want)
		}
	}
}

// awaitPosition waits until the subscription has received a batch up to a position.
func (r *reader) awaitPosition(ctx context.Context, t *testing.T, want event.Position) {
	t.Helper()
	for {
		r.mu.Lock()
		at := r.at
		r.mu.Unlock()
		if at >= want {
			return
		}
		select {
		case <-r.news:
		case <-ctx.Done():
			t.Fatalf("received batches up to %d, want %d", at, want)
		}
	}
}

// subscriptionsOf returns the number of subscriptions that the Log has in the store.
func subscriptionsOf(log *Log) int {
	if b, ok := log.backend.backend.(*embedded); ok {
		return len(b.subscriptions.slots)
	}
	return len(log.backend.backend.(*client).subscriptions.turns.slots)
}

// awaitSubscriptions waits until the Log has want subscriptions in the store.
func awaitSubscriptions(ctx context.Context, t *testing.T, log *Log, want int) {
	t.Helper()
	for subscriptionsOf(log) != want {
		if !pause(ctx, 1) {
			t.Fatalf("%d subscriptions in the store, want %d", subscriptionsOf(log), want)
		}
	}
}

// awaitFeed waits until a condition of the Log's feed is true.
func awaitFeed(ctx context.Context, t *testing.T, log *Log, what string, is func(*feed) bool) {
	t.Helper()
	for {
		log.feed.mu.Lock()
		ok := is(log.feed)
		log.feed.mu.Unlock()
		if ok {
			return
		}
		if !pause(ctx, 1) {
			t.Fatalf("the feed never %s", what)
		}
	}
}

// However many subscriptions have caught up, the store has one.
func TestSubscriptionsThatCaughtUpShareOne(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		ctx, log := openFed(t, reach, feedEvents)
		appendFed(ctx, t, log, fed{1}, other{2}, fed{3})
		start, err := log.End(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var all, typed, prefixed, fromEnd, after []*reader
		for range 10 {
			all = append(all, subscribeFed(ctx, t, log, event.Subscription{}, nil))
			typed = append(typed, subscribeFed(ctx, t, log, event.Subscription{Filter: event.Filter{Types: []string{"Fed"}}}, nil))
			prefixed = append(prefixed, subscribeFed(ctx, t, log, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{"s-Oth"}}}, nil))
			fromEnd = append(fromEnd, subscribeFed(ctx, t, log, event.Subscription{FromEnd: true}, nil))
			after = append(after, subscribeFed(ctx, t, log, event.Subscription{After: start}, nil))
		}
		check := func(readers []*reader, want ...int) {
			t.Helper()
			for _, r := range readers {
				r.await(ctx, t, want...)
			}
		}
		check(all, 1, 2, 3)
		check(typed, 1, 3)
		check(prefixed, 2)
		check(fromEnd)
		check(after)
		awaitSubscriptions(ctx, t, log, 1)
		appendFed(ctx, t, log, fed{4}, other{5})
		check(all, 1, 2, 3, 4, 5)
		check(typed, 1, 3, 4)
		check(prefixed, 2, 5)
		check(fromEnd, 4, 5)
		check(after, 4, 5)
		if n := subscriptionsOf(log); n != 1 {
			t.Errorf("%d subscriptions in the store, want the feed's", n)
		}
	})
}

// A subscription that wants none of the events reaches the end of the log, even if the last event comes so soon after
// another that it does not wake the subscription directly.
func TestQuietSubscriptionReachesTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		ctx, log := openFed(t, reach, feedEvents)
		quiet := subscribeFed(ctx, t, log, event.Subscription{Filter: event.Filter{Types: []string{"Fed"}}}, nil)
		quiet.await(ctx, t)
		awaitSubscriptions(ctx, t, log, 1)
		appendFed(ctx, t, log, other{1}, other{2})
		end, err := log.End(ctx)
		if err != nil {
			t.Fatal(err)
		}
		quiet.awaitPosition(ctx, t, end)
	})
}

// A follower that matches none of the received events is notified of the log's position within quietWake, and is not
// woken after that.
func TestFollowerLearnsThePositionOfAQuietLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(nil)
		close(f.ready)
		follower := f.join(f.era, 0, wantsOf(event.Filter{Types: []string{"Fed"}}))
		received := func(position event.Position) {
			f.keep(&record{stream: "s", eventType: "Other", position: position}, time.Now())
		}
		learns := func(want event.Position, within time.Duration) {
			t.Helper()
			begun := time.Now()
			<-follower.wake
			items, position, err := f.take(follower, nil, 1)
			if err != nil || len(items) > 0 || position != want {
				t.Fatalf("takes %d events up to %d, %v; want none up to %d", len(items), position, err, want)
			}
			if waited := time.Since(begun); waited > within {
				t.Errorf("learns about position %d after %s, want %s", want, waited, within)
			}
		}
		received(1)
		learns(1, 0)
		received(2)
		received(3)
		learns(3, quietWake)
		f.pass(4)
		learns(4, quietWake)
		f.pass(4)
		select {
		case <-follower.wake:
			t.Error("woken although the log has not moved on")
		case <-time.After(time.Minute):
		}
	})
}

// The lag of a consumer is known without a request to the store.
func TestOldestAfter(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		ctx, log := openFed(t, reach, 4)
		if _, _, known := log.OldestAfter(0, nil); known {
			t.Error("without a subscription nothing is known")
		}
		r := subscribeFed(ctx, t, log, event.Subscription{}, nil)
		r.await(ctx, t)
		awaitSubscriptions(ctx, t, log, 1)
		recorded := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		var positions []event.Position
		for n, e := range []domain.Event{fed{0}, other{1}, fed{2}, fed{3}, fed{4}} {
			done, err := log.Append(ctx, "s", event.Any(), event.Proposed{
				ID: uuid.Must(uuid.NewV7()), Event: e, Meta: event.Meta{By: domain.Platform("test"), RecordedAt: recorded.Add(time.Duration(n) * time.Second)},
			})
			if err != nil {
				t.Fatal(err)
			}
			positions = append(positions, done.Position)
		}
		r.await(ctx, t, 0, 1, 2, 3, 4)
		for name, c := range map[string]struct {
			after        event.Position
			types        []string
			want         int // the event's number
			found, known bool
		}{
			"the next event":             {positions[0], nil, 1, true, true},
			"the next of a type":         {positions[0], []string{"Fed"}, 2, true, true},
			"none of a type":             {positions[1], []string{"Other"}, 0, false, true},
			"none at the end":            {positions[4], nil, 0, false, true},
			"none beyond the end":        {positions[4] + 1000, nil, 0, false, true},
			"more than the feed keeps":   {0, nil, 0, false, false},
			"a type after what it keeps": {positions[2], []string{"Fed"}, 3, true, true},
		} {
			at, found, known := log.OldestAfter(c.after, c.types)
			want := time.Time{}
			if c.found {
				want = recorded.Add(time.Duration(c.want) * time.Second)
			}
			if !at.Equal(want) || found != c.found || known != c.known {
				t.Errorf("%s: %s, %t, %t; want %s, %t, %t", name, at, found, known, want, c.found, c.known)
			}
		}
	})
}

// A subscription that begins while events are appended delivers each one once: events that it receives before the feed
// does are not delivered again.
func TestJoiningTheFeedRepeatsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		ctx, log := openFed(t, reach, feedEvents)
		errLive := errors.New("live")
		var from event.Position
		for n := range 500 {
			appendFed(ctx, t, log, fed{n})
			end, err := log.End(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var seen []event.Position
			err = log.Subscribe(ctx, event.Subscription{After: from, Filter: event.Filter{StreamPrefixes: []string{"s-"}}},
				func(_ context.Context, b event.Batch) error {
					for _, e := range b.Events {
						seen = append(seen, e.Position)
					}
					from = b.Position
					if b.Live {
						return errLive
					}
					return nil
				})
			if !errors.Is(err, errLive) || len(seen) != 1 || seen[0] != end || from != end {
				t.Fatalf("append %d: received %v up to %d, %v; want %d once", n, seen, from, err, end)
			}
		}
	})
}

// A handler that is slower than the log does not delay the others, and still receives every event once and in order.
func TestSlowHandlerFallsBehindAndMissesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		ctx, log := openFed(t, reach, 16)
		gate := make(chan struct{})
		slow := subscribeFed(ctx, t, log, event.Subscription{MaxBatch: 4}, gate)
		quick := subscribeFed(ctx, t, log, event.Subscription{}, nil)
		slow.await(ctx, t)
		quick.await(ctx, t)
		awaitSubscriptions(ctx, t, log, 1)
		var events []domain.Event
		var want []int
		for n := range 200 { // more than the feed and all channels between can hold
			events, want = append(events, fed{n}), append(want, n)
		}
		appendFed(ctx, t, log, events...)
		quick.await(ctx, t, want...)
		close(gate)
		slow.await(ctx, t, want...)
		awaitSubscriptions(ctx, t, log, 1) // it has joined the feed again
	})
}

// A subscription that needs longer to catch up than the feed keeps events joins the feed, even if its filter matches none
// of the newer events.
func TestLateSubscriptionThatMatchesNothingNewJoinsTheFeed(t *testing.T) {
	onBoth(t, func(t *testing.T, reach way) {
		const maxEvents = 16
		ctx, log := openFed(t, reach, maxEvents)
		var want []int
		var wanted, unwanted []domain.Event
		for n := range 2 * decodeBatch { // more than all channels to the handler can hold
			wanted, want = append(wanted, fed{n}), append(want, n)
		}
		for n := range 2 * maxEvents {
			unwanted = append(unwanted, other{n})
		}
		appendFed(ctx, t, log, wanted...)
		end, _ := log.feed.await(ctx)

		gate := make(chan struct{})
		late := subscribeFed(ctx, t, log, event.Subscription{Filter: event.Filter{Types: []string{"Fed"}}, MaxBatch: 1}, gate)
		gate <- struct{}{} // it is catching up, and waits for its handler
		appendFed(ctx, t, log, unwanted...)
		awaitFeed(ctx, t, log, "drops the end of the log at the start", func(f *feed) bool { return f.floor > end })
		close(gate)

		late.await(ctx, t, want...)
		awaitFeed(ctx, t, log, "has the subscription as a follower", func(f *feed) bool { return len(f.followers) == 1 })
		awaitSubscriptions(ctx, t, log, 1)
		appendFed(ctx, t, log, fed{len(want)})
		late.await(ctx, t, append(want, len(want))...)
	})
}

// If the store drops subscriptions as soon as a few events wait for them, as EventStoreDB does, every subscription
// still delivers each event once and in order.
func TestDroppedSubscriptionsMissNothing(t *testing.T) {
	var dropped atomic.Int64
	ctx, log := openFed(t, byURL, 64, func(o *eventstored.Options) { o.LiveBuffer = 2 })
	log.logger = slog.New(countDrops{&dropped})
	all := subscribeFed(ctx, t, log, event.Subscription{}, nil)
	typed := subscribeFed(ctx, t, log, event.Subscription{Filter: event.Filter{Types: []string{"Fed"}}, MaxBatch: 3}, nil)
	fromEnd := subscribeFed(ctx, t, log, event.Subscription{FromEnd: true}, nil)
	for _, r := range []*reader{all, typed, fromEnd} {
		r.await(ctx, t)
	}
	var wantAll, wantTyped []int
	for n := range 300 {
		var e domain.Event = fed{n}
		if n%3 == 0 {
			e = other{n}
		} else {
			wantTyped = append(wantTyped, n)
		}
		wantAll = append(wantAll, n)
		burst := event.Proposed{ID: uuid.Must(uuid.NewV7()), Event: e, Meta: event.Meta{By: domain.Platform("test")}}
		if n%20 != 0 {
			if _, err := log.Append(ctx, "s", event.Any(), burst); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// Events that are appended in one call wait at the same time.
		events := []event.Proposed{burst}
		for more := range 4 {
			wantAll, wantTyped = append(wantAll, 1000*n+more), append(wantTyped, 1000*n+more)
			events = append(events, event.Proposed{ID: uuid.Must(uuid.NewV7()), Event: fed{1000*n + more}, Meta: event.Meta{By: domain.Platform("test")}})
		}
		if _, err := log.Append(ctx, "s", event.Any(), events...); err != nil {
			t.Fatal(err)
		}
	}
	all.await(ctx, t, wantAll...)
	fromEnd.await(ctx, t, wantAll...)
	typed.await(ctx, t, wantTyped...)
	if dropped.Load() == 0 {
		t.Error("the store dropped no subscription, so this proves nothing")
	}
}

// countDrops is a log handler that counts subscriptions dropped for being too slow.
type countDrops struct{ count *atomic.Int64 }

func (countDrops) Enabled(context.Context, slog.Level) bool { return true }
func (c countDrops) WithAttrs([]slog.Attr) slog.Handler     { return c }
func (c countDrops) WithGroup(string) slog.Handler          { return c }

func (c countDrops) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.Contains(a.Value.String(), "Consumer too slow") {
			c.count.Add(1)
		}
		return true
	})
	return nil
}
