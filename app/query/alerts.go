package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/alert"
)

// Alert is an alert after its last event.
type Alert struct {
	alert.Alert

	ID       uuid.UUID
	Revision event.Revision
	// Position is the position of its last event, and At is when that was recorded.
	Position event.Position
	At       time.Time
}

// AlertFilter selects alerts. A field that is nil or empty does not filter.
type AlertFilter struct {
	State    []alert.State
	Kind     []alert.Kind
	SenderID *string
	// SenderIDs are the senders that the caller can see. If nil, the filter finds alerts of
	// all senders, and those that are not about one sender.
	SenderIDs []string
}

// AlertState is what the evaluation of alert rules starts from.
type AlertState struct {
	Rules []alert.Rule
	// Silences have not ended.
	Silences []alert.Silence
	// Open are the open alerts. They contain every event up to Position, and can contain later ones.
	Open     []Alert
	Position event.Position
}

// AlertPage is a page of alerts, most recently changed first. The key of an entry is its
// Position.
type AlertPage struct {
	Alerts      []Alert
	HasNextPage bool
}
