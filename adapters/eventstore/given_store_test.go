package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

// The tests in this file check what Waypost needs of an event store. They run on the
// store that EVENTSTORE_URL names, whatever else it contains, or else on the embedded
// store, both through its server and in this process. Each test uses its own streams and
// types.

// given is the store under test.
type given struct {
	open   func(t testing.TB) *eventstore.Log
	prefix string // for streams
}

// onGivenStores runs a test on each store under test.
func onGivenStores(t *testing.T, test func(t *testing.T, s given)) {
	t.Helper()
	if os.Getenv("EVENTSTORE_URL") != "" {
		test(t, givenURL(t))
		return
	}
	onBoth(t, func(t *testing.T, open opener) {
		st := startStore(t)
		test(t, given{prefix: newPrefix(), open: func(t testing.TB) *eventstore.Log {
			t.Helper()
			return open(t, st)
		}})
	})
}

// givenURL returns the store that EVENTSTORE_URL names, or else an embedded one that is
// reached by a URL.
func givenURL(t *testing.T) given {
	t.Helper()
	url := os.Getenv("EVENTSTORE_URL")
	if url == "" {
		url = startStore(t).url()
	}
	return given{prefix: newPrefix(), open: func(t testing.TB) *eventstore.Log {
		t.Helper()
		return openLog(t, url)
	}}
}

func newPrefix() string { return "test-" + uuid.NewString() + "-" }

func ids(events []event.Recorded) []uuid.UUID {
	found := make([]uuid.UUID, 0, len(events))
	for _, e := range events {
		found = append(found, e.ID)
	}
	return found
}

func idsOf(events []event.Proposed) []uuid.UUID {
	found := make([]uuid.UUID, 0, len(events))
	for _, e := range events {
		found = append(found, e.ID)
	}
	return found
}

func TestGivenStoreKeepsWhatIsAppended(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		stream := prefix + "a"
		events := []event.Proposed{count(1), count(2), fresh(noted{Text: "drei ☂"}), count(4), count(5)}
		first, err := log.Append(ctx, stream, event.NoStream(), events[:3]...)
		if err != nil || first.Revision != 2 {
			t.Fatalf("%+v, %v", first, err)
		}
		second, err := log.Append(ctx, stream, event.ExactRevision(2), events[3:]...)
		if err != nil || second.Revision != 4 || second.Position <= first.Position {
			t.Fatalf("%+v after %+v, %v", second, first, err)
		}
		all, err := log.Read(ctx, stream, 0, 100)
		if err != nil || !slices.Equal(ids(all), idsOf(events)) {
			t.Fatalf("%v, %v; want %v", ids(all), err, idsOf(events))
		}
		for i, e := range all {
			if e.Stream != stream || e.Revision != event.Revision(i) || e.Event != events[i].Event || !e.Meta.RecordedAt.Equal(events[i].Meta.RecordedAt) {
				t.Errorf("event %d reads as %+v", i, e)
			}
		}
		if all[2].Position != first.Position || all[4].Position != second.Position {
			t.Errorf("positions %d and %d, reported %d and %d", all[2].Position, all[4].Position, first.Position, second.Position)
		}
		if end, err := log.End(ctx); err != nil || end < second.Position {
			t.Errorf("the log ends at %d, %v; an event is at %d", end, err, second.Position)
		}
	})
}

