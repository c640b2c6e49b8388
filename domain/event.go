package domain

import (
	"fmt"
	"time"

	"github.com/segmentio/encoding/json"
)

// Event is a fact that was recorded. Its type name is part of the public
// surface and unique over all streams; the Go type may be moved and renamed.
type Event interface {
	// EventType is the name under which the event stands in the log.
	EventType() string
}

// Occurred is implemented by events that tell of something that happened at
// another time than the one they were recorded at, such as a status of WhatsApp.
type Occurred interface {
	// OccurredAt is that other time; zero means unknown.
	OccurredAt() time.Time
}

// ActorKind says what kind of party caused an event.
type ActorKind string

// The kinds of actors, as the GraphQL schema names them.
const (
	ActorKey      ActorKind = "KEY"
	ActorUser     ActorKind = "USER"
	ActorPlatform ActorKind = "PLATFORM"
	ActorWebhook  ActorKind = "WEBHOOK"
	ActorBroker   ActorKind = "BROKER"
)

// Actor is who caused an event. It holds nothing personal but what an
// operator chose to call a key.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
	// OnBehalfOf is whom the caller said it acted for, as it was given.
	OnBehalfOf string `json:"-"`
}

// Platform is the actor of what Waypost does on its own: calls, retries,
// expiry, settlement, holds. part names the part of it.
func Platform(part string) Actor { return Actor{Kind: ActorPlatform, ID: part} }

// Type describes one type of event: its name, the version of its shape and how
// its data is read.
type Type struct {
	Name string
	// Version goes up when the shape changes in a way that an older reader
	// would misread. It is kept in the event's metadata as "v".
	Version int
	Decode  func(data []byte) (Event, error)
}

// TypeOf describes the event type E in its first version.
func TypeOf[E Event]() Type {
	var zero E
	name := zero.EventType()
	return Type{Name: name, Version: 1, Decode: func(data []byte) (Event, error) {
		var e E
		// Several times as fast as the standard library, and what it reads is the log.
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		return e, nil
	}}
}
