package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/app/event"
)

// unavailable fails unless all calls report that the store is unavailable.
func unavailable(ctx context.Context, t *testing.T, log *eventstore.Log, calls ...string) {
	t.Helper()
	for _, call := range calls {
		var err error
		switch call {
		case "append":
			_, err = log.Append(ctx, "a", event.Any(), count(1))
		case "read":
			_, err = log.Read(ctx, "a", 0, 1)
		case "read $all":
			_, _, err = log.ReadAllBackwards(ctx, 0, 1)
		case "end":
			_, err = log.End(ctx)
		case "ping":
			err = log.Ping(ctx)
		}
		if !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func openInProcess(t *testing.T, st *store) *eventstore.Log {
	t.Helper()
	return openLog(t, "", func(o *options) { o.Store = st.s.Store() })
}

// The owner may close the store first. A subscription waits then, as for any store that is
// unavailable, and ends with its context.
func TestStoreInProcessThatWasClosed(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	log := openInProcess(t, st)
	if _, err := log.Append(ctx, "a", event.Any(), count(1)); err != nil {
		t.Fatal(err)
	}
	following, stop := context.WithCancel(ctx)
	live, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- log.Subscribe(following, event.Subscription{}, func(_ context.Context, b event.Batch) error {
			if b.Live {
				close(live)
			}
			return nil
		})
	}()
	<-live
	st.stop()
	unavailable(ctx, t, log, "append", "read", "read $all", "end", "ping")
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the subscription ended: %v", err)
	}
}

// An append whose caller has left has an unknown outcome, and can be repeated.
func TestCallerLeavesAnAppend(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		left, leave := context.WithCancelCause(ctx)
		errLeft := errors.New("the caller has left")
		leave(errLeft)
		e := count(1)
		_, err := log.Append(left, "a", event.NoStream(), e)
		if !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, errLeft) {
			t.Fatalf("append: %v", err)
		}
		if done, err := log.Append(ctx, "a", event.NoStream(), e); err != nil || done.Revision != 0 {
			t.Fatalf("repeated: %+v, %v", done, err)
		}
	})
}

// The events of a few streams are found in a long log, and a subscription of many of them
// reads pages, in both cases from any position.
func TestSubscriptionsOfALongLog(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		filler := strings.Repeat("x", 40<<10)
		const events = 300 // 12 MiB
		positions := make([]event.Position, 0, events)
		for n := range events {
			e, stream := fresh(noted{Text: filler}), "many"
			if n%20 == 7 {
				e, stream = count(n), fmt.Sprintf("few-%d", n)
			}
			done, err := log.Append(ctx, stream, event.Any(), e)
			if err != nil {
				t.Fatal(err)
			}
			positions = append(positions, done.Position)
		}
		for _, tt := range []struct {
			name   string
			after  event.Position
			filter event.Filter
			want   int
		}{
			{"few", 0, event.Filter{StreamPrefixes: []string{"few-"}}, 15},
			{"few, after one of them", positions[27], event.Filter{StreamPrefixes: []string{"few-"}}, 13},
			{"few, after another one", positions[40], event.Filter{StreamPrefixes: []string{"few-"}}, 13},
			{"few of a type", 0, event.Filter{Types: []string{"Counted"}}, 15},
			{"none", 0, event.Filter{StreamPrefixes: []string{"none-"}}, 0},
			{"many", 0, event.Filter{StreamPrefixes: []string{"many"}}, events - 15},
			{"all", positions[0], event.Filter{}, events - 1},
			{"the end", positions[events-1], event.Filter{}, 0},
		} {
			var last event.Batch
			seen, err := collect(ctx, log, event.Subscription{After: tt.after, Filter: tt.filter}, func(_ []event.Recorded, b event.Batch) bool {
				last = b
				return b.Live
			})
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			inOrder(t, seen, tt.want)
			if last.Position != positions[events-1] {
				t.Errorf("%s: live at %d, the log ends at %d", tt.name, last.Position, positions[events-1])
			}
		}
		newest, reached, err := log.ReadAllBackwards(ctx, 0, 200)
		if err != nil || len(newest) != 200 || reached != positions[events-200] || newest[0].Position != positions[events-1] {
			t.Fatalf("%d events back to %d, %v", len(newest), reached, err)
		}
		rest, reached, err := log.ReadAllBackwards(ctx, reached, 200)
		if err != nil || len(rest) != events-200 || reached != 0 || rest[0].Position != positions[events-201] {
			t.Fatalf("%d events back to %d, %v", len(rest), reached, err)
		}
		all, err := log.Read(ctx, "many", 0, events)
		if err != nil || len(all) != events-15 {
			t.Fatalf("read %d events, %v", len(all), err)
		}
		back, err := log.ReadBackwards(ctx, "many", 100)
		if err != nil || len(back) != 100 || back[0].ID != all[len(all)-1].ID || back[99].ID != all[len(all)-100].ID {
			t.Fatalf("read %d events backwards, %v", len(back), err)
		}
	})
}
