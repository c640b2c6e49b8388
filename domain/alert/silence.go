package alert

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// maxSilenced is the longest time until the end of a silence, so that no alert is forgotten.
const maxSilenced = 90 * 24 * time.Hour

// A Silence keeps the notifications of some alerts back until a time. The alerts are still
// raised and resolved. The zero value has no events.
type Silence struct {
	ID string `json:"id"`
	// Kind is the kind of the alerts that it covers. If empty, it covers all kinds.
	Kind Kind `json:"kind,omitempty"`
	// Sender is the sender of these alerts. If empty, it covers those of all senders, and
	// those that are about none.
	Sender    string    `json:"sender,omitempty"`
	Reason    string    `json:"reason"`
	StartedAt time.Time `json:"startedAt"`
	// Until is its end: the planned one, or when an operator ended it.
	Until time.Time    `json:"until"`
	By    domain.Actor `json:"by"`
	// OnBehalfOf is whom the caller said it acted for, unchanged.
	OnBehalfOf string `json:"onBehalfOf,omitempty"`
}

// Active reports whether the silence has not ended.
func (s Silence) Active(now time.Time) bool { return now.Before(s.Until) }

// covers reports whether the silence is about alerts of this kind and sender.
func (s Silence) covers(k Kind, sender string) bool {
	return (s.Kind == "" || s.Kind == k) && (s.Sender == "" || s.Sender == sender)
}

// Apply returns the silence after one more record.
func (s Silence) Apply(r Record) Silence {
	switch e := r.Event.(type) {
	case SilenceStarted:
		s.Kind, s.Sender, s.Reason, s.Until = e.Kind, e.Sender, e.Reason, e.Until
		s.StartedAt, s.By, s.OnBehalfOf = r.At, r.By, r.By.OnBehalfOf
	case SilenceEnded:
		if s.Active(r.At) {
			s.Until = r.At
		}
	}
	return s
}

// Covering returns the active silence that covers alerts of this kind and sender for the
// longest time, or nil if there is none.
func Covering(silences []Silence, k Kind, sender string, now time.Time) *Silence {
	var longest *Silence
	for _, s := range silences {
		if s.Active(now) && s.covers(k, sender) && (longest == nil || s.Until.After(longest.Until)) {
			longest = &s
		}
	}
	return longest
}

// StartSilence starts a silence of alerts of a kind and a sender, each of which can be empty
// for all.
func StartSilence(k Kind, sender, reason string, until, now time.Time) (SilenceStarted, error) {
	kind := k.traits()
	if k != "" && kind.initial.Kind == "" {
		return SilenceStarted{}, domain.Invalid("kind", "there is no kind %q", k)
	}
	if k != "" && sender != "" && !kind.ofSenders {
		return SilenceStarted{}, domain.Invalid("senderId", "an alert of %s is about the installation, not a sender", k)
	}
	if err := domain.CheckLines("reason", reason, 1, domain.MaxReason); err != nil {
		return SilenceStarted{}, err
	}
	if !until.After(now) || until.Sub(now) > maxSilenced {
		return SilenceStarted{}, domain.Invalid("until", "must be in the future, at most 90 days from now")
	}
	return SilenceStarted{Kind: k, Sender: sender, Reason: reason, Until: until.UTC()}, nil
}

// EndSilence ends a silence early. One that has already ended stays unchanged.
func EndSilence(s Silence, now time.Time) []domain.Event {
	if !s.Active(now) {
		return nil
	}
	return []domain.Event{SilenceEnded{}}
}

// SetSilence puts an alert under a silence, or under none if by is nil. A resolved alert stays
// unchanged.
func SetSilence(a Alert, by *Silence) []domain.Event {
	switch have := a.Silence; {
	case !a.Open() || by == nil && have == nil:
		return nil
	case by == nil:
		return []domain.Event{AlertUnsilenced{Notify: a.Unheard && a.State == Raised}}
	case have != nil && have.ID == by.ID && have.Until.Equal(by.Until):
		return nil
	default:
		return []domain.Event{AlertSilenced{Silence: *by}}
	}
}
