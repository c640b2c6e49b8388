package campaign

import (
	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// CampaignPaused records that an operator paused the messages with a label, or paused them again
// for another reason.
type CampaignPaused struct {
	// Pause is the ID of the pause.
	Pause    uuid.UUID      `json:"pause"`
	Reason   string         `json:"reason"`
	Personal PausedPersonal `json:"personal"`
}

// PausedPersonal is the personal part of CampaignPaused. A label can name a person, but not one
// whom Waypost knows, so it is sealed under a key of its own, which is never destroyed.
type PausedPersonal struct {
	Label domain.Label `json:"label"`
}

// CampaignResumed records that an operator resumed the messages of a pause.
type CampaignResumed struct {
	Pause uuid.UUID `json:"pause"`
}

// EventType returns its name in the log.
func (CampaignPaused) EventType() string { return "CampaignPaused" }

// EventType returns its name in the log.
func (CampaignResumed) EventType() string { return "CampaignResumed" }

// Types lists the event types of the stream of paused campaigns, for the codec.
func Types() []domain.Type {
	return []domain.Type{domain.TypeOf[CampaignPaused](), domain.TypeOf[CampaignResumed]()}
}
