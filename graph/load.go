package graph

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// maxEvents is how many events of one message are read at most; it has some ten,
// and its retry budget and throttle limit keep it below a few hundred.
const maxEvents = 10_000

// messageID reads an id. What is no UUID in its plain form is no message's.
func messageID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return uuid.Nil, domain.NotFound("no message %s", id)
	}
	return parsed, nil
}

// load folds a message that the caller reaches; one of another sender is not
// found, like one that is not there.
func (r *Resolver) load(ctx context.Context, id string) (command.Loaded, error) {
	parsed, err := messageID(id)
	if err != nil {
		return command.Loaded{}, err
	}
	l, err := r.opts.Messages.Load(ctx, parsed)
	if err != nil {
		return command.Loaded{}, err
	}
	if !callerOf(ctx).sees(l.Message.Sender) {
		return command.Loaded{}, domain.NotFound("no message %s", id)
	}
	return l, nil
}

// loadAsOf folds what was recorded of a message up to an instant.
func (r *Resolver) loadAsOf(ctx context.Context, id string, asOf time.Time) (command.Loaded, error) {
	parsed, err := messageID(id)
	if err != nil {
		return command.Loaded{}, err
	}
	l, err := foldWhile(ctx, r.opts.Log, parsed, func(e event.Recorded) bool { return !e.Meta.RecordedAt.After(asOf) })
	if err != nil {
		return command.Loaded{}, err
	}
	if !l.Message.Exists() || !callerOf(ctx).sees(l.Message.Sender) {
		return command.Loaded{}, domain.NotFound("no message %s was known then", id)
	}
	return l, nil
}

const (
	// ledgerPatience is how long a ledger of the past waits until the read models have
	// seen all of that time; ledgerPoll is how often it looks. How far they are is known
	// from a moment ago, ledgerMargin at most.
	ledgerPatience = 4 * time.Second
	ledgerPoll     = 50 * time.Millisecond
	ledgerMargin   = time.Second
)

// ledgerAsOf answers the ledger as it was known at an instant.
func (r *Resolver) ledgerAsOf(ctx context.Context, senderID *string, asOf time.Time) (query.Ledger, error) {
	if asOf.After(r.opts.Clock()) {
		return query.Ledger{}, domain.Invalid("asOf", "has not come yet")
	}
	waiting, stop := context.WithTimeout(ctx, ledgerPatience)
	defer stop()
	for {
		now := r.opts.Clock()
		model, err := r.opts.BooksReader.ReadModel(waiting, now)
		if err == nil && asOf.Before(now.Add(-model.Behind-ledgerMargin)) {
			return r.opts.Audit.Ledger(ctx, senderID, asOf)
		}
		select {
		case <-waiting.Done():
			return query.Ledger{}, errors.Join(domain.Unavailable("the read models are behind the log; try again"), err)
		case <-time.After(ledgerPoll):
		}
	}
}

// foldWhile folds a message's events up to the first that is not wanted any more.
func foldWhile(ctx context.Context, log event.Log, id uuid.UUID, wanted func(event.Recorded) bool) (command.Loaded, error) {
	events, err := log.Read(ctx, event.MessageStream(id), 0, maxEvents)
	if err != nil {
		return command.Loaded{}, fmt.Errorf("read message %s: %w", id, err)
	}
	l := command.Loaded{ID: id}
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
	l.Message = message.Fold(records...)
	return l, nil
}