func TestGivenStoreBounds(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		events := []event.Proposed{count(0), count(1), count(2), count(3)}
		if _, err := log.Append(ctx, prefix+"a", event.NoStream(), events...); err != nil {
			t.Fatal(err)
		}
		want := idsOf(events)
		backwards := slices.Clone(want)
		slices.Reverse(backwards)
		for _, tt := range []struct {
			stream string
			from   event.Revision
			limit  int
			want   []uuid.UUID
		}{
			{"a", 0, 4, want},
			{"a", 0, 5, want},
			{"a", 0, 1, want[:1]},
			{"a", 2, 10, want[2:]},
			{"a", 3, 1, want[3:]},
			{"a", 4, 10, nil},
			{"a", 1 << 40, 10, nil},
			{"a", 0, 0, nil},
			{"missing", 0, 10, nil},
		} {
			got, err := log.Read(ctx, prefix+tt.stream, tt.from, tt.limit)
			if err != nil || !slices.Equal(ids(got), tt.want) {
				t.Errorf("%s from %d, at most %d: %v, %v", tt.stream, tt.from, tt.limit, ids(got), err)
			}
		}
		for _, tt := range []struct {
			stream string
			limit  int
			want   []uuid.UUID
		}{{"a", 10, backwards}, {"a", 1, backwards[:1]}, {"missing", 1, nil}} {
			got, err := log.ReadBackwards(ctx, prefix+tt.stream, tt.limit)
			if err != nil || !slices.Equal(ids(got), tt.want) {
				t.Errorf("%s backwards, at most %d: %v, %v", tt.stream, tt.limit, ids(got), err)
			}
		}
	})
}

func TestGivenStoreExpectations(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		one := []event.Proposed{count(1), count(2)}
		two := []event.Proposed{count(3)}
		write := func(expected event.Expected, events ...event.Proposed) (event.Appended, error) {
			return log.Append(ctx, prefix+"a", expected, events...)
		}
		first, err := write(event.NoStream(), one...)
		if err != nil {
			t.Fatal(err)
		}
		second, err := write(event.ExactRevision(1), two...)
		if err != nil {
			t.Fatal(err)
		}
		const refused = -1
		for name, tt := range map[string]struct {
			expected event.Expected
			events   []event.Proposed
			revision int // rejected if negative
		}{
			"first again":                         {event.NoStream(), one, int(first.Revision)},
			"first again, anywhere":               {event.Any(), one, int(first.Revision)},
			"second again":                        {event.ExactRevision(1), two, int(second.Revision)},
			"second again, anywhere":              {event.Any(), two, int(second.Revision)},
			"a part of the first":                 {event.NoStream(), one[:1], 0},
			"the first and the second as one":     {event.NoStream(), []event.Proposed{one[0], one[1], two[0]}, int(second.Revision)},
			"another first":                       {event.NoStream(), []event.Proposed{count(9)}, refused},
			"another second":                      {event.ExactRevision(1), []event.Proposed{count(9)}, refused},
			"beyond the end":                      {event.ExactRevision(7), []event.Proposed{count(9)}, refused},
			"the first and more":                  {event.NoStream(), []event.Proposed{one[0], count(9)}, refused},
			"the first in another place":          {event.ExactRevision(1), one, refused},
			"the first in another order":          {event.NoStream(), []event.Proposed{one[1], one[0]}, refused},
			"the first and more, wherever it was": {event.Any(), []event.Proposed{one[0], count(9)}, refused},
		} {
			got, err := write(tt.expected, tt.events...)
			var wrong *event.WrongRevisionError
			switch {
			case tt.revision == refused:
				if !errors.As(err, &wrong) {
					t.Errorf("%s: %+v, %v; want a refusal", name, got, err)
				}
			case err != nil || got.Revision != event.Revision(tt.revision):
				t.Errorf("%s: %+v, %v; want revision %d", name, got, err, tt.revision)
			}
		}
		if all, err := log.Read(ctx, prefix+"a", 0, 100); err != nil || len(all) != 3 {
			t.Errorf("%d events, %v; want 3", len(all), err)
		}
		if _, err := write(event.Any(), fresh(noted{Text: string(make([]byte, 2<<20))})); !errors.Is(err, event.ErrTooLarge) {
			t.Errorf("an append of 2 MiB: %v", err)
		}
	})
}

func TestGivenStoreHasOneWinner(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		for round := range 5 {
			var won atomic.Int64
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					_, err := log.Append(ctx, fmt.Sprintf("%s%d", prefix, round), event.NoStream(), count(round))
					var wrong *event.WrongRevisionError
					switch {
					case err == nil:
						won.Add(1)
					case !errors.As(err, &wrong):
						t.Error(err)
					}
				})
			}
			if all.Wait(); won.Load() != 1 {
				t.Errorf("%d writers of 16 opened the stream", won.Load())
			}
		}
	})
}

