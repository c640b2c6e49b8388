package hook

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// Apply returns h after an event that was recorded at the given time.
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
