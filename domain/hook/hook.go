// Package hook holds the outgoing webhooks: who wants to be told which events of the
// messages, at which address. What they are told is no part of it.
package hook

import (
	"net/url"
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// Hook is an outgoing webhook as its events made it.
type Hook struct {
	ID  string
	URL string
	// Types are the names of the events that it wants; none means all of them.
	Types []string
	// Senders are the ids of the senders whose messages it wants; none means all.
	Senders []string
	// Personal says that it gets what is personal, too.
	Personal bool
	// SecretID names the secret in the vault that signs; OldSecretID the one before,
	// which signs as well until OldSecretUntil.
	SecretID, OldSecretID string
	OldSecretUntil        time.Time
	CreatedAt             time.Time
	// DisabledAt is set while it gets nothing; DisabledReason says why, GivenUp that no
	// person wanted it: the receiver failed for too long.
	DisabledAt     time.Time
	DisabledReason string
	GivenUp        bool
	Removed        bool
}

// Disabled reports whether it gets nothing for now.
func (h Hook) Disabled() bool { return !h.DisabledAt.IsZero() }

// Host is where it leads, without what its URL may hold in secret.
func (h Hook) Host() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Wants reports whether it is to be told of an event of a sender's message.
func (h Hook) Wants(eventType, sender string) bool {
	return (len(h.Types) == 0 || slices.Contains(h.Types, eventType)) &&
		(len(h.Senders) == 0 || slices.Contains(h.Senders, sender))
}

// Registered records an outgoing webhook.
type Registered struct {
	Spec

	SecretID string `json:"secretId"`
}

// Changed records that it is to be another.
type Changed struct{ Spec }

// SecretRotated records a new secret. The old one signs as well until then.
type SecretRotated struct {
	SecretID string    `json:"secretId"`
	OldUntil time.Time `json:"oldUntil"`
}

// Disabled records that it gets nothing from now on.
type Disabled struct {
	Reason string `json:"reason,omitempty"`
	// GivenUp is set if the platform did it, since the receiver failed for too long.
	GivenUp bool `json:"givenUp,omitempty"`
}

// Enabled records that it gets what it missed, and goes on.
type Enabled struct{}

// Removed records its end.
type Removed struct{}

// EventType is the name under which it stands in the log.
func (Registered) EventType() string { return "HookRegistered" }

// EventType is the name under which it stands in the log.
func (Changed) EventType() string { return "HookChanged" }

// EventType is the name under which it stands in the log.
func (SecretRotated) EventType() string { return "HookSecretRotated" }

// EventType is the name under which it stands in the log.
func (Disabled) EventType() string { return "HookDisabled" }

// EventType is the name under which it stands in the log.
func (Enabled) EventType() string { return "HookEnabled" }

// EventType is the name under which it stands in the log.
func (Removed) EventType() string { return "HookRemoved" }

// Types lists the event types of an outgoing webhook's stream, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[Registered](), domain.TypeOf[Changed](), domain.TypeOf[SecretRotated](),
		domain.TypeOf[Disabled](), domain.TypeOf[Enabled](), domain.TypeOf[Removed](),
	}
}

// Apply is h after an event that was recorded at a time.
func (h Hook) Apply(e domain.Event, at time.Time) Hook {
	switch e := e.(type) {
	case Registered:
		h.is(e.Spec)
		h.SecretID, h.CreatedAt = e.SecretID, at
	case Changed:
		h.is(e.Spec)
	case SecretRotated:
		h.OldSecretID, h.OldSecretUntil, h.SecretID = h.SecretID, e.OldUntil, e.SecretID
	case Disabled:
		h.DisabledAt, h.DisabledReason, h.GivenUp = at, e.Reason, e.GivenUp
	case Enabled:
		h.DisabledAt, h.DisabledReason, h.GivenUp = time.Time{}, "", false
	case Removed:
		h.Removed = true
	}
	return h
}

func (h *Hook) is(s Spec) {
	h.URL, h.Types, h.Senders, h.Personal = s.URL, s.Types, s.Senders, s.Personal
}

const (
	maxURL  = 2048
	maxList = 1000
)

// Spec is what an outgoing webhook is to be.
type Spec struct {
	URL      string   `json:"url"`
	Types    []string `json:"types,omitempty"`
	Senders  []string `json:"senders,omitempty"`
	Personal bool     `json:"wantsPersonal,omitempty"`
}

// Validate checks it; known are the names of the events that there are.
func (s Spec) Validate(known []string) error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return domain.Invalid("url", "is no http or https URL with a host")
	case u.User != nil:
		return domain.Invalid("url", "holds a user; deliveries are signed, so leave it out")
	case u.Fragment != "":
		return domain.Invalid("url", "has a fragment, which is never sent; leave it out")
	case len(s.URL) > maxURL:
		return domain.Invalid("url", "has %d bytes, at most %d are allowed", len(s.URL), maxURL)
	case len(s.Types) > maxList:
		return domain.Invalid("types", "has %d entries, at most %d are allowed", len(s.Types), maxList)
	case len(s.Senders) > maxList:
		return domain.Invalid("senderIds", "has %d entries, at most %d are allowed", len(s.Senders), maxList)
	}
	for _, t := range s.Types {
		if !slices.Contains(known, t) {
			return domain.Invalid("types", "names %q, which is no event of a message", t)
		}
	}
	return nil
}
