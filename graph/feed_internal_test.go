package graph

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// TestRingAnswersWhatItCoversAndNoMore fills the ring past its size: what it lost
// is refused, so that the log is asked, and the rest comes in order, each once.
func TestRingAnswersWhatItCoversAndNoMore(t *testing.T) {
	t.Parallel()
	f := newFeed(nil, slog.New(slog.DiscardHandler))
	if _, _, ok := f.after(0); ok {
		t.Error("a feed that has not started covers something")
	}
	f.restart(10)
	stream := event.MessageStream(uuid.New())
	const extra = 1000
	for i := range ringSize + extra {
		f.add([]event.Recorded{{Stream: stream, Position: event.Position(20 + 10*i)}})
	}
	lost := event.Position(20 + 10*(extra-1)) // the newest that was dropped
	if _, _, ok := f.after(lost - 1); ok {
		t.Errorf("position %d is behind the ring and was answered", lost-1)
	}
	p, seen := lost, 0
	for {
		found, _, ok := f.after(p)
		if !ok || len(found) > readAhead {
			t.Fatalf("after %d: %d changes, %t", p, len(found), ok)
		}
		if len(found) == 0 {
			break
		}
		for _, c := range found {
			if c.position != p+10 {
				t.Fatalf("%d follows %d", c.position, p)
			}
			p, seen = c.position, seen+1
		}
	}
	if seen != ringSize {
		t.Errorf("got %d changes, want %d", seen, ringSize)
	}
}
