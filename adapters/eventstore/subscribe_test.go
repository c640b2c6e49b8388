package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

var errEnough = errors.New("enough seen") //nolint:gochecknoglobals // a sentinel

// collect subscribes until enough returns true, and returns the events that it
// received.
func collect(ctx context.Context, log *eventstore.Log, sub event.Subscription, enough func([]event.Recorded, event.Batch) bool) ([]event.Recorded, error) {
	var seen []event.Recorded
	last := sub.After
	err := log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
		if b.Position < last {
			return fmt.Errorf("position went back from %d to %d", last, b.Position)
		}
		if n := len(b.Events); n > 0 && b.Position < b.Events[n-1].Position {
			return fmt.Errorf("batch at %d is before its last event at %d", b.Position, b.Events[n-1].Position)
		}
		last = b.Position
		seen = append(seen, b.Events...)
		if enough(seen, b) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return seen, err
}

// inOrder fails unless each event is there once, in the order of positions.
func inOrder(t *testing.T, seen []event.Recorded, want int) {
	t.Helper()
	if len(seen) != want {
		t.Errorf("saw %d events, want %d", len(seen), want)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].Position <= seen[i-1].Position {
			t.Fatalf("position %d after %d", seen[i].Position, seen[i-1].Position)
		}
	}
}

func TestSubscribeCatchesUpToLiveWithoutGap(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		const writers, each = 8, 150
		write := func(from, to int, all *sync.WaitGroup) {
			for w := range writers {
				all.Go(func() {
					for n := from; n < to; n++ {
						if _, err := log.Append(ctx, fmt.Sprintf("s-%d", w), event.Any(), count(n)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
		}
		var history, rest sync.WaitGroup
		write(0, each/2, &history)
		history.Wait()
		write(each/2, each, &rest)
		live, largest := false, 0
		seen, err := collect(ctx, log, event.Subscription{MaxBatch: 50}, func(seen []event.Recorded, b event.Batch) bool {
			live, largest = live || b.Live, max(largest, len(b.Events))
			return live && len(seen) >= writers*each
		})
		rest.Wait()
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, seen, writers*each)
		if largest > 50 {
			t.Errorf("a batch of %d events", largest)
		}

		// A subscription resumes exactly after a position.
		middle := seen[len(seen)/2].Position
		second, err := collect(ctx, log, event.Subscription{After: middle}, func(_ []event.Recorded, b event.Batch) bool { return b.Live })
		if err != nil {
			t.Fatal(err)
		}
		inOrder(t, second, len(seen)-len(seen)/2-1)
	})
}

// Events that come soon after a batch are gathered until something urgent comes, but
// not for longer than requested.
func TestSubscribeGathers(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		add := func(n event.Proposed) {
			t.Helper()
			if _, err := log.Append(ctx, "s", event.Any(), n); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			name   string
			gather time.Duration
			last   event.Proposed
		}{
			{"until something urgent comes", time.Hour, fresh(noted{Text: "x"})},
			{"for the interval", 200 * time.Millisecond, count(4)},
		} {
			t.Run(test.name, func(t *testing.T) {
				sub := event.Subscription{FromEnd: true, BatchInterval: test.gather, Urgent: []string{noted{}.EventType()}}
				var batches []int
				live := make(chan struct{})
				isLive := sync.OnceFunc(func() { close(live) }) // it can be reported again
				first := make(chan struct{})
				ended := make(chan error, 1)
				go func() {
					seen := 0
					ended <- log.Subscribe(ctx, sub, func(_ context.Context, b event.Batch) error {
						switch seen += len(b.Events); {
						case len(b.Events) > 0:
							batches = append(batches, len(b.Events))
							if seen == 1 {
								close(first)
							}
						case b.Live:
							isLive()
						}
						if seen == 4 {
							return errEnough
						}
						return nil
					})
				}()
				await := func(c <-chan struct{}) {
					t.Helper()
					select {
					case <-c:
					case <-ctx.Done():
						t.Fatal(context.Cause(ctx))
					}
				}
				await(live)
				add(count(1)) // waits for nothing
				await(first)
				add(count(2))
				add(count(3))
				add(test.last)
				if err := <-ended; !errors.Is(err, errEnough) {
					t.Fatal(err)
				}
				if test.gather == time.Hour && !slices.Equal(batches, []int{1, 3}) {
					t.Errorf("batches of %v, want 1 and 3", batches)
				}
			})
		}
	})
}

