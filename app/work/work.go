// Package work is the send work-list as dispatch sees it: what is open, when
// each item is due, and which process may act on it. The work-list is a read
// model: no ack is ever written to it, the outcome's event is the ack.
package work

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// State says what is due when an item is due.
type State string

// The states of an item.
const (
	// Ready: the message may be called.
	Ready State = "READY"
	// Calling: a call is under way; when due, its answer counts as lost.
	Calling State = "CALLING"
	// Unsettled: an answer was lost; when due, the message's policy acts.
	Unsettled State = "UNSETTLED"
)

// Item is one open message.
type Item struct {
	MessageID uuid.UUID
	Sender    string
	Priority  message.Priority
	State     State
	DueAt     time.Time
	ExpiresAt time.Time // zero: never
	// Recipient is the same for the same person: the key that their data are sealed
	// under, not their number.
	Recipient   string
	Template    string
	Attempt     int
	Call        int
	OnAmbiguous message.AmbiguityPolicy
	Revision    event.Revision
	// Position is that of the message's last event in the work-list,
	// QueuedPosition that of its Queued: the order among fresh messages.
	Position       event.Position
	QueuedPosition event.Position
	// Fresh items were never called and never scheduled; the others are timed.
	Fresh bool
}

// Arrival says that the work-list has something new for a lane to do, now or later.
type Arrival struct {
	Sender string
	// Priority is that of the item, empty if it is not known: any.
	Priority message.Priority
}

// Want is what one lane has room for.
type Want struct {
	Sender   string
	Priority message.Priority
	// After is the position of Queued behind which fresh items are wanted.
	After event.Position
	// Fresh and Timed are how many items of each kind at most.
	Fresh int
	Timed int
	// SkipRecipients and SkipTemplates leave out what may not be sent for now.
	// They save the lane from reading past it again and again; a list that
	// answers such items nevertheless is correct.
	SkipRecipients []string
	SkipTemplates  []string
	// Recipient and Template, if set, want no items but theirs.
	Recipient string
	Template  string
}

// List is the send work-list.
type List interface {
	// Fetch answers for each want the items that are READY and due at now, which
	// may lie ahead: the timed ones by due time, then the fresh ones by position.
	// The position is how far the work-list was, read in the same statement.
	Fetch(ctx context.Context, now time.Time, wants []Want) ([]Item, event.Position, error)
	// Overdue answers the items of the senders, or of all if none is named, whose
	// call or settling is due or whose message has expired, oldest first.
	Overdue(ctx context.Context, now time.Time, senders []string, limit int) ([]Item, event.Position, error)
}

// The roles of a process that leases go by.
const (
	RoleDispatch = "dispatch"
	RoleWebhook  = "webhook"
)

// Leases share the lanes among processes.
type Leases interface {
	// Heartbeat says that the process lives, until ttl from now by the
	// database's clock. recordingSince is since when it has recorded webhooks
	// without a break, zero if it does not.
	Heartbeat(ctx context.Context, process uuid.UUID, roles []string, recordingSince time.Time, ttl time.Duration) error
	// Claim makes the process the owner of those of the senders that no living
	// process owns, within its fair share, and answers all it owns now.
	Claim(ctx context.Context, process uuid.UUID, senders []string) ([]string, error)
	// Share is how many of so many senders each living process with RoleDispatch
	// should own at most, this one counted among them.
	Share(ctx context.Context, process uuid.UUID, senders int) (int, error)
	// ReleaseLanes gives some of the process's lanes to whoever claims them next.
	// By then nothing of theirs may be written any more, and their last writes
	// must have left the window of the rate.
	ReleaseLanes(ctx context.Context, process uuid.UUID, senders []string) error
	// Release gives the process's lanes back.
	Release(ctx context.Context, process uuid.UUID) error
	// RecordingSince is since when webhooks have been recorded without a break: since
	// the living webhook process that has done so for longest began. False if none
	// lives.
	RecordingSince(ctx context.Context) (time.Time, bool, error)
}
