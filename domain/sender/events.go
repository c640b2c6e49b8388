package sender

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// An Event is an event of a sender's stream. The structs below are the wire form: their JSON
// is stored in the log. None of it is personal.
type Event interface {
	domain.Event
	apply(s *Sender, at time.Time)
}

// Types lists the event types of senders and of their numbers, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[SenderRegistered](), domain.TypeOf[SenderUpdated](), domain.TypeOf[RateChanged](),
		domain.TypeOf[TokenChanged](), domain.TypeOf[SenderPaused](), domain.TypeOf[SenderResumed](), domain.TypeOf[LanesResumed](),
		domain.TypeOf[SenderHeld](), domain.TypeOf[SenderReleased](), domain.TypeOf[NumberClaimed](),
		domain.TypeOf[QualityChanged](), domain.TypeOf[MessagingLimitChanged](), domain.TypeOf[ThroughputChanged](),
		domain.TypeOf[AccountRestricted](), domain.TypeOf[AccountRestored](),
	}
}

// SenderRegistered records that a sender exists. It is the first event of its stream.
type SenderRegistered struct {
	Sender             string `json:"sender"`
	Name               string `json:"name"`
	PhoneNumberID      string `json:"phoneNumberId"`
	DisplayPhoneNumber string `json:"displayPhoneNumber,omitempty"`
	BusinessAccountID  string `json:"businessAccountId,omitempty"`
	MessagesPerSecond  int    `json:"messagesPerSecond"`
	// TokenID is a version of the access token in the vault, never the token itself.
	TokenID string `json:"tokenId,omitempty"`
	// OptOutKeywords are the messages by which a person opts out of marketing. If nil, they
	// are the default ones.
	OptOutKeywords *[]string `json:"optOutKeywords,omitempty"`
}

// SenderUpdated records changes of a sender's details. Nil members are unchanged.
type SenderUpdated struct {
	Name               *string `json:"name,omitempty"`
	DisplayPhoneNumber *string `json:"displayPhoneNumber,omitempty"`
	BusinessAccountID  *string `json:"businessAccountId,omitempty"`
	// OptOutKeywords replaces all keywords.
	OptOutKeywords *[]string `json:"optOutKeywords,omitempty"`
}

// RateChanged records a new rate.
type RateChanged struct {
	MessagesPerSecond int `json:"messagesPerSecond"`
}

// TokenChanged records that another version of the access token is used.
type TokenChanged struct {
	TokenID string `json:"tokenId"`
}

// SenderPaused records that an operator paused these priorities, in addition to those that
// were already paused.
type SenderPaused struct {
	Priorities []string `json:"priorities"`
	Reason     string   `json:"reason"`
}

// SenderResumed records that all priorities were resumed.
type SenderResumed struct{}

// LanesResumed records that some priorities were resumed, and others are still paused.
type LanesResumed struct {
	Priorities []string `json:"priorities"`
}

// SenderHeld records that Waypost stopped the sender, or that another fault occurred while
// it was stopped.
type SenderHeld struct {
	Fault
}

// SenderReleased records that Waypost resumed sending for the sender.
type SenderReleased struct {
	Reason string `json:"reason,omitempty"`
}

// NumberClaimed records, in the stream of a phone number, which sender owns it.
type NumberClaimed struct {
	Sender        string `json:"sender"`
	PhoneNumberID string `json:"phoneNumberId"`
}

// QualityChanged records WhatsApp's rating of the number.
type QualityChanged struct {
	Quality Quality `json:"quality"`
	// At is WhatsApp's time of the report.
	At time.Time `json:"at"`
}

// MessagingLimitChanged records to how many people the business portfolio of the number can start
// conversations in any 24 hours.
type MessagingLimitChanged struct {
	Limit
	// At is WhatsApp's time of the report.
	At time.Time `json:"at"`
}

// ThroughputChanged records how many messages per second WhatsApp allows the number. If the
// sender used all that was allowed before, RateChanged follows.
type ThroughputChanged struct {
	Throughput
}

// AccountRestricted records that WhatsApp restricted the number or its account, or changed a
// restriction of that type.
type AccountRestricted struct {
	Restriction
}

// AccountRestored records that restrictions of the number or its account have ended.
type AccountRestored struct {
	// Type is the type of the restriction. If empty, restrictions of all types have ended.
	Type string `json:"type,omitempty"`
	// At is WhatsApp's time: restrictions that it reported until then have ended.
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

func (SenderRegistered) EventType() string { return "SenderRegistered" }
func (SenderUpdated) EventType() string    { return "SenderUpdated" }
func (RateChanged) EventType() string      { return "RateChanged" }
func (TokenChanged) EventType() string     { return "TokenChanged" }
func (SenderPaused) EventType() string     { return "SenderPaused" }
func (SenderResumed) EventType() string    { return "SenderResumed" }
func (LanesResumed) EventType() string     { return "LanesResumed" }
func (SenderHeld) EventType() string       { return "SenderHeld" }
func (SenderReleased) EventType() string   { return "SenderReleased" }
func (NumberClaimed) EventType() string    { return "NumberClaimed" }

// EventType is "QualityChanged".
func (QualityChanged) EventType() string { return "QualityChanged" }

// EventType is "MessagingLimitChanged".
func (MessagingLimitChanged) EventType() string { return "MessagingLimitChanged" }

// EventType is "ThroughputChanged".
func (ThroughputChanged) EventType() string { return "ThroughputChanged" }

// EventType is "AccountRestricted".
func (AccountRestricted) EventType() string { return "AccountRestricted" }

// EventType is "AccountRestored".
func (AccountRestored) EventType() string { return "AccountRestored" }

// OccurredAt returns WhatsApp's time of the report.
func (e QualityChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the report.
func (e MessagingLimitChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the change.
func (e ThroughputChanged) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the report.
func (e AccountRestricted) OccurredAt() time.Time { return e.At }
