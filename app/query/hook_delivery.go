package query

import (
	"time"

	"github.com/google/uuid"
)

// HookDelivery is one attempt to deliver an event to an outgoing webhook.
type HookDelivery struct {
	// ID increases with time.
	ID     int64
	HookID string
	// EventID is the event's ID for the receiver.
	EventID   uuid.UUID
	EventType string
	MessageID uuid.UUID
	// Attempt is the number of the attempt to deliver this event, starting at 1.
	Attempt int
	At      time.Time
	Took    time.Duration
	// Status is the HTTP status of the response. It is 0 if there was no response, and
	// Error is the reason.
	Status int
	Error  string
	// Outcome is the delivery's outcome.
	Outcome HookOutcome
}

// HookOutcome is the outcome of a delivery.
type HookOutcome string

// The outcomes of a delivery.
const (
	// HookDelivered means that the receiver has the event.
	HookDelivered HookOutcome = "DELIVERED"
	// HookRetried means that the delivery will be retried.
	HookRetried HookOutcome = "RETRIED"
	// HookGivenUp means that the receiver permanently rejected this event. The next one
	// follows.
	HookGivenUp HookOutcome = "GIVEN_UP"
)

// HookDeliveryPage is a page of deliveries, newest first.
type HookDeliveryPage struct {
	Deliveries  []HookDelivery
	HasNextPage bool
}
