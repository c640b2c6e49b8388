package dispatch

import (
	"testing"
	"time"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// What arrives has its own priority asked for, or all where none is told.
func TestArrivalsAreAskedForByPriority(t *testing.T) {
	l := newLane(sender.Sender{ID: "acme", Rate: 80}, false)
	asked := func() (found []message.Priority) {
		for class := range l.classes {
			for _, w := range l.wants(class, false, time.Time{}) {
				found = append(found, w.Priority)
			}
		}
		return found
	}
	if got := asked(); len(got) != len(priorities) {
		t.Errorf("a new lane asks for %v", got)
	}
	for class := range l.classes {
		l.classes[class].drained = true
	}
	if got := asked(); len(got) != 0 {
		t.Errorf("with nothing new a lane asks for %v", got)
	}
	l.arrived(message.PriorityBulk)
	if got := asked(); len(got) != 1 || got[0] != message.PriorityBulk {
		t.Errorf("after bulk messages came, a lane asks for %v", got)
	}
	l.arrived("")
	if got := asked(); len(got) != len(priorities) {
		t.Errorf("after something came, a lane asks for %v", got)
	}
}
