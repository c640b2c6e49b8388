package hook

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// Registered records a new outgoing webhook.
type Registered struct {
	Spec

	SecretID string `json:"secretId"`
}

// Changed records a new configuration.
type Changed struct{ Spec }

// SecretRotated records a new secret. The old one also signs until OldUntil.
type SecretRotated struct {
	SecretID string    `json:"secretId"`
	OldUntil time.Time `json:"oldUntil"`
}

// Disabled records that it receives nothing from now on.
type Disabled struct {
	Reason string `json:"reason,omitempty"`
	// GivenUp is set if Waypost did it because the receiver failed for too long.
	GivenUp bool `json:"givenUp,omitempty"`
}

// Enabled records that it receives what it missed, and further events.
type Enabled struct{}

// Removed records its removal.
type Removed struct{}

// EventType returns its name in the log.
func (Registered) EventType() string { return "HookRegistered" }

// EventType returns its name in the log.
func (Changed) EventType() string { return "HookChanged" }

// EventType returns its name in the log.
func (SecretRotated) EventType() string { return "HookSecretRotated" }

// EventType returns its name in the log.
func (Disabled) EventType() string { return "HookDisabled" }

// EventType returns its name in the log.
func (Enabled) EventType() string { return "HookEnabled" }

// EventType returns its name in the log.
func (Removed) EventType() string { return "HookRemoved" }

// Types lists the event types of an outgoing webhook's stream, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[Registered](), domain.TypeOf[Changed](), domain.TypeOf[SecretRotated](),
		domain.TypeOf[Disabled](), domain.TypeOf[Enabled](), domain.TypeOf[Removed](),
	}
}
