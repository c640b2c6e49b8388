package campaign

import (
	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// MaxPauses is the maximum number of campaigns that are paused at a time. Every fetch from the work
// list leaves out the messages of all of them.
const MaxPauses = 100

// Start pauses the messages with a label. id is the ID of the pause, if it is a new one. If the
// label is already paused for the same reason, nothing changes.
func Start(have Pauses, id uuid.UUID, l domain.Label, reason string) ([]domain.Event, error) {
	if err := l.Validate("label"); err != nil {
		return nil, err
	}
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return nil, err
	}
	switch p, paused := have.Of(l); {
	case paused && p.Reason == reason:
		return nil, nil
	case paused:
		id = p.ID
	case len(have) >= MaxPauses:
		return nil, domain.Conflict("%d campaigns are already paused, the maximum; resume one first", len(have))
	}
	return []domain.Event{CampaignPaused{Pause: id, Reason: reason, Personal: PausedPersonal{Label: l}}}, nil
}

// End resumes the messages with a label. If it is not paused, nothing changes.
func End(have Pauses, l domain.Label) ([]domain.Event, error) {
	var events []domain.Event
	for _, p := range have {
		if p.IsOf(l) {
			events = append(events, CampaignResumed{Pause: p.ID})
		}
	}
	if unread := have.Unreadable(); len(events) == 0 && len(unread) > 0 {
		return nil, domain.Conflict("pause %s can be the one of this label, but its own label cannot be read; resume it by its ID", unread[0])
	}
	return events, nil
}

// EndPause ends a pause. If it has already ended, nothing changes.
func EndPause(have Pauses, id uuid.UUID) []domain.Event {
	if _, paused := have.ByID(id); !paused {
		return nil
	}
	return []domain.Event{CampaignResumed{Pause: id}}
}
