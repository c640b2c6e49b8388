package graph

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// testFeed returns a feed whose changes come from the test.
func testFeed(t *testing.T, end event.Position) *feed {
	t.Helper()
	f := newFeed(t.Context(), nil, slog.New(slog.DiscardHandler), messageTopic, newCatchUps())
	f.run, f.stop = 1, func() {}
	f.restart(1, end)
	return f
}

func (f *feed) has(events ...event.Recorded) {
	f.add(f.run, event.Batch{Events: events, Position: events[len(events)-1].Position})
}

var everything = want{caller: caller{Session: Session{Viewer: Viewer{KeyID: "k"}}}}

func member(t *testing.T, f *feed, w want, at event.Position) *subscriber {
	t.Helper()
	s, err := f.join(w, at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRingAnswersWhatItCoversAndNoMore fills the ring past its size. For the dropped
// changes it returns false, so that the event log is read. The rest comes in order,
// each once.
func TestRingAnswersWhatItCoversAndNoMore(t *testing.T) {
	t.Parallel()
	f := testFeed(t, 10)
	stream := event.MessageStream(uuid.New())
	const extra = 1000
	for i := range ringSize + extra {
		f.has(event.Recorded{Stream: stream, Position: event.Position(20 + 10*i)})
	}
	lost := event.Position(20 + 10*(extra-1)) // the newest dropped change
	if _, ok := f.next(member(t, f, everything, lost-1)); ok {
		t.Errorf("position %d is before the ring, but next succeeded", lost-1)
	}
	s, p, seen := member(t, f, everything, lost), lost, 0
	for {
		found, ok := f.next(s)
		if !ok {
			t.Fatalf("position %d is in the ring, but next failed", p)
		}
		if len(found) == 0 {
			break
		}
		for _, c := range found {
			if c.position() != p+10 {
				t.Fatalf("after %d comes %d", p, c.position())
			}
			p = c.position()
			seen++
		}
	}
	if seen != ringSize {
		t.Errorf("%d changes, want %d", seen, ringSize)
	}
}

// A subscriber that wants little is not woken for other changes, misses nothing when
// the ring has long moved on, and reads the event log when the ring has dropped what
// the subscriber wants.
func TestSubscriberIsWokenForWhatItWants(t *testing.T) {
	t.Parallel()
	f := testFeed(t, 10)
	mine, others := uuid.New(), event.MessageStream(uuid.New())
	w := everything
	w.ids = map[uuid.UUID]bool{mine: true}
	s := member(t, f, w, 10)
	if found, ok := f.next(s); !ok || len(found) != 0 {
		t.Fatalf("at the end there are %d changes, %t", len(found), ok)
	}
	at := event.Position(10)
	for range 2 * ringSize {
		at += 10
		f.has(event.Recorded{Stream: others, Position: at})
	}
	select {
	case <-s.wake:
		t.Fatal("woken for the changes of others")
	default:
	}
	at += 10
	f.has(event.Recorded{Stream: event.MessageStream(mine), Position: at})
	<-s.wake
	if found, ok := f.next(s); !ok || len(found) != 1 || found[0].position() != at {
		t.Fatalf("found %v, %t; want the change at %d", found, ok, at)
	}
	f.has(event.Recorded{Stream: event.MessageStream(mine), Position: at + 5})
	for range 2 * ringSize {
		at += 10
		f.has(event.Recorded{Stream: others, Position: at})
	}
	if found, ok := f.next(s); ok {
		t.Fatalf("found %v; the ring has dropped what it wants", found)
	}
	if len(f.ring) > ringSize {
		t.Errorf("the ring has %d changes", len(f.ring))
	}
}

func TestRingIsBoundedByItsData(t *testing.T) {
	t.Parallel()
	f := testFeed(t, 10)
	stream, data := event.MessageStream(uuid.New()), make([]byte, 1<<20)
	for i := range 100 {
		f.has(event.Recorded{Stream: stream, Position: event.Position(20 + i), Data: data})
	}
	if f.size > ringBytes || len(f.ring) != ringBytes>>20 {
		t.Errorf("%d changes of %d bytes", len(f.ring), f.size)
	}
	s := member(t, f, everything, f.end)
	_, _ = f.next(s)
	f.has(event.Recorded{Stream: event.ErasureStream(uuid.New()), Position: f.end + 1})
	if len(f.ring) != 0 || f.size != 0 {
		t.Error("erased data is still there")
	}
	if found, ok := f.next(s); !ok || len(found) != 0 {
		t.Error("a subscriber that had seen everything reads the log again")
	}
}