func TestSubscribeFilters(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		for n := range 200 {
			stream := []string{"message-1", "sender-1"}[n%2]
			if _, err := log.Append(ctx, stream, event.Any(), count(n)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := log.Append(ctx, "sender-1", event.Any(), fresh(noted{Text: "x"})); err != nil {
			t.Fatal(err)
		}
		end, err := log.End(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name   string
			filter event.Filter
			want   int
		}{
			{"all", event.Filter{}, 201},
			{"prefix", event.Filter{StreamPrefixes: []string{"message-"}}, 100},
			{"prefixes", event.Filter{StreamPrefixes: []string{"message-", "sender-"}}, 201},
			{"type", event.Filter{Types: []string{"Noted"}}, 1},
			{"type is whole", event.Filter{Types: []string{"Note", "oted", "N.ted"}}, 0},
			{"types", event.Filter{Types: []string{"Noted", "Counted"}}, 201},
		} {
			t.Run(test.name, func(t *testing.T) {
				var last event.Batch
				seen, err := collect(ctx, log, event.Subscription{Filter: test.filter}, func(_ []event.Recorded, b event.Batch) bool {
					last = b
					return b.Live
				})
				if err != nil {
					t.Fatal(err)
				}
				inOrder(t, seen, test.want)
				if last.Position != end {
					t.Errorf("live at %d, the log ends at %d", last.Position, end)
				}
			})
		}
		both := event.Filter{StreamPrefixes: []string{"a"}, Types: []string{"B"}}
		if err := log.Subscribe(ctx, event.Subscription{Filter: both}, nil); err == nil {
			t.Error("a filter on both passed")
		}
	})
}

func TestSubscribeFromEndSeesOnlyNewEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		if _, err := log.Append(ctx, "a", event.Any(), count(1)); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		seen, err := collect(ctx, log, event.Subscription{FromEnd: true}, func(seen []event.Recorded, b event.Batch) bool {
			if b.Live {
				once.Do(func() {
					if _, err := log.Append(ctx, "a", event.Any(), count(2)); err != nil {
						t.Error(err)
					}
				})
			}
			return len(seen) > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) != 1 || seen[0].Event != (counted{N: 2}) {
			t.Fatalf("saw %+v", seen)
		}
	})
}

// misshapen has the type name of counted, with data that counted cannot hold.
type misshapen struct{}

func (misshapen) EventType() string            { return "Counted" }
func (misshapen) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"n": "one"}) }

func TestUndecodableEventsDoNotStopASubscription(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		for _, e := range []domain.Event{misshapen{}, counted{N: 1}} {
			if _, err := log.Append(ctx, "a", event.Any(), fresh(e)); err != nil {
				t.Fatal(err)
			}
		}
		seen, err := collect(ctx, log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool { return len(seen) == 2 })
		if err != nil {
			t.Fatal(err)
		}
		if seen[0].Event != nil || seen[0].Stream != "a" || len(seen[0].Data) == 0 || seen[1].Event != (counted{N: 1}) {
			t.Fatalf("saw %+v", seen)
		}
		if _, err := log.Read(ctx, "a", 0, 10); err == nil {
			t.Error("a history that cannot be decoded was read without error")
		}
	})
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		log := open(t, startStore(t))
		ctx, cancel := context.WithCancel(testContext(t))
		err := log.Subscribe(ctx, event.Subscription{}, func(context.Context, event.Batch) error {
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// However many subscriptions of API callers catch up, one caller does not take the
// connections of another, and all callers together do not take those of Waypost itself.
func TestCallersLeaveSubscriptionsToThePlatform(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		for n := range 10 { // more than a subscription receives ahead of its handler
			if _, err := log.Append(ctx, "s", event.Any(), count(n)); err != nil {
				t.Fatal(err)
			}
		}
		follow := func(ctx context.Context, begun *atomic.Int64, wg *sync.WaitGroup) {
			wg.Go(func() {
				err := log.Subscribe(ctx, event.Subscription{MaxBatch: 1}, func(context.Context, event.Batch) error {
					begun.Add(1)
					<-ctx.Done()
					return ctx.Err()
				})
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		following, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		var first, second, own atomic.Int64
		reaches := func(begun *atomic.Int64, n int64, who string) {
			t.Helper()
			for begun.Load() < n {
				if ctx.Err() != nil {
					t.Fatalf("%s: %d of %d subscriptions have begun", who, begun.Load(), n)
				}
				runtime.Gosched()
			}
		}
		for range 100 {
			follow(request.WithCaller(following, "a"), &first, &wg)
		}
		reaches(&first, 24, "one caller")
		for range 100 {
			follow(request.WithCaller(following, "b"), &second, &wg)
		}
		reaches(&second, 24, "another caller")
		for range 30 {
			follow(following, &own, &wg)
		}
		reaches(&own, 30, "the platform")
		if first.Load() != 24 || second.Load() != 24 {
			t.Errorf("callers have %d and %d subscriptions, want 24 each", first.Load(), second.Load())
		}
	})
}
