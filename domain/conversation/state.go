package conversation

import (
	"slices"
	"time"
)

// Window is how long WhatsApp accepts free-form messages to a person after the person wrote or
// called.
// Source: Meta's page about sending messages, customer service windows.
const Window = 24 * time.Hour

// closed are WhatsApp's types of inbound messages that are not known to open the window: Meta
// documents it for messages and calls only.
var closed = []string{"reaction", "system", "edit", "revoke", "unsupported", "unknown", "request_welcome", ""}

// Opens reports whether a message of a person opens the window. kind is WhatsApp's word for its
// type.
func Opens(kind string) bool { return !slices.Contains(closed, kind) }

// ByPerson reports whether an inbound message is something that the person wrote, and not a
// notice of WhatsApp's about the person.
func ByPerson(kind string) bool { return kind != "system" }

// Conversation is what is known about one sender and one person. Times that are unknown are zero.
type Conversation struct {
	// InboundAt is when the person wrote last.
	InboundAt time.Time
	// OpenedAt is when the person last wrote or called so that the window opened.
	OpenedAt time.Time
	// RefusedAt is when the last call began that WhatsApp refused because the window was closed.
	RefusedAt time.Time
	// EchoedAt is when the number last wrote to the person without Waypost.
	EchoedAt time.Time
	// FreeUntil is the end of the latest free entry point, as WhatsApp reported it. Until then,
	// messages cost nothing. It opens no window.
	FreeUntil time.Time
	// Marketing is the person's latest choice.
	Marketing Marketing
}

// Marketing is what a person chose about marketing. The zero value is that of a person who never
// did.
type Marketing struct {
	OptedOut bool
	At       time.Time
	Source   Source
	// Position orders choices of the same second.
	Position int64
}

// WindowOpenUntil returns the end of the window, or zero if no message is known that opened it,
// or if WhatsApp refused a message since. The window can have ended.
func (c Conversation) WindowOpenUntil() time.Time {
	// The person's time is in whole seconds. If it is that of the refused call, the person can
	// have written after the call.
	if c.OpenedAt.IsZero() || c.OpenedAt.Before(c.RefusedAt.Truncate(time.Second)) {
		return time.Time{}
	}
	return c.OpenedAt.Add(Window)
}

// OptedOutSince returns when the person opted out of marketing, or zero if they did not.
func (c Conversation) OptedOutSince() time.Time {
	if !c.Marketing.OptedOut {
		return time.Time{}
	}
	return c.Marketing.At
}

// Merge returns what both know together: of each fact, the latest.
func (c Conversation) Merge(o Conversation) Conversation {
	c.InboundAt = later(c.InboundAt, o.InboundAt)
	c.OpenedAt = later(c.OpenedAt, o.OpenedAt)
	c.RefusedAt = later(c.RefusedAt, o.RefusedAt)
	c.EchoedAt = later(c.EchoedAt, o.EchoedAt)
	c.FreeUntil = later(c.FreeUntil, o.FreeUntil)
	c.Marketing = c.Marketing.later(o.Marketing)
	return c
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (m Marketing) later(o Marketing) Marketing {
	if n := o.At.Compare(m.At); n > 0 || n == 0 && o.Position > m.Position {
		return o
	}
	return m
}

// Before returns what is known from before a time, of facts that have one: those of a person
// whose number passed to someone else then.
func (c Conversation) Before(until time.Time) Conversation {
	for _, at := range []*time.Time{&c.InboundAt, &c.OpenedAt, &c.RefusedAt, &c.EchoedAt} {
		if !at.Before(until) {
			*at = time.Time{}
		}
	}
	if !c.Marketing.At.Before(until) {
		c.Marketing = Marketing{}
	}
	c.FreeUntil = time.Time{}
	return c
}
