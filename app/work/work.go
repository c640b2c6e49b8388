// Package work defines the work list as dispatch sees it: which messages are open, when each
// item is due, and which process can act on it. The work list is a read model. No
// acknowledgment is written to it; the event that records an outcome is the acknowledgment.
package work

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
)

// State is what to do when an item is due.
type State string

// The states of an item.
const (
	// Ready means that the message can be called.
	Ready State = "READY"
	// Calling means that a call is in flight. When the item is due, its response counts as
	// lost.
	Calling State = "CALLING"
	// Unsettled means that a response was lost. When the item is due, the message's policy
	// decides.
	Unsettled State = "UNSETTLED"
	// Undelivered means that WhatsApp accepted the message and its delivery is awaited. When
	// the item is due, the delivery is overdue. Only List.Undelivered returns such items.
	Undelivered State = "UNDELIVERED"
)

// An Item is one open message.
type Item struct {
	MessageID uuid.UUID
	Sender    string
	Priority  message.Priority
	State     State
	DueAt     time.Time
	ExpiresAt time.Time // zero if it never expires
	// Recipient is equal for the same person. It is the data key that their data is sealed
	// under, not their number.
	Recipient string
	// Template is the message.TemplateKey of the template, or empty.
	Template string
	// Labels are hashes of the message's labels. They can be missing.
	Labels      []string
	Attempt     int
	Call        int
	OnAmbiguous message.AmbiguityPolicy
	Revision    event.Revision
	// Position is the position of the message's last event in the work list, QueuedPosition
	// that of its Queued event, which orders fresh messages.
	Position       event.Position
	QueuedPosition event.Position
	// Fresh is set if the item was never called and never scheduled. All others are timed.
	Fresh bool
	// AwaitsLimit is set while the message waits because of the messaging limit. Then DueAt is only
	// the latest time to look again; see List.Limited.
	AwaitsLimit bool
}

// NewWork reports that the work list has something new for a lane to do, now or later.
type NewWork struct {
	Sender string
	// Priority is the item's priority. If empty, it is not known and can be any.
	Priority message.Priority
}

// A FetchRequest is what one lane has room for.
type FetchRequest struct {
	Sender   string
	Priority message.Priority
	// After is a position. Only fresh items that were queued after it are returned.
	After event.Position
	// Fresh and Timed are the maximum numbers of items of each kind.
	Fresh int
	Timed int
	// SkipRecipients, SkipTemplates, and SkipLabels exclude items that can't be sent for
	// now, so that the lane doesn't read past them repeatedly. A list that returns such
	// items anyway is correct.
	SkipRecipients []string
	SkipTemplates  []string
	SkipLabels     []string
	// Recipient, Template, and Label, if set, exclude all other items. At most one is set.
	Recipient string
	Template  string
	Label     string
}

// A LimitRequest is what one lane has room for among the items that await the messaging limit.
type LimitRequest struct {
	Sender string
	// Portfolio is the business portfolio of the sender.
	Portfolio string
	// Room is the maximum number of items of any people, first those that have waited longest.
	Room int
	// Most is the maximum number of items of people who wrote after the position Wrote in the
	// event log, and of people who were counted after the time Counted: the limit doesn't concern
	// them.
	Most    int
	Wrote   event.Position
	Counted time.Time
	// SkipLabels is as in FetchRequest.
	SkipLabels []string
}

// A List is the work list.
type List interface {
	// Fetch returns, for each request, the items that are Ready and due at now, which can
	// be in the future: first the timed ones by due time, then the fresh ones by position.
	// The position is the one that the work list had reached, read in the same statement.
	Fetch(ctx context.Context, now time.Time, wants []FetchRequest) ([]Item, event.Position, error)
	// Overdue returns items of the senders, or of all senders if none is given: those whose
	// call or settling is due and those that have expired, oldest first.
	Overdue(ctx context.Context, now time.Time, senders []string, limit int) ([]Item, event.Position, error)
	// Undelivered returns the accepted messages of the senders whose delivery was wanted by
	// now, which can be in the future, and is not known, earliest first. They are not in the
	// work list but in the read model of messages. The position is the one that this read
	// model had reached, read in the same statement. While it is far behind the log, none is
	// returned.
	Undelivered(ctx context.Context, now time.Time, senders []string, limit int) ([]Item, event.Position, error)
	// Limited returns items that await the messaging limit and that can be called now, although
	// they are not due: see LimitRequest. The positions are those that the work list and the read
	// model of conversations had reached.
	Limited(ctx context.Context, now time.Time, wants []LimitRequest) (items []Item, list, views event.Position, err error)
}

// The roles of a process that leases depend on.
const (
	RoleDispatch = "dispatch"
	RoleWebhook  = "webhook"
)

// Leases distribute the lanes among processes.
type Leases interface {
	// Heartbeat extends the process's lease until ttl from now, by the database's clock.
	// recordingSince is the time since which it has recorded webhooks without interruption,
	// or zero if it doesn't record them. Heartbeat returns the earliest of these times of all
	// live processes with RoleWebhook, or zero if none of them records webhooks.
	Heartbeat(ctx context.Context, process uuid.UUID, roles []string, recordingSince time.Time, ttl time.Duration) (time.Time, error)
	// Claim makes the process the owner of those senders that no live process owns, up to
	// its share. It returns all senders that the process owns now, and its share: the maximum
	// number of the given senders that each live process with RoleDispatch should own,
	// including this one.
	Claim(ctx context.Context, process uuid.UUID, senders []string) (owned []string, share int, err error)
	// ReleaseLanes frees some of the process's lanes for the next process that claims them.
	// The caller must have stopped writing to them, and their last writes must have left
	// the rate window.
	ReleaseLanes(ctx context.Context, process uuid.UUID, senders []string) error
	// Release frees all lanes of the process.
	Release(ctx context.Context, process uuid.UUID) error
}

// A Recipient is a person of a sender. Exactly one of To and ToUserID is set.
type Recipient struct {
	Sender string
	// To is a number in E.164, and ToUserID a user ID.
	To       string
	ToUserID string
}

// Conversations knows what the people whom messages are to have said. It is a read model.
type Conversations interface {
	// Conversations returns what is known of each recipient, under all IDs that are linked with
	// theirs. The zero Conversation is that of a person of whom nothing is known. The result has
	// at least what the log has up to the position. It returns event.ErrLocked if data keys are
	// unavailable.
	Conversations(ctx context.Context, of []Recipient) ([]conversation.Conversation, event.Position, error)
}
