package campaign

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// A Record is an event, when it was recorded, and by whom.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
}

// Apply returns the pauses after one more record. The receiver doesn't change.
func (p Pauses) Apply(r Record) Pauses {
	switch e := r.Event.(type) {
	case CampaignPaused:
		now := Pause{ID: e.Pause, Label: e.Personal.Label, Reason: e.Reason, Since: r.At, By: r.By}
		if before, paused := p.ByID(e.Pause); paused && !now.HasLabel() {
			now.Label = before.Label // the label of a pause never changes
		}
		return append(p.without(e.Pause), now)
	case CampaignResumed:
		return p.without(e.Pause)
	}
	return p
}

func (p Pauses) without(id uuid.UUID) Pauses {
	return slices.DeleteFunc(slices.Clone(p), func(have Pause) bool { return have.ID == id })
}
