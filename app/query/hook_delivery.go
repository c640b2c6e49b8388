package query

import (
	"time"

	"github.com/google/uuid"
)

// HookDelivery is one try to tell an outgoing webhook of an event.
type HookDelivery struct {
	// ID grows with time.
	ID     int64
	HookID string
	// EventID is what the receiver knows it by.
	EventID   uuid.UUID
	EventType string
	MessageID uuid.UUID
	// Attempt counts the tries of this event, from 1.
	Attempt int
	At      time.Time
	Took    time.Duration
	// Status is the HTTP status of the answer, 0 if none came; Error then says why.
	Status int
	Error  string
	// Outcome is what came of it.
	Outcome HookOutcome
}

// HookOutcome is what came of a delivery.
type HookOutcome string

// The outcomes of a delivery.
const (
	// HookDelivered: the receiver has it.
	HookDelivered HookOutcome = "DELIVERED"
	// HookRetried: it will be tried again.
	HookRetried HookOutcome = "RETRIED"
	// HookGivenUp: the receiver refused this one event for good, the next one follows.
	HookGivenUp HookOutcome = "GIVEN_UP"
)

// HookDeliveryPage is a page of deliveries, the latest first.
type HookDeliveryPage struct {
	Deliveries  []HookDelivery
	HasNextPage bool
}
