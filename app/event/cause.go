package event

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Clock returns Waypost's time.
type Clock func() time.Time

// IDs returns a new UUIDv7 for an event, a message, or a request.
type IDs func() uuid.UUID

// Cause is who asked for a change, and the request, event, or delivery that led to it.
type Cause struct {
	By          domain.Actor
	CausationID string
	// Traceparent is the span in which the change was asked for. If empty, the change
	// belongs to no trace of its caller.
	Traceparent string
}

// Meta returns the metadata of an event with this cause that is recorded at now. Every
// event gets its metadata here; callers add the sender and the correlation ID.
func (c Cause) Meta(now time.Time) Meta {
	return Meta{
		RecordedAt: now, CausationID: c.CausationID, By: c.By, OnBehalfOf: c.By.OnBehalfOf, Traceparent: c.Traceparent,
	}
}

// Propose returns events to append, each with a new ID and the same metadata.
func Propose[E domain.Event](ids IDs, meta Meta, events ...E) []Proposed {
	proposed := make([]Proposed, len(events))
	for i, e := range events {
		proposed[i] = Proposed{ID: ids(), Event: e, Meta: meta}
	}
	return proposed
}
