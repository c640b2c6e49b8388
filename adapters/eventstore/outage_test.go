package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

// Every append gets a final response, none is lost or duplicated, and a subscription
// sees each one once, while the store becomes unavailable and comes back on the same
// address.
func TestRestartsAmidAppendsAndSubscriptions(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	log := openLog(t, st.url())
	const writers, restarts = 16, 4

	var appended atomic.Int64
	var writing sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			stream := fmt.Sprintf("s-%d", w)
			expected := event.NoStream()
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
	var total atomic.Int64
	total.Store(-1)
	result := make(chan []event.Recorded, 1)
	go func() {
		seen, err := collect(ctx, log, event.Subscription{}, func(seen []event.Recorded, _ event.Batch) bool {
			return int64(len(seen)) == total.Load()
		})
		if err != nil {
			t.Error(err)
		}
		result <- seen
	}()
	for range restarts {
		before := appended.Load()
		polltest.Until(t, "100 more events are appended", func() bool { return appended.Load() >= before+100 })
		st.stop()
		polltest.Until(t, "a call meets the closed port", func() bool {
			short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
			defer cancel()
			return log.Ping(short) != nil
		})
		st.start()
	}
	close(stop)
	writing.Wait()
	// One additional append wakes the subscription if it has already seen all others.
	total.Store(appended.Load() + 1)
	if _, err := log.Append(ctx, "last", event.NoStream(), count(0)); err != nil {
		t.Fatal(err)
	}
	seen := <-result
	inOrder(t, seen, int(total.Load()))
	next := map[string]event.Revision{}
	for _, e := range seen {
		if e.Revision != next[e.Stream] {
			t.Fatalf("%s: revision %d, want %d", e.Stream, e.Revision, next[e.Stream])
		}
		next[e.Stream]++
	}
}

// A store that is unavailable for longer than calls are repeated leaves no caller
// hanging, and is found again when it is back.
func TestOutageEndsEveryCall(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	log := openLog(t, st.url())
	st.stop()
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if _, err := log.Append(ctx, "a", event.Any(), count(1)); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("append while the store is unavailable: %v", err)
			}
		})
		all.Go(func() {
			if err := log.Ping(ctx); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("ping while the store is unavailable: %v", err)
			}
		})
	}
	all.Wait()
	st.start()
	if _, err := log.Append(ctx, "a", event.Any(), count(2)); err != nil {
		t.Fatal(err)
	}
}

func TestHangingStoreRespectsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(testContext(t), 200*time.Millisecond)
	defer cancel()
	_, err := eventstore.Open(ctx, eventstore.Options{URL: listenSilently(t), Codec: newCodec(t)})
	if !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestHangingStoreIsGivenUpWithoutDeadline(t *testing.T) {
	_, err := eventstore.Open(context.Background(), eventstore.Options{
		URL: listenSilently(t), Codec: newCodec(t), CallTimeout: 50 * time.Millisecond,
	})
	if !errors.Is(err, event.ErrUnavailable) {
		t.Fatal(err)
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	ctx := testContext(t)
	if _, err := eventstore.Open(ctx, eventstore.Options{URL: "esdb://localhost:2113?tls=false"}); err == nil {
		t.Error("no codec passed")
	}
	_, err := eventstore.Open(ctx, eventstore.Options{URL: "esdb://me:secret#1@host:x", Codec: newCodec(t)})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a malformed URL: %v", err)
	}
}

func TestCloseAmidCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		var appended atomic.Int64
		var all sync.WaitGroup
		for w := range 32 {
			all.Go(func() {
				for {
					_, err := log.Append(ctx, fmt.Sprintf("s-%d", w), event.Any(), count(1))
					if err != nil {
						if !errors.Is(err, event.ErrUnavailable) {
							t.Error(err)
						}
						return
					}
					appended.Add(1)
				}
			})
		}
		all.Go(func() {
			err := log.Subscribe(ctx, event.Subscription{}, func(context.Context, event.Batch) error { return nil })
			if !errors.Is(err, event.ErrUnavailable) {
				t.Error(err)
			}
		})
		polltest.Until(t, "200 events are appended", func() bool { return appended.Load() >= 200 })
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
		all.Wait()
		if err := log.Ping(ctx); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("ping after close: %v", err)
		}
	})
}

func TestCloseGivesUpWhenItsContextEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		release := make(chan struct{})
		entered := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			var once sync.Once
			_ = log.Subscribe(ctx, event.Subscription{}, func(context.Context, event.Batch) error {
				once.Do(func() { close(entered) })
				<-release // a handler that ignores its context
				return nil
			})
		})
		<-entered
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if err := log.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		close(release)
		all.Wait()
		if err := log.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}