// Under load, a subscription that began in the past receives every event once and in
// order, and one that resumes from any of its batches receives the rest.
func TestGivenStoreCatchesUpToLive(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		const writers, each = 8, 60
		total := 0
		var expected sync.Map // ID -> position
		write := func(w, from, to int) {
			for n := from; n < to; n++ {
				e := count(n)
				done, err := log.Append(ctx, fmt.Sprintf("%s%d", prefix, w), event.Any(), e)
				if err != nil {
					t.Error(err)
					return
				}
				expected.Store(e.ID, done.Position)
			}
		}
		for w := range writers {
			write(w, 0, each/4)
		}
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() { write(w, each/4, each) })
		}
		total = writers * each
		filter := event.Filter{StreamPrefixes: []string{prefix}}
		var batches []event.Batch
		seen, err := collect(ctx, log, event.Subscription{Filter: filter, MaxBatch: 50}, func(seen []event.Recorded, b event.Batch) bool {
			batches = append(batches, b)
			return len(seen) >= total
		})
		writing.Wait()
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, seen, total)
		for _, e := range seen {
			if position, ok := expected.Load(e.ID); !ok || position != e.Position {
				t.Fatalf("%s/%d is at %d, its append reported %v", e.Stream, e.Revision, e.Position, position)
			}
		}
		for _, b := range []event.Batch{batches[0], batches[len(batches)/2]} {
			rest := slices.IndexFunc(seen, func(e event.Recorded) bool { return e.Position > b.Position })
			if rest < 0 {
				continue
			}
			again, err := collect(ctx, log, event.Subscription{After: b.Position, Filter: filter}, func(again []event.Recorded, _ event.Batch) bool {
				return len(again) >= total-rest
			})
			if err != nil || !slices.Equal(ids(again), ids(seen[rest:])) {
				t.Errorf("after %d: %d events, %v; want %d", b.Position, len(again), err, total-rest)
			}
		}
	})
}

func TestGivenStoreFilters(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		start, err := log.End(ctx)
		if err != nil {
			t.Fatal(err)
		}
		note := fresh(noted{Text: prefix})
		if _, err := log.Append(ctx, prefix+"a", event.Any(), count(1), note, count(2)); err != nil {
			t.Fatal(err)
		}
		last, err := log.Append(ctx, prefix+"b", event.Any(), count(3))
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			filter event.Filter
			want   int
		}{
			"a stream":        {event.Filter{StreamPrefixes: []string{prefix + "a"}}, 3},
			"several streams": {event.Filter{StreamPrefixes: []string{prefix + "a", prefix + "b"}}, 4},
			"types":           {event.Filter{Types: []string{"Noted", "NeverRecorded"}}, 1},
			"none of it":      {event.Filter{StreamPrefixes: []string{prefix + "c"}}, 0},
			"all":             {event.Filter{}, 4},
		} {
			var seen []event.Recorded
			// Live means that everything in the log was considered.
			_, err := collect(ctx, log, event.Subscription{After: start, Filter: tt.filter}, func(all []event.Recorded, b event.Batch) bool {
				seen = slices.DeleteFunc(slices.Clone(all), func(e event.Recorded) bool { return e.Stream != prefix+"a" && e.Stream != prefix+"b" })
				return b.Live && (b.Position >= last.Position || len(seen) >= tt.want)
			})
			if err != nil || len(seen) != tt.want {
				t.Errorf("%s: %d events, %v; want %d", name, len(seen), err, tt.want)
			}
		}
	})
}

func TestGivenStoreNamesItsLogOnce(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log := s.open(t)
		first, err := log.EnsureOpened(ctx, time.Now())
		if err != nil || first == uuid.Nil {
			t.Fatalf("%s, %v", first, err)
		}
		if again, err := s.open(t).EnsureOpened(ctx, time.Now()); err != nil || again != first {
			t.Errorf("%s, %v; want %s", again, err, first)
		}
	})
}

