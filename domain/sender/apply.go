package sender

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// A Record is an event and the time at which it was recorded.
type Record struct {
	Event domain.Event
	At    time.Time
}

// Fold returns the sender that the records of its stream, in order, lead to. It ignores
// events of other aggregates.
func Fold(records []Record) Sender {
	var s Sender
	for _, r := range records {
		s = s.Apply(r)
	}
	return s
}

// Apply returns the sender after one more record. The receiver doesn't change.
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
	s.OptOutKeywords = e.OptOutKeywords
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
	if e.OptOutKeywords != nil {
		s.OptOutKeywords = e.OptOutKeywords
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
