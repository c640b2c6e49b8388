package domain

import (
	"fmt"
	"time"

	"github.com/segmentio/encoding/json"
)

// An Event is a fact that was recorded. Its type name is public and unique over all streams.
// The Go type can be moved and renamed.
type Event interface {
	// EventType returns the name of the event in the log.
	EventType() string
}

// Occurred is implemented by events about something that happened at another time than they
// were recorded, such as a WhatsApp status.
type Occurred interface {
	// OccurredAt returns that other time, or zero if it is unknown.
	OccurredAt() time.Time
}

// ActorKind is the kind of party that caused an event.
type ActorKind string

// The kinds of actors, as the GraphQL schema names them.
const (
	ActorKey      ActorKind = "KEY"
	ActorUser     ActorKind = "USER"
	ActorPlatform ActorKind = "PLATFORM"
	ActorWebhook  ActorKind = "WEBHOOK"
	ActorBroker   ActorKind = "BROKER"
)

// An Actor is the party that caused an event. It contains nothing personal except the name
// that an operator chose for a key.
type Actor struct {
	Kind ActorKind `json:"kind"`
	ID   string    `json:"id"`
	// OnBehalfOf is whom the caller said it acted for, unchanged.
	OnBehalfOf string `json:"-"`
}

// Platform returns the actor for what Waypost does on its own: calls, retries, expiry,
// settlement, holds. part names the part of Waypost.
func Platform(part string) Actor { return Actor{Kind: ActorPlatform, ID: part} }

// A Type describes a type of event: its name, the version of its shape, and how its data is
// decoded.
type Type struct {
	Name string
	// Version increases when the shape changes in a way that an older reader would misread.
	// It is stored in the event's metadata as "v".
	Version int
	Decode  func(data []byte) (Event, error)
}

// TypeOf returns the type of the event E in its first version.
func TypeOf[E Event]() Type {
	var zero E
	name := zero.EventType()
	return Type{Name: name, Version: 1, Decode: func(data []byte) (Event, error) {
		var e E
		// Several times as fast as the standard library, and used for reading the log.
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
		return e, nil
	}}
}
