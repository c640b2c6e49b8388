package graph

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/message"
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
	// QueueDepths answers what waits for each of the senders; one for which nothing
	// does may be left out.
	QueueDepths(ctx context.Context, now time.Time, ids []string) (map[string]query.QueueDepth, error)
}

// BooksReader answers where the messages and the read models are.
type BooksReader interface {
	// Ledger answers the books of one sender, or of all for nil.
	Ledger(ctx context.Context, senderID *string, now time.Time) (query.Ledger, error)
	// ReadModel answers how far the read models have come.
	ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error)
	// ParkedStreams answers what they leave out.
	ParkedStreams(ctx context.Context) ([]query.ParkedStream, error)
}

// HookDeliveryReader answers what was delivered to outgoing webhooks.
type HookDeliveryReader interface {
	// HookDeliveries answers a page of deliveries, the latest first, before an id if
	// one is given, and only those that failed if failed is set.
	HookDeliveries(ctx context.Context, hookID string, failed bool, first int, before int64) (query.HookDeliveryPage, error)
}

// Options are what the API is built of. All but Logger and Origins are required.
type Options struct {
	Log event.Log
	// LogID is the identity of the log, which cursors carry.
	LogID uuid.UUID

	Messages *command.Messages
	Queue    *command.QueueMessage
	Senders  *command.Senders
	// Erase forgets recipients.
	Erase *command.EraseRecipient
	// Operations carries out the bulk operations; who builds it runs it.
	Operations *command.Operations

	MessageReader    MessageReader
	DeadLetterReader DeadLetterReader
	SelectionReader  SelectionReader
	SenderReader     SenderReader
	BooksReader      BooksReader
	MetricsReader    MetricsReader
	AlertReader      AlertReader
	// Alerts acknowledges alerts and changes their rules.
	Alerts *alerts.Alerts
	// CategoryOf is what WhatsApp's error codes are about; false for unknown ones. It
	// may be nil.
	CategoryOf func(code int) (message.Category, bool)

	// Audit reads the log; Reads records who reads it, or personal data.
	Audit *audit.Reader
	Reads *audit.Reads

	// Hooks are the outgoing webhooks.
	Hooks              *command.Hooks
	HookDeliveryReader HookDeliveryReader

	Authenticator Authenticator
	// Keys makes and revokes API keys.
	Keys *command.Keys
	// KeyNames are those of keys that do not stand in the log, by their ids.
	KeyNames map[string]string
	Clock    command.Clock
	IDs      command.IDs
	// Trace follows the mutations; nil: nobody does.
	Trace *trace.Tracer
	// Logger gets internal errors, each under the id that its caller was told.
	// Nothing is logged without one.
	Logger *slog.Logger
	// Origins are the patterns of further origins whose pages may open a WebSocket,
	// such as https://*.example.com; the API's own always may.
	Origins []string
	// Recheck is how often the key of an open stream is looked at again, 250 ms if zero.
	Recheck time.Duration
	// SlowAfter is how long a subscriber may take to read an update before its stream
	// is ended, 10 s if zero.
	SlowAfter time.Duration
}

// Resolver resolves the fields of the schema.
type Resolver struct {
	opts    Options
	errors  errorPresenter
	feed    *feed
	streams sync.WaitGroup // the goroutines of subscriptions
}

// cause is the caller as the one behind a change.
func (r *Resolver) cause(ctx context.Context) command.Cause {
	c := callerOf(ctx)
	return command.Cause{By: c.actor(), CausationID: r.opts.IDs().String(), Traceparent: traceparentOf(ctx)}
}
