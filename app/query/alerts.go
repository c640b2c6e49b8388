package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/alert"
)

// Alert is an alert as its last event left it.
type Alert struct {
	alert.Alert

	ID       uuid.UUID
	Revision event.Revision
	// Position is that of its last event, At when that was recorded.
	Position event.Position
	At       time.Time
}

// AlertFilter chooses alerts; what is nil or empty doesn't restrict.
type AlertFilter struct {
	State    []alert.State
	Kind     []alert.Kind
	SenderID *string
	// SenderIDs are the senders that the caller may see; nil means all, and those over
	// all senders.
	SenderIDs []string
}

// AlertPage is a page of alerts, those first of which something was recorded last.
// The key of an entry is its Position.
type AlertPage struct {
	Alerts      []Alert
	HasNextPage bool
}
