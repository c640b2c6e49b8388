// Package query defines the results of queries: plain views of what the event log has led
// to, and the filters and pages that select them.
//
// A view contains its log position where that matters. Views of lists come from read
// models, which are a moment behind the log.
package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// MaxPage is the maximum number of messages or dead letters in one page.
const MaxPage = 200

// Message is a message as lists show it. Its content is stored only in the event log.
type Message struct {
	ID             uuid.UUID
	SenderID       string
	QueuedPosition event.Position
	Revision       event.Revision
	// Position is the position of its last event. A subscriber that starts after it misses
	// nothing of the message.
	Position event.Position
	Status   message.Status
	// StatusReason is the reason for the status, where the status alone does not tell.
	StatusReason *string
	// IdempotencyKey, To, ToUserID, ReplyTo, and WhatsAppID are nil once the recipient is
	// erased. Before, one of To and ToUserID is not nil.
	IdempotencyKey *string
	To             *string
	ToUserID       *string
	ReplyTo        *string
	WhatsAppID     *string
	Type           message.Kind
	Priority       message.Priority
	OnAmbiguous    message.AmbiguityPolicy
	Template       *string
	Attempts       int
	Calls          int
	SentTwice      bool
	QueuedAt       time.Time
	SendAt         *time.Time
	ExpiresAt      *time.Time
	SentAt         *time.Time
	DeliveredAt    *time.Time
	ReadAt         *time.Time
	// OverdueSince is the time since which the delivery is overdue, or nil if it is not or
	// no longer.
	OverdueSince   *time.Time
	RetryAt        *time.Time
	DeadLetteredAt *time.Time
	Failure        *MessageFailure
	Labels         []message.Label
	// ErasedAt is when the recipient was erased.
	ErasedAt *time.Time
}

// MessageFailure is the last failure of a message.
type MessageFailure struct {
	message.Failure

	// Details is what WhatsApp reported in addition to the code.
	Details string `json:"details,omitempty"`
	// At is when Waypost recorded the failure.
	At time.Time `json:"at"`
}

// MessageFilter selects messages. A field that is nil or empty does not filter.
type MessageFilter struct {
	SenderID *string
	// SenderIDs are the senders that the caller can see. If nil, it can see all of them.
	SenderIDs []string
	Status    []message.Status
	// To is a number and ToUserID a user ID.
	To             *string
	ToUserID       *string
	IdempotencyKey *string
	WhatsAppID     *string
	Labels         []message.Label
	Type           *message.Kind
	Priority       *message.Priority
	Template       *string
	ErrorCategory  *message.Category
	ErrorCode      *int
	// Overdue selects the messages whose delivery is overdue, or the others.
	Overdue *bool
	// QueuedAfter and QueuedBefore are exclusive.
	QueuedAfter  *time.Time
	QueuedBefore *time.Time
}

// Page selects First entries after the one with the key After, in the order of the list. If
// After is 0, the page starts at the top.
type Page struct {
	First int
	After event.Position
}

// MessagePage is a page of messages, newest first. The key of an entry is its
// QueuedPosition.
type MessagePage struct {
	Messages    []Message
	HasNextPage bool
}

// StatusCount is the number of messages with a status.
type StatusCount struct {
	Status message.Status
	Count  int64
}

// DeadLetterFilter selects dead letters. A field that is nil does not filter.
type DeadLetterFilter struct {
	SenderID           *string
	SenderIDs          []string
	Category           *message.Category
	Code               *int
	Label              *message.Label
	DeadLetteredAfter  *time.Time
	DeadLetteredBefore *time.Time
}

// DeadLetterPage is a page of dead letters, and the total number that the filter finds.
type DeadLetterPage struct {
	// DeadLetters are messages with DeadLetteredAt and Failure set, newest first by
	// the position of Queued.
	DeadLetters []Message
	HasNextPage bool
	TotalCount  int64
	ByCategory  []CategoryCount
}

// CategoryCount is the number of failures in a category.
type CategoryCount struct {
	Category message.Category
	Count    int64
}

// MessageCall is a call of a message, found by the ID that WhatsApp gave it.
type MessageCall struct {
	MessageID uuid.UUID
	Call      int
}
