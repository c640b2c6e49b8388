package graph

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// maxEvents is the maximum number of events read of one message. A message has about
// ten, and its retry budget and throttle limit keep it below a few hundred.
const maxEvents = 10_000

// messageID parses an ID. Only a UUID in its canonical form can be a message ID.
func messageID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return uuid.Nil, domain.NotFound("no message %s", id)
	}
	return parsed, nil
}

// load folds a message that the caller has access to. A message of another sender is
// not found, like one that does not exist.
func (r *Resolver) load(ctx context.Context, id string) (repository.Loaded, error) {
	parsed, err := messageID(id)
	if err != nil {
		return repository.Loaded{}, err
	}
	l, err := r.opts.Queries.FindMessage(ctx, parsed)
	if err != nil {
		return repository.Loaded{}, err
	}
	if !callerOf(ctx).sees(l.Message.Sender) {
		return repository.Loaded{}, domain.NotFound("no message %s", id)
	}
	return l, nil
}

// loadPart loads a listed message for a part that lists don't have.
func loadPart[T any](ctx context.Context, r *Resolver, id string, part func(*message.Message) T) (T, error) {
	l, err := r.load(ctx, id)
	if err != nil {
		var none T
		return none, err
	}
	return part(l.Message), nil
}

// loadAsOf folds the events of a message that were recorded up to a time.
func (r *Resolver) loadAsOf(ctx context.Context, id string, asOf time.Time) (repository.Loaded, error) {
	parsed, err := messageID(id)
	if err != nil {
		return repository.Loaded{}, err
	}
	l, err := foldWhile(ctx, r.opts.Log, parsed, func(e event.Recorded) bool { return !e.Meta.RecordedAt.After(asOf) })
	if err != nil {
		return repository.Loaded{}, err
	}
	if !l.Message.Exists() || !callerOf(ctx).sees(l.Message.Sender) {
		return repository.Loaded{}, domain.NotFound("no message %s was known then", id)
	}
	return l, nil
}

// seesStream reports whether the caller's key has access to everything that a stream is
// about. A key that is limited to senders has access to the streams whose events name
// one of them.
func (r *Resolver) seesStream(ctx context.Context, stream string) (bool, error) {
	c := callerOf(ctx)
	if c.SenderIds == nil {
		return c.KeyID != "", nil
	}
	events, err := r.opts.Log.Read(ctx, stream, 0, 1)
	if err != nil || len(events) == 0 {
		return false, err
	}
	return c.sees(events[0].Meta.Sender), nil
}

const (
	// ledgerPatience is how long a ledger of the past waits until the read models have
	// seen all of that time, and ledgerPoll how often it checks. The known progress of
	// the read models is at most ledgerMargin old.
	ledgerPatience = 4 * time.Second
	ledgerPoll     = 50 * time.Millisecond
	ledgerMargin   = time.Second
)

// ledgerAsOf returns the ledger as of a time.
func (r *Resolver) ledgerAsOf(ctx context.Context, senderID *string, asOf time.Time) (query.Ledger, error) {
	if asOf.After(r.opts.Clock()) {
		return query.Ledger{}, domain.Invalid("asOf", "must not be in the future")
	}
	waiting, stop := context.WithTimeout(ctx, ledgerPatience)
	defer stop()
	for {
		now := r.opts.Clock()
		model, err := r.opts.Queries.ReadModel(waiting, now)
		if err == nil && asOf.Before(now.Add(-model.Behind-ledgerMargin)) {
			return r.opts.Queries.PastLedger(ctx, senderID, asOf)
		}
		if retry.Sleep(waiting, ledgerPoll) != nil {
			return query.Ledger{}, errors.Join(domain.Unavailable("the read models are behind the log; try again"), err)
		}
	}
}

// foldWhile folds a message's events up to the first one that is not wanted.
func foldWhile(ctx context.Context, log event.Log, id uuid.UUID, wanted func(event.Recorded) bool) (repository.Loaded, error) {
	events, err := log.Read(ctx, event.MessageStream(id), 0, maxEvents)
	if err != nil {
		return repository.Loaded{}, fmt.Errorf("read message %s: %w", id, err)
	}
	l := repository.Loaded{ID: id}
	var records []message.Record
	for _, e := range events {
		if !wanted(e) {
			break
		}
		records = append(records, message.Record{Event: e.Event, At: e.Meta.RecordedAt})
		l.Revision, l.Position = e.Revision, e.Position
		if l.Key == "" {
			l.Key, l.ErasedAt = e.Key, e.ErasedAt
		}
	}
	folded := message.Fold(records...)
	l.Message = &folded
	return l, nil
}
