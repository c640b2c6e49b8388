package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/conversation"
)

// Conversation is what is known about a sender and a person.
type Conversation struct {
	conversation.Conversation

	SenderID string
	// Person has the person's current IDs, as far as they are known.
	Person conversation.Person
	// LastInbound is where the last message of the person is, or the zero value if there is
	// none.
	LastInbound Place
	// Position is that of the latest news, and the key in a list.
	Position event.Position
}

// Place is where an event is.
type Place struct {
	Stream   string
	Revision event.Revision
}

// ConversationFilter selects conversations. A field that is nil does not filter.
type ConversationFilter struct {
	SenderID *string
	// SenderIDs are the senders that the caller can see. If nil, it can see all of them.
	SenderIDs []string
	OptedOut  *bool
	// WindowOpen selects those whose window is open at Now, or the others.
	WindowOpen *bool
	Now        time.Time
}

// Matches reports whether a conversation is selected, apart from its sender.
func (f ConversationFilter) Matches(c conversation.Conversation) bool {
	return (f.OptedOut == nil || *f.OptedOut == c.Marketing.OptedOut) &&
		(f.WindowOpen == nil || *f.WindowOpen == c.WindowOpenUntil().After(f.Now))
}

// ConversationPage is a page of conversations, most recently changed first.
type ConversationPage struct {
	Conversations []Conversation
	HasNextPage   bool
	// End is the key after which the next page begins.
	End event.Position
}

// ConversationItem is one message of a conversation. MessageID is set if Waypost sent it.
type ConversationItem struct {
	Position  event.Position
	MessageID uuid.UUID
	Place     Place
}

// ConversationItems is a page of the messages of a conversation, latest first.
type ConversationItems struct {
	Items       []ConversationItem
	HasNextPage bool
}
