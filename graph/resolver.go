package graph

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
)

// MessageReader answers lists and counts of messages from a read model.
type MessageReader interface {
	// Messages answers a page of messages, the newest first.
	Messages(ctx context.Context, filter query.MessageFilter, page query.Page) (query.MessagePage, error)
	// MessageCounts answers how many messages have each status; a status that none
	// has may be left out.
	MessageCounts(ctx context.Context, filter query.MessageFilter) ([]query.StatusCount, error)
}

// DeadLetterReader answers lists of dead letters from a read model.
type DeadLetterReader interface {
	// DeadLetters answers a page of dead letters, the newest first.
	DeadLetters(ctx context.Context, filter query.DeadLetterFilter, page query.Page) (query.DeadLetterPage, error)
}

// SenderReader answers senders with what waits for them, from a read model.
type SenderReader interface {
	// Senders answers all senders, by id.
	Senders(ctx context.Context, now time.Time) ([]query.Sender, error)
	// Sender answers one of them; false if the read model has none of that id.
	Sender(ctx context.Context, id string, now time.Time) (query.Sender, bool, error)
}

// BooksReader answers where the messages and the read models are.
type BooksReader interface {
	// Ledger answers the books of one sender, or of all for nil.
	Ledger(ctx context.Context, senderID *string, now time.Time) (query.Ledger, error)
	// ReadModel answers how far the read models have come.
	ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error)
}

// Options are what the API is built of. All but Logger and Origins are required.
type Options struct {
	Log event.Log
	// LogID is the identity of the log, which cursors carry.
	LogID uuid.UUID

	Messages *command.Messages
	Queue    *command.QueueMessage
	Senders  *command.Senders

	MessageReader    MessageReader
	DeadLetterReader DeadLetterReader
	SenderReader     SenderReader
	BooksReader      BooksReader

	Authenticator Authenticator
	Clock         command.Clock
	IDs           command.IDs
	// Logger gets internal errors, each under the id that its caller was told.
	// Nothing is logged without one.
	Logger *slog.Logger
	// Origins are the patterns of further hosts whose pages may open a WebSocket;
	// the API's own host always may.
	Origins []string
	// Recheck is how often the key of an open stream is looked at again, 5 s if zero.
	Recheck time.Duration
}

// Resolver resolves the fields of the schema.
type Resolver struct {
	opts       Options
	errors     errorPresenter
	feed       *feed
	operations *operations
	streams    sync.WaitGroup // the goroutines of subscriptions
}

// cause is the caller as the one behind a change.
func (r *Resolver) cause(ctx context.Context) command.Cause {
	c := callerOf(ctx)
	return command.Cause{By: c.actor(), CausationID: r.opts.IDs().String()}
}
