package alerts

import (
	"sync/atomic"
	"time"
)

// A Reading is the latest measurement of a rule for one sender, or for all.
type Reading struct {
	Value   float64 // in the unit of the rule's threshold
	Summary string
}

// A Subject is what a reading is about.
type Subject struct {
	Rule   string // the rule's ID
	Sender string // empty if over all
}

// Readings are the latest measurements of all rules. They are known only in the process that
// evaluates the rules. The zero value is empty. It is safe for concurrent use.
type Readings struct{ latest atomic.Pointer[evaluation] }

type evaluation struct {
	at       time.Time
	readings map[Subject]Reading
}

// Replace replaces all readings with those of an evaluation at that time. The caller no longer
// changes the map. A nil map means that another process evaluates the rules.
func (r *Readings) Replace(at time.Time, readings map[Subject]Reading) {
	r.latest.Store(&evaluation{at, readings})
}

// Of returns the latest reading about a subject and its time. It returns false if it is not
// known in this process.
func (r *Readings) Of(s Subject) (reading Reading, at time.Time, ok bool) {
	e := r.latest.Load()
	if e == nil {
		return Reading{}, time.Time{}, false
	}
	reading, ok = e.readings[s]
	return reading, e.at, ok
}
