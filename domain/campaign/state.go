package campaign

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// A Pause stops new calls of the messages with a label.
type Pause struct {
	ID     uuid.UUID
	Label  domain.Label
	Reason string
	// Since is when the campaign was paused, or paused again for another reason, and By is who
	// did it.
	Since time.Time
	By    domain.Actor
}

// Pauses are the current pauses, by age. The zero value has none.
type Pauses []Pause

// Of returns the pause of a label, or false if it is not paused.
func (p Pauses) Of(l domain.Label) (Pause, bool) {
	if i := slices.IndexFunc(p, func(have Pause) bool { return have.Label == l }); i >= 0 {
		return p[i], true
	}
	return Pause{}, false
}
