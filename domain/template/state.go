package template

import (
	"slices"
	"strings"
	"time"
)

// The statuses of a template that Waypost acts on. WhatsApp has others and adds more; they
// are kept as words.
// Source: Meta's pages on template management and on the webhook
// message_template_status_update, September 2026.
const (
	StatusApproved        = "APPROVED"
	StatusPending         = "PENDING"
	StatusPaused          = "PAUSED"
	StatusDisabled        = "DISABLED"
	StatusRejected        = "REJECTED"
	StatusInAppeal        = "IN_APPEAL"
	StatusLimitExceeded   = "LIMIT_EXCEEDED"
	StatusArchived        = "ARCHIVED"
	StatusDeleted         = "DELETED"
	StatusPendingDeletion = "PENDING_DELETION"
)

// CategoryMarketing is the category of advertising.
const CategoryMarketing = "MARKETING"

// A Sendability is what to do with the messages of a template.
type Sendability uint8

// The sendabilities of a template.
const (
	// Sendable means that WhatsApp accepts messages of the template, or that nothing is known
	// to the contrary.
	Sendable Sendability = iota
	// Waiting means that WhatsApp accepts none for now, and can accept them later.
	Waiting
	// Unsendable means that WhatsApp will never accept any.
	Unsendable
)

// A Template is the state that a template's events fold to. The zero value has no events.
type Template struct {
	Ref
	Details

	Status   Reported
	Category Reported
	Quality  Reported
	// Reason and ReasonDetail are WhatsApp's words for the status.
	Reason       string
	ReasonDetail string
	// PreviousCategory is the category before the last change. CategoryChangedAt is when the
	// last change was reported.
	PreviousCategory  string
	CategoryChangedAt time.Time
	// Announced is the category that the template will have from AnnouncedFor on, by the
	// report of AnnouncedAt.
	Announced                 string
	AnnouncedFor, AnnouncedAt time.Time
	// AnnouncementEndedAt is when a change of the category was last reported. It ends the
	// announcements before it.
	AnnouncementEndedAt time.Time
	// ListedAt is the time of the listing that Details are from. It is zero if none is, or if
	// the contents have changed since.
	ListedAt time.Time
	// ContentAt is the time of the last report about the contents.
	ContentAt time.Time
}

// Reported is a word of WhatsApp's and the time of the report that it is from.
type Reported struct {
	Value string
	At    time.Time
	// Same are the other values that were reported with the same time, before this one.
	Same []string
}

// adopts reports whether a report changes r: it is not empty, not older than the last one,
// and not a repeated one.
func (r Reported) adopts(value string, at time.Time) bool {
	repeated := at.Equal(r.At) && (value == r.Value || slices.Contains(r.Same, value))
	return value != "" && !at.Before(r.At) && !repeated
}

// set adopts a report if r does, and returns whether it does.
func (r *Reported) set(value string, at time.Time) (adopted bool) {
	if !r.adopts(value, at) {
		return false
	}
	var same []string
	if at.Equal(r.At) && r.Value != "" {
		same = append(slices.Clone(r.Same), r.Value)
	}
	*r = Reported{Value: value, At: at, Same: same}
	return true
}

// Known reports whether the template has events.
func (t Template) Known() bool { return t.Name != "" }

// Removed reports whether the template no longer exists.
func (t Template) Removed() bool { return t.Status.Value == StatusDeleted }

// Listed reports whether the contents of the template are known.
func (t Template) Listed() bool { return !t.ListedAt.IsZero() }

// Sendability returns what to do with messages that are queued.
func (t Template) Sendability() Sendability {
	switch t.Status.Value {
	case StatusPaused, StatusDisabled, StatusPending, StatusInAppeal, StatusLimitExceeded, StatusArchived:
		return Waiting
	case StatusRejected, StatusDeleted, StatusPendingDeletion:
		return Unsendable
	}
	return Sendable
}

// The periods in which operators are alerted about a template.
const (
	// disabledFor is that of a template that WhatsApp disabled, changedFor that of another
	// category.
	disabledFor = 7 * 24 * time.Hour
	changedFor  = 24 * time.Hour
)

// Stopped reports whether operators must know that WhatsApp paused the template, or disabled it
// recently.
func (t Template) Stopped(now time.Time) bool {
	return t.Status.Value == StatusPaused || t.Status.Value == StatusDisabled && now.Sub(t.Status.At) < disabledFor
}

// Recategorized reports whether operators must know that WhatsApp changed the category of the
// template recently, or has announced that it will.
func (t Template) Recategorized(now time.Time) bool {
	return !t.Removed() && (t.Announced != "" || now.Sub(t.CategoryChangedAt) < changedFor)
}

// NormalizeLanguage returns the code of a language in the form that messages use: WhatsApp's
// webhooks can have en-US for en_US.
func NormalizeLanguage(code string) string { return strings.ReplaceAll(code, "-", "_") }
