// Package query holds what the read side answers: plain views of what the log has
// led to, and the filters and pages by which they are asked for.
//
// A view says at which position of the log it stands where that matters. Views of
// lists come from read models, which run behind the log by a moment.
package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// MaxPage is the most that one page of messages or dead letters holds.
const MaxPage = 200

// Message is a message as lists show it. Its content stands in the log alone.
type Message struct {
	ID             uuid.UUID
	SenderID       string
	QueuedPosition event.Position
	Revision       event.Revision
	// Position is that of its last event: the cursor behind which nothing of it is missed.
	Position event.Position
	Status   message.Status
	// StatusReason says why, where the status alone doesn't tell.
	StatusReason *string
	// IdempotencyKey, To, ReplyTo and WhatsAppID are nil once erased.
	IdempotencyKey *string
	To             *string
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
	RetryAt        *time.Time
	DeadLetteredAt *time.Time
	Failure        *MessageFailure
	Labels         []message.Label
	// ErasedAt is when its recipient was forgotten.
	ErasedAt *time.Time
}

// MessageFailure is why a message failed last.
type MessageFailure struct {
	message.Failure

	// Details is what WhatsApp said beyond the code.
	Details string `json:"details,omitempty"`
	// At is when the platform recorded it.
	At time.Time `json:"at"`
}

// MessageFilter chooses messages; what is nil or empty doesn't restrict.
type MessageFilter struct {
	SenderID *string
	// SenderIDs are the senders that the caller may see at all; nil means all.
	SenderIDs      []string
	Status         []message.Status
	To             *string
	IdempotencyKey *string
	WhatsAppID     *string
	Labels         []message.Label
	Type           *message.Kind
	Priority       *message.Priority
	Template       *string
	ErrorCategory  *message.Category
	ErrorCode      *int
	// QueuedAfter is exclusive, QueuedBefore too.
	QueuedAfter  *time.Time
	QueuedBefore *time.Time
}

// Page asks for First entries behind the one whose key After is, in the order of
// the list; After 0 starts at the top.
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

// StatusCount is how many messages have a status.
type StatusCount struct {
	Status message.Status
	Count  int64
}

// DeadLetterFilter chooses dead letters; what is nil doesn't restrict.
type DeadLetterFilter struct {
	SenderID           *string
	SenderIDs          []string
	Category           *message.Category
	Code               *int
	Label              *message.Label
	DeadLetteredAfter  *time.Time
	DeadLetteredBefore *time.Time
}

// DeadLetterPage is a page of dead letters, and how many the filter finds in all.
type DeadLetterPage struct {
	// DeadLetters are messages with DeadLetteredAt and Failure set, newest first by
	// the position of Queued.
	DeadLetters []Message
	HasNextPage bool
	TotalCount  int64
	ByCategory  []CategoryCount
}

// CategoryCount is how many failures are of a category.
type CategoryCount struct {
	Category message.Category
	Count    int64
}

// MessageCall is a call of a message, found by the id that WhatsApp gave it.
type MessageCall struct {
	MessageID uuid.UUID
	Call      int
}
