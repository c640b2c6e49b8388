package eventstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

func TestAppendAndRead(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))

		first, err := log.Append(ctx, "a", event.NoStream(), count(1), count(2))
		if err != nil {
			t.Fatal(err)
		}
		second, err := log.Append(ctx, "a", event.ExactRevision(1), count(3))
		if err != nil {
			t.Fatal(err)
		}
		if first.Revision != 1 || second.Revision != 2 || second.Position <= first.Position {
			t.Fatalf("appended at %+v, then %+v", first, second)
		}
		if _, err := log.Append(ctx, "b", event.Any(), fresh(noted{Text: "x"})); err != nil {
			t.Fatal(err)
		}
		forwards, err := log.Read(ctx, "a", 1, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(forwards) != 2 || forwards[0].Event != (counted{N: 2}) || forwards[1].Event != (counted{N: 3}) {
			t.Fatalf("read %+v", forwards)
		}
		last := forwards[1]
		if last.Stream != "a" || last.Revision != 2 || last.Position != second.Position || last.Meta.V != 1 || last.Meta.By.ID != "test" {
			t.Fatalf("recorded as %+v", last)
		}
		backwards, err := log.ReadBackwards(ctx, "a", 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(backwards) != 2 || backwards[0].Revision != 2 || backwards[1].Revision != 1 {
			t.Fatalf("read backwards %+v", backwards)
		}
		none, err := log.Read(ctx, "missing", 0, 10)
		if err != nil || len(none) != 0 {
			t.Fatalf("missing stream: %v, %v", none, err)
		}
	})
}

func TestAppendConflictAndRepeat(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		e := count(1)
		first, err := log.Append(ctx, "a", event.NoStream(), e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := log.Append(ctx, "a", event.NoStream(), e)
		if err != nil || again != first {
			t.Fatalf("the repeat gave %+v, %v; the append gave %+v", again, err, first)
		}
		for _, expected := range []event.Expected{event.NoStream(), event.ExactRevision(5)} {
			_, err = log.Append(ctx, "a", expected, count(2))
			var wrong *event.WrongRevisionError
			if !errors.As(err, &wrong) || wrong.Stream != "a" || wrong.Expected != expected {
				t.Fatalf("expected %s: %v", expected, err)
			}
		}
	})
}

func TestAppendRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		st := startStore(t)
		log := open(t, st)
		large := fresh(noted{Text: strings.Repeat("x", 2<<20)})
		if _, err := log.Append(ctx, "a", event.Any(), large); !errors.Is(err, event.ErrTooLarge) {
			t.Fatalf("too large for the client: %v", err)
		}
		lenient := open(t, st, func(o *options) { o.MaxAppendBytes = 8 << 20 })
		if _, err := lenient.Append(ctx, "a", event.Any(), large); !errors.Is(err, event.ErrTooLarge) {
			t.Fatalf("too large for the store: %v", err)
		}
		if _, err := log.Append(ctx, "a", event.Any()); err == nil {
			t.Fatal("an append without events passed")
		}
		if _, err := log.Append(ctx, "a", event.Any(), event.Proposed{Event: counted{}}); err == nil {
			t.Fatal("an event without an ID passed")
		}
	})
}

func TestEnsureOpenedNamesTheLogOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		st := startStore(t)
		var ids [8]uuid.UUID
		var all sync.WaitGroup
		for i := range ids {
			log := open(t, st)
			all.Go(func() {
				id, err := log.EnsureOpened(ctx, count(0).Meta.RecordedAt)
				if err != nil {
					t.Error(err)
				}
				ids[i] = id
			})
		}
		all.Wait()
		for _, id := range ids {
			if id == uuid.Nil || id != ids[0] {
				t.Fatalf("identities differ: %v", ids)
			}
		}
	})
}

// An older version of Waypost must not write to a log whose rules it doesn't know, and
// must not give a restored one a new identity as if it did.
func TestLogOfANewerVersionIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		if _, err := log.Append(ctx, event.LogStream, event.NoStream(),
			fresh(event.LogOpened{ID: uuid.Must(uuid.NewV7()), Format: event.LogFormat + 1})); err != nil {
			t.Fatal(err)
		}
		var newer *event.NewerLogError
		if _, err := log.EnsureOpened(ctx, count(0).Meta.RecordedAt); !errors.As(err, &newer) || newer.Format != event.LogFormat+1 {
			t.Errorf("EnsureOpened: %v, want a NewerLogError", err)
		}
		if _, err := log.Reopen(ctx, count(0).Meta.RecordedAt); !errors.As(err, &newer) {
			t.Errorf("Reopen: %v, want a NewerLogError", err)
		}
	})
}

func TestEndAndPing(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		ctx := testContext(t)
		log := open(t, startStore(t))
		if end, err := log.End(ctx); err != nil || end != 0 {
			t.Fatalf("end of an empty log: %d, %v", end, err)
		}
		appended, err := log.Append(ctx, "a", event.Any(), count(1))
		if err != nil {
			t.Fatal(err)
		}
		if end, err := log.End(ctx); err != nil || end != appended.Position {
			t.Fatalf("end %d, %v; appended at %d", end, err, appended.Position)
		}
		if err := log.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if err := log.Ping(cancelled); !errors.Is(err, context.Canceled) {
			t.Fatalf("ping of a caller that left: %v", err)
		}
	})
}