// More calls than a connection carries wait for their turn, subscriptions do not block
// them, and closing in the middle leaves no caller hanging.
func TestGivenStoreCarriesManyCalls(t *testing.T) {
	onGivenStores(t, func(t *testing.T, s given) {
		ctx := testContext(t)
		log, prefix := s.open(t), s.prefix
		subscribed, unsubscribe := context.WithCancel(ctx)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				err := log.Subscribe(subscribed, event.Subscription{FromEnd: true}, func(context.Context, event.Batch) error { return nil })
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		var calls sync.WaitGroup
		for n := range 300 {
			calls.Go(func() {
				stream := fmt.Sprintf("%s%d", prefix, n)
				if _, err := log.Append(ctx, stream, event.NoStream(), count(n)); err != nil {
					t.Error(err)
				}
				if got, err := log.Read(ctx, stream, 0, 10); err != nil || len(got) != 1 {
					t.Errorf("%d events, %v", len(got), err)
				}
			})
		}
		calls.Wait()
		unsubscribe()
		all.Wait()

		other := s.open(t)
		for n := range 100 {
			calls.Go(func() {
				for i := 0; ; i++ {
					if _, err := other.Append(ctx, fmt.Sprintf("%sclosed-%d", prefix, n), event.Any(), count(i)); err != nil {
						if !errors.Is(err, event.ErrUnavailable) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		if err := other.Close(ctx); err != nil {
			t.Error(err)
		}
		calls.Wait()
	})
}

func TestGivenStoreIsCopied(t *testing.T) {
	ctx := testContext(t)
	s := givenURL(t)
	log, prefix := s.open(t), s.prefix
	if _, err := log.EnsureOpened(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	events := []event.Proposed{count(1), count(2), count(3)}
	if _, err := log.Append(ctx, prefix+"a", event.NoStream(), events...); err != nil {
		t.Fatal(err)
	}
	to := openLog(t, startStore(t).url())
	mustCopy(t, log, to)
	if got, err := to.Read(ctx, prefix+"a", 0, 10); err != nil || !slices.Equal(ids(got), idsOf(events)) {
		t.Errorf("%v, %v; want %v", ids(got), err, idsOf(events))
	}
}

// EVENTSTORE_OUTAGE is a shell command that makes the external store unavailable for a
// while under load, for example by killing a cluster's leader. Every append gets a
// final response and is stored once. A subscription receives each one once and in
// order.
func TestGivenStoreComesBack(t *testing.T) {
	command := os.Getenv("EVENTSTORE_OUTAGE")
	if command == "" {
		t.Skip("EVENTSTORE_OUTAGE is not set; TestRestartsAmidAppendsAndSubscriptions is the same on the embedded store")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s := givenURL(t)
	log, prefix := s.open(t), s.prefix
	const writers = 16
	var appended atomic.Int64
	var total atomic.Int64
	total.Store(-1)
	result := make(chan []event.Recorded, 1)
	filter := event.Filter{StreamPrefixes: []string{prefix}}
	go func() {
		seen, err := collect(ctx, log, event.Subscription{Filter: filter}, func(seen []event.Recorded, _ event.Batch) bool {
			return int64(len(seen)) == total.Load()
		})
		if err != nil {
			t.Error(err)
		}
		result <- seen
	}()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			stream, expected := fmt.Sprintf("%s%d", prefix, w), event.NoStream()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				e := count(n)
				done, err := log.Append(ctx, stream, expected, e)
				for errors.Is(err, event.ErrUnavailable) && ctx.Err() == nil {
					done, err = log.Append(ctx, stream, expected, e)
				}
				if err != nil || done.Revision != event.Revision(n) {
					t.Errorf("append %d to %s: %+v, %v", n, stream, done, err)
					return
				}
				expected = event.ExactRevision(done.Revision)
				appended.Add(1)
			}
		})
	}
	grow := func(by int64) {
		goal := appended.Load() + by
		polltest.Retry(ctx, func() bool { return appended.Load() >= goal || t.Failed() })
	}
	grow(500)
	if out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
	grow(500)
	close(stop)
	writing.Wait()
	total.Store(appended.Load() + 1)
	if _, err := log.Append(ctx, prefix+"last", event.NoStream(), count(0)); err != nil { // wakes the subscription
		t.Fatal(err)
	}
	seen := <-result
	inOrder(t, seen, int(total.Load()))
	t.Logf("%d appends over the outage", appended.Load())
}
