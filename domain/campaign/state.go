package campaign

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// A Pause stops new calls of the messages with a label.
type Pause struct {
	ID uuid.UUID
	// Label is empty while it can't be read.
	Label  domain.Label
	Reason string
	// Since is when the campaign was paused, or paused again for another reason, and By is who
	// did it.
	Since time.Time
	By    domain.Actor
}

// HasLabel reports whether the label of the pause could be read. If not, its data key is unavailable,
// missing, or destroyed.
func (p Pause) HasLabel() bool { return p.Label.Name != "" }

// IsOf reports whether the pause is known to be of a label.
func (p Pause) IsOf(l domain.Label) bool { return p.HasLabel() && p.Label == l }

// Holds reports whether a message with these labels waits for the pause. If the label of the pause
// can't be read, it can be any of them.
func (p Pause) Holds(labels []domain.Label) bool {
	return len(labels) > 0 && (!p.HasLabel() || slices.Contains(labels, p.Label))
}

// Pauses are the current pauses, by age. The zero value has none.
type Pauses []Pause

// Of returns the pause of a label, or false if it is not paused.
func (p Pauses) Of(l domain.Label) (Pause, bool) {
	return p.first(func(have Pause) bool { return have.IsOf(l) })
}

// ByID returns the pause with an ID, or false if it has ended.
func (p Pauses) ByID(id uuid.UUID) (Pause, bool) {
	return p.first(func(have Pause) bool { return have.ID == id })
}

// Unreadable returns the IDs of the pauses whose labels can't be read.
func (p Pauses) Unreadable() (ids []uuid.UUID) {
	for _, have := range p {
		if !have.HasLabel() {
			ids = append(ids, have.ID)
		}
	}
	return ids
}

func (p Pauses) first(wanted func(Pause) bool) (Pause, bool) {
	if i := slices.IndexFunc(p, wanted); i >= 0 {
		return p[i], true
	}
	return Pause{}, false
}
