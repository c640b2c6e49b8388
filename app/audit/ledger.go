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
	// maxFolded is how many messages a ledger of the past folds from the log: those of
	// which something was recorded since.
	maxFolded = 100_000
	// ledgerSkew is skew for the ledger. What lies within it is folded, so it is shorter:
	// at 1,600 messages a second that is 32,000 messages.
	ledgerSkew = 10 * time.Second
	// foldsAtOnce is how many are read side by side; a client's connection carries at
	// most 100 streams.
	foldsAtOnce = 48
)

// Past is what a read model tells of earlier times. It says where in the log to look;
// what stood there is read from the log.
type Past interface {
	// Around answers two positions of a log between which an instant lies: all up to low was
	// recorded before it, all from high on after it, if times are out of the log's order
	// by skew at most. They may be far apart, 0 and event.Last at the most.
	Around(ctx context.Context, logID string, at time.Time, skew time.Duration) (low, high event.Position, err error)
	// PastMessages counts the messages of a sender, of all for nil, that were queued before
	// high and of which nothing was recorded behind low. It lists the others that were
	// queued before high, at most limit of them.
	PastMessages(ctx context.Context, senderID *string, low, high event.Position, limit int) (query.PastMessages, error)
}

// Ledger answers where every message of a sender, of all for nil, was at an instant of
// the past.
func (r *Reader) Ledger(ctx context.Context, senderID *string, asOf time.Time) (query.Ledger, error) {
	low, high, err := r.past.Around(ctx, r.logID, asOf, ledgerSkew)
	if err != nil {
		return query.Ledger{}, err
	}
	found, err := r.past.PastMessages(ctx, senderID, low, high, maxFolded+1)
	if err != nil {
		return query.Ledger{}, err
	}
	if len(found.Others) > maxFolded {
		return query.Ledger{}, domain.Invalid("asOf", "of more than %d messages something was recorded since; give senderId, or a later instant", maxFolded)
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
		}
	}
	l := query.Ledger{AsOf: asOf, SentTwice: found.SentTwice}
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
