package hook

import (
	"net/url"
	"slices"
	"time"
)

// A Hook is the state that the events of an outgoing webhook fold to.
type Hook struct {
	ID  string
	URL string
	// Types are the names of the events that it receives. If empty, all.
	Types []string
	// Senders are the IDs of the senders whose messages it receives events of. If empty,
	// all.
	Senders []string
	// Personal is set if it also receives personal data.
	Personal bool
	// SecretID is the signing secret in the vault. OldSecretID is the previous one, which
	// also signs until OldSecretUntil.
	SecretID, OldSecretID string
	OldSecretUntil        time.Time
	CreatedAt             time.Time
	// DisabledAt is set while it receives nothing, and DisabledReason is why. GivenUp is
	// set if Waypost disabled it because the receiver failed for too long.
	DisabledAt     time.Time
	DisabledReason string
	GivenUp        bool
	Removed        bool
}

// Disabled reports whether it is disabled.
func (h Hook) Disabled() bool { return !h.DisabledAt.IsZero() }

// Host returns the host of its URL, without parts of the URL that can be secret.
func (h Hook) Host() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Wants reports whether it receives an event of a sender's message.
func (h Hook) Wants(eventType, sender string) bool {
	return (len(h.Types) == 0 || slices.Contains(h.Types, eventType)) &&
		(len(h.Senders) == 0 || slices.Contains(h.Senders, sender))
}
