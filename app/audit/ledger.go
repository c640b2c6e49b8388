package audit

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxFolded is the maximum number of messages that a past ledger folds from the log:
	// those that changed since then.
	maxFolded = 100_000
	// ledgerSkew is skew for the ledger. It is shorter because messages within it are
	// folded: 32,000 messages at 1,600 messages per second.
	ledgerSkew = 10 * time.Second
	// foldsAtOnce is the number of messages to read concurrently. A client's connection
	// carries at most 100 streams.
	foldsAtOnce = 48
)

// HistoryReader reads earlier times from a read model. It finds where to look in the event
// log; the events themselves are read from the log.
type HistoryReader interface {
	// PositionsAround returns two positions of a log with an instant between them, if
	// recording times deviate from the order of the log by at most skew. All events up to
	// low were recorded before the instant, and all events from high on after it. The
	// positions can be far apart, at most 0 and event.MaxPosition.
	PositionsAround(ctx context.Context, logID string, at time.Time, skew time.Duration) (low, high event.Position, err error)
	// PastMessages counts the messages that were queued before high and did not change
	// after low, of one sender, or of all senders for nil. It lists the others that were
	// queued before high, at most limit of them.
	PastMessages(ctx context.Context, senderID *string, low, high event.Position, limit int) (query.PastMessages, error)
}

// Ledger returns the ledger at an earlier instant, of one sender, or of all senders if
// senderID is nil.
func (r *Reader) Ledger(ctx context.Context, senderID *string, asOf time.Time) (query.Ledger, error) {
	low, high, err := r.past.PositionsAround(ctx, r.logID, asOf, ledgerSkew)
	if err != nil {
		return query.Ledger{}, err
	}
	found, err := r.past.PastMessages(ctx, senderID, low, high, maxFolded+1)
	if err != nil {
		return query.Ledger{}, err
	}
	if len(found.Others) > maxFolded {
		return query.Ledger{}, domain.Invalid("asOf", "more than %d messages changed since then; set senderId, or a later time", maxFolded)
	}
	folded, err := r.foldAsOf(ctx, found.Others, asOf)
	if err != nil {
		return query.Ledger{}, err
	}
	counts := maps.Clone(found.Counts)
	for _, m := range folded {
		if m.Exists() {
			counts[m.Status]++
			if m.SentTwice {
				found.SentTwice++
			}
			if !m.OverdueSince.IsZero() {
				found.Overdue++
			}
		}
	}
	l := query.Ledger{AsOf: asOf, SentTwice: found.SentTwice, Overdue: found.Overdue}
	for status, n := range counts {
		l.Accepted += n
		l.Add(status.Column(), n)
	}
	l.Balanced = l.Accepted == l.Sum()
	return l, nil
}

// foldAsOf folds messages up to an instant.
func (r *Reader) foldAsOf(ctx context.Context, ids []uuid.UUID, asOf time.Time) ([]message.Message, error) {
	folded := make([]message.Message, len(ids))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, foldsAtOnce)
	var folding sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		folding.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			events, err := r.log.Read(ctx, event.MessageStream(id), 0, maxStream)
			if err != nil {
				cancel(fmt.Errorf("read message %s: %w", id, err))
				return
			}
			var records []message.Record
			for _, e := range events {
				if e.Meta.RecordedAt.After(asOf) {
					break
				}
				records = append(records, message.Record{Event: e.Event, At: e.Meta.RecordedAt})
			}
			folded[i] = message.Fold(records...)
		})
	}
	folding.Wait()
	return folded, context.Cause(ctx)
}
