package sender

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// A Record is an event, when it was recorded, and by whom.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
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
		if p, ok := e.(SenderPaused); ok {
			s.Pauses = p.added(s.Pauses, r)
		}
		s.Version++
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

// added returns the pauses with those of the event, in the order of Priorities.
func (e SenderPaused) added(to []LanePause, r Record) []LanePause {
	var pauses []LanePause
	for _, p := range Priorities() {
		at := slices.IndexFunc(to, func(have LanePause) bool { return have.Priority == p })
		switch {
		case slices.Contains(e.Priorities, p):
			pauses = append(pauses, LanePause{Priority: p, Reason: e.Reason, Since: r.At, By: r.By, OnBehalfOf: r.By.OnBehalfOf})
		case at >= 0:
			pauses = append(pauses, to[at])
		}
	}
	return pauses
}

func (SenderResumed) apply(s *Sender, _ time.Time) {
	s.PausedPriorities, s.Pauses, s.PauseReason = nil, nil, ""
}

func (e LanesResumed) apply(s *Sender, _ time.Time) {
	resumed := func(p string) bool { return slices.Contains(e.Priorities, p) }
	s.PausedPriorities = slices.DeleteFunc(slices.Clone(s.PausedPriorities), resumed)
	s.Pauses = slices.DeleteFunc(slices.Clone(s.Pauses), func(p LanePause) bool { return resumed(p.Priority) })
	if len(s.PausedPriorities) == 0 {
		s.PausedPriorities, s.Pauses, s.PauseReason = nil, nil, ""
	}
}

func (e SenderHeld) apply(s *Sender, at time.Time) {
	if s.Hold != nil {
		at = s.Hold.Since
	}
	s.Hold = &Held{Fault: e.Fault, Since: at}
}

func (SenderReleased) apply(s *Sender, _ time.Time) { s.Hold = nil }

func (e QualityChanged) apply(s *Sender, _ time.Time) { s.Quality, s.QualityAt = e.Quality, e.At }

func (e MessagingLimitChanged) apply(s *Sender, _ time.Time) { s.Limit, s.LimitAt = e.Limit, e.At }

func (e ThroughputChanged) apply(s *Sender, _ time.Time) { s.Throughput = e.Throughput }

func (e AccountRestricted) apply(s *Sender, _ time.Time) {
	s.Restrictions = s.without(func(r Restriction) bool { return r.Type == e.Type })
	s.Restrictions = append(s.Restrictions, e.Restriction)
	slices.SortFunc(s.Restrictions, func(a, b Restriction) int { return cmp.Compare(a.Type, b.Type) })
}

func (e AccountRestored) apply(s *Sender, _ time.Time) {
	s.Restrictions = s.without(func(r Restriction) bool { return (e.Type == "" || r.Type == e.Type) && !r.At.After(e.At) })
	s.RestoredAt = maps.Clone(s.RestoredAt)
	if s.RestoredAt == nil {
		s.RestoredAt = make(map[string]time.Time)
	}
	if e.At.After(s.RestoredAt[e.Type]) {
		s.RestoredAt[e.Type] = e.At
	}
}

// without returns a copy of the restrictions, without those that ended, or nil if none is left.
func (s *Sender) without(ended func(Restriction) bool) []Restriction {
	var left []Restriction
	for _, r := range s.Restrictions {
		if !ended(r) {
			left = append(left, r)
		}
	}
	return left
}
