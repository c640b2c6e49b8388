package sender

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// State is whether a sender's messages are sent. The values are those of the GraphQL schema.
type State string

// The states of a sender.
const (
	StateActive State = "ACTIVE"
	// StatePaused is the state of a sender with every priority paused by an operator.
	StatePaused State = "PAUSED"
	// StateHeld is the state of a sender that Waypost stopped because of its token,
	// account, or payment, or because WhatsApp reported that it can send nothing for now.
	StateHeld State = "HELD"
)

// Priorities lists the priorities that can be paused, the most urgent first. They are
// those of messages.
func Priorities() []string { return domain.Priorities() }

// A Fault is why Waypost holds a sender.
type Fault struct {
	// Code is WhatsApp's error code; nil if there is none.
	Code *int `json:"code,omitempty"`
	// Category is the category of the failure, usually auth, account, or payment.
	Category string `json:"category"`
	// Message describes the problem in a few words.
	Message string `json:"message"`
	// Advice describes in one sentence what to do about it.
	Advice string `json:"advice,omitempty"`
}

// same reports whether both describe the same fault; the wording can differ.
func (f Fault) same(other Fault) bool {
	if (f.Code == nil) != (other.Code == nil) || f.Category != other.Category {
		return false
	}
	return f.Code == nil || *f.Code == *other.Code
}

// Held is a hold that is in effect.
type Held struct {
	Fault
	// Since is when the hold began. A further fault doesn't change it.
	Since time.Time
}

// A Sender is the state that a sender's events fold to. The zero value has no events.
type Sender struct {
	ID   string
	Name string
	// PhoneNumberID is Meta's ID of the phone number.
	PhoneNumberID      string
	DisplayPhoneNumber string
	// BusinessAccountID is Meta's ID of the WhatsApp Business Account.
	BusinessAccountID string
	// Rate is the maximum number of messages per second.
	Rate int
	// TokenID is the current version of the access token in the vault. It is empty for the
	// server's default token.
	TokenID string
	// PausedPriorities are in the order of Priorities.
	PausedPriorities []string
	// PauseReason is the reason given with the latest pause.
	PauseReason string
	// Pauses are the pauses of PausedPriorities. A pause that a version before it recorded in
	// the read model is missing.
	Pauses []LanePause `json:",omitempty"`
	// Hold is nil unless Waypost holds the sender.
	Hold         *Held
	RegisteredAt time.Time
	// OptOutKeywords are the messages by which a person opts out of marketing. If nil, they are
	// the default ones; see Keywords.
	OptOutKeywords *[]string `json:",omitempty"`

	// Quality is WhatsApp's rating of the number, and QualityAt WhatsApp's time of the report of
	// it. They are empty until WhatsApp has reported it; so are the following members.
	Quality   Quality   `json:",omitempty"`
	QualityAt time.Time `json:",omitzero"`
	// Limit is the messaging limit, which all numbers of a business portfolio share.
	Limit       Limit      `json:",omitzero"`
	LimitAt     time.Time  `json:",omitzero"`
	Throughput  Throughput `json:",omitzero"`
	PortfolioID string     `json:",omitempty"`
	PortfolioAt time.Time  `json:",omitzero"`
	// Restrictions are those in effect, by type.
	Restrictions []Restriction `json:",omitempty"`
	// RestoredAt has WhatsApp's time up to which restrictions have ended, by type. Those of all
	// types are under the empty name.
	RestoredAt map[string]time.Time `json:",omitempty"`

	// Version is the number of events that the sender was folded from in this process. Of two
	// readings of one stream, the one with the higher version is newer.
	Version int `json:"-"`
}

// A LanePause is the pause of one priority by an operator.
type LanePause struct {
	Priority string       `json:"priority"`
	Reason   string       `json:"reason"`
	Since    time.Time    `json:"since"`
	By       domain.Actor `json:"by"`
	// OnBehalfOf is whom the caller said it acted for, unchanged.
	OnBehalfOf string `json:"onBehalfOf,omitempty"`
}

// Throughput is what WhatsApp allows a number.
type Throughput struct {
	MessagesPerSecond int `json:"messagesPerSecond"`
	// At is WhatsApp's time of the change.
	At time.Time `json:"at"`
	// PausedUntil is when the change is complete at WhatsApp. Calls before that can fail.
	PausedUntil time.Time `json:"pausedUntil"`
}

// Keywords returns the messages by which a person opts out of marketing, in any case.
func (s Sender) Keywords() []string {
	if s.OptOutKeywords == nil {
		return DefaultOptOutKeywords()
	}
	return *s.OptOutKeywords
}

// DefaultOptOutKeywords returns the keywords of a sender that has none of its own.
func DefaultOptOutKeywords() []string { return []string{"STOP", "UNSUBSCRIBE"} }

// Registered reports whether the sender exists.
func (s Sender) Registered() bool { return s.ID != "" }

// State returns HELD before PAUSED, and ACTIVE if at least one priority is sent.
func (s Sender) State() State {
	switch {
	case s.Hold != nil || s.Reach() == ReachAll:
		return StateHeld
	case len(s.PausedPriorities) == len(Priorities()):
		return StatePaused
	}
	return StateActive
}

// Paused reports whether an operator paused that priority. A hold is not a pause.
func (s Sender) Paused(priority string) bool { return slices.Contains(s.PausedPriorities, priority) }
