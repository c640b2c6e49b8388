package sender

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// State is whether a sender's messages go out. The values are those of the
// GraphQL schema.
type State string

// The states of a sender.
const (
	StateActive State = "ACTIVE"
	// StatePaused is the state of a sender of which people paused every priority.
	StatePaused State = "PAUSED"
	// StateHeld is the state of a sender that the platform stopped for a fault of
	// its token, account or payment.
	StateHeld State = "HELD"
)

// Priorities lists the priorities that can be paused, the most urgent first.
// They are those of messages.
func Priorities() []string { return []string{"OTP", "TRANSACTIONAL", "BULK"} }

// Fault is why the platform holds a sender.
type Fault struct {
	// Code is WhatsApp's error code; nil if there is none.
	Code *int `json:"code,omitempty"`
	// Category is that of the failure: auth, account or payment, mostly.
	Category string `json:"category"`
	// Message says in a few words what is wrong.
	Message string `json:"message"`
	// Advice says in a sentence what to do about it.
	Advice string `json:"advice,omitempty"`
}

// same reports whether both tell of the same fault; its wording may differ.
func (f Fault) same(other Fault) bool {
	if (f.Code == nil) != (other.Code == nil) || f.Category != other.Category {
		return false
	}
	return f.Code == nil || *f.Code == *other.Code
}

// Held is a hold that lasts.
type Held struct {
	Fault
	// Since is when the hold began; a further fault does not move it.
	Since time.Time
}

// Sender is a sender as its events tell. The zero value is one of which nothing
// is recorded.
type Sender struct {
	ID   string
	Name string
	// PhoneNumberID is Meta's id of the phone number.
	PhoneNumberID      string
	DisplayPhoneNumber string
	// BusinessAccountID is Meta's id of the WhatsApp Business Account.
	BusinessAccountID string
	// Rate is how many messages a second the sender may send at most.
	Rate int
	// TokenID is the version of the access token that counts in the vault; empty
	// for the server's default token.
	TokenID string
	// PausedPriorities are in the order of Priorities.
	PausedPriorities []string
	// PauseReason is what was given with the latest pause.
	PauseReason string
	// Hold is nil unless the platform holds the sender.
	Hold         *Held
	RegisteredAt time.Time
}

// Registered reports whether the sender exists.
func (s Sender) Registered() bool { return s.ID != "" }

// State is HELD before PAUSED, and ACTIVE as long as one priority goes out.
func (s Sender) State() State {
	switch {
	case s.Hold != nil:
		return StateHeld
	case len(s.PausedPriorities) == len(Priorities()):
		return StatePaused
	}
	return StateActive
}

// Paused reports whether people paused that priority. A hold is no pause.
func (s Sender) Paused(priority string) bool { return slices.Contains(s.PausedPriorities, priority) }

// Record is an event and when it was recorded.
type Record struct {
	Event domain.Event
	At    time.Time
}

// Fold makes the sender of the records of its stream, in their order. Events
// that are none of a sender change nothing.
func Fold(records []Record) Sender {
	var s Sender
	for _, r := range records {
		s = s.Apply(r)
	}
	return s
}

// Apply is the sender after one more record. The receiver stays as it was.
func (s Sender) Apply(r Record) Sender {
	if e, ok := r.Event.(Event); ok {
		e.apply(&s, r.At)
	}
	return s
}

func (e SenderRegistered) apply(s *Sender, at time.Time) {
	s.ID, s.Name = e.Sender, e.Name
	s.PhoneNumberID, s.DisplayPhoneNumber = e.PhoneNumberID, e.DisplayPhoneNumber
	s.BusinessAccountID = e.BusinessAccountID
	s.Rate, s.TokenID = e.MessagesPerSecond, e.TokenID
	s.RegisteredAt = at
}

func (e SenderUpdated) apply(s *Sender, _ time.Time) {
	if e.Name != nil {
		s.Name = *e.Name
	}
	if e.DisplayPhoneNumber != nil {
		s.DisplayPhoneNumber = *e.DisplayPhoneNumber
	}
	if e.BusinessAccountID != nil {
		s.BusinessAccountID = *e.BusinessAccountID
	}
}

func (e RateChanged) apply(s *Sender, _ time.Time)  { s.Rate = e.MessagesPerSecond }
func (e TokenChanged) apply(s *Sender, _ time.Time) { s.TokenID = e.TokenID }

func (e SenderPaused) apply(s *Sender, _ time.Time) {
	s.PausedPriorities = slices.DeleteFunc(Priorities(), func(p string) bool {
		return !s.Paused(p) && !slices.Contains(e.Priorities, p)
	})
	s.PauseReason = e.Reason
}

func (SenderResumed) apply(s *Sender, _ time.Time) { s.PausedPriorities, s.PauseReason = nil, "" }

func (e SenderHeld) apply(s *Sender, at time.Time) {
	if s.Hold != nil {
		at = s.Hold.Since
	}
	s.Hold = &Held{Fault: e.Fault, Since: at}
}

func (SenderReleased) apply(s *Sender, _ time.Time) { s.Hold = nil }
