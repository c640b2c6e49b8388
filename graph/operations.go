package graph

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
)

// Bounds of bulk operations as they are asked for.
const (
	// finishedBefore is up to how many messages an operation is waited for, and
	// waitForOperation how long at most.
	finishedBefore   = 500
	waitForOperation = 10 * time.Second
	// maxIDs is how many messages may be named.
	maxIDs = 1000
	// maxReason bounds what an operator says, in characters: it stands in every event.
	maxReason = 1024
)

// SelectionReader finds the messages of a bulk operation in a read model.
type SelectionReader interface {
	// SelectMessages hands over all messages that the filter finds at one moment.
	SelectMessages(ctx context.Context, filter query.MessageFilter, yield func([]uuid.UUID) error) error
	// SelectDeadLetters does the same with dead letters.
	SelectDeadLetters(ctx context.Context, filter query.DeadLetterFilter, yield func([]uuid.UUID) error) error
}

func checkReason(reason string) error {
	if n := utf8.RuneCountInString(reason); n < 1 || n > maxReason {
		return domain.Invalid("reason", "has %d characters, 1 to %d are allowed", n, maxReason)
	}
	return nil
}

// operate freezes the selection and begins the operation. A small one is over
// when it is answered.
func (r *Resolver) operate(ctx context.Context, kind operation.Kind, reason string, selection command.Selection, dryRun bool) (*Operation, error) {
	if dryRun {
		selected := 0
		err := selection(ctx, func(ids []uuid.UUID) error { selected += len(ids); return nil })
		return &Operation{ID: r.opts.IDs().String(), State: OperationStateDryRun, Selected: selected, Refused: []*Refusal{}}, err
	}
	begun, err := r.opts.Operations.Start(ctx, command.StartOperation{
		Kind: kind, Reason: reason, Senders: callerOf(ctx).SenderIds, Select: selection,
	}, r.cause(ctx))
	if err != nil {
		return nil, err
	}
	if begun.Selected <= finishedBefore {
		wait, cancel := context.WithTimeout(ctx, waitForOperation)
		defer cancel()
		r.opts.Operations.Wait(wait, begun.ID) // it goes on; its id leads to it
	}
	now, err := r.opts.Operations.Find(ctx, begun.ID)
	if err != nil { // it stands all the same, and its id is what the caller needs
		now = begun
	}
	return operationOf(now), nil
}

// operation is the operation with this id as the caller sees it: a key that is
// limited to some senders sees only its own.
func (r *Resolver) operation(ctx context.Context, id string) (*Operation, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // null is the answer for an operation that is not known
	}
	found, err := r.opts.Operations.Find(ctx, parsed)
	c := callerOf(ctx)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound, err == nil && c.SenderIds != nil && found.By.ID != c.KeyID:
		return nil, nil //nolint:nilnil // as above
	case err != nil:
		return nil, err
	}
	return operationOf(found), nil
}

func operationOf(o command.OperationState) *Operation {
	shown := &Operation{
		ID: o.ID.String(), State: OperationStateRunning, Selected: o.Selected, Done: o.Done,
		Refused: make([]*Refusal, len(o.Refused)), RefusedCount: o.RefusedCount,
	}
	if o.Finished {
		shown.State = OperationStateDone
	}
	for i, refusal := range o.Refused {
		shown.Refused[i] = &Refusal{MessageID: refusal.MessageID, Code: string(refusal.Code), Message: refusal.Message}
	}
	return shown
}

// namedOr is the selection of ids, or otherwise that of the filter: exactly one
// of the two is given.
func namedOr(ids []string, filtered bool, find command.Selection) (command.Selection, error) {
	switch {
	case (ids == nil) != filtered:
		return nil, domain.Invalid("input", "needs ids or filter, exactly one")
	case len(ids) > maxIDs:
		return nil, domain.Invalid("input.ids", "has %d ids, at most %d are allowed; use a filter", len(ids), maxIDs)
	case filtered:
		return find, nil
	}
	named, err := distinct(ids)
	return func(_ context.Context, yield func([]uuid.UUID) error) error { return yield(named) }, err
}

func distinct(ids []string) ([]uuid.UUID, error) {
	seen := make(map[uuid.UUID]bool, len(ids))
	out := make([]uuid.UUID, 0, len(ids))
	for _, s := range ids {
		id, err := messageID(s)
		if err != nil {
			return nil, err
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out, nil
}

func (r *Resolver) selectDeadLetters(ctx context.Context, in DeadLetterSelection) (command.Selection, error) {
	filter := deadLetterFilter(ctx, in.Filter)
	return namedOr(in.Ids, in.Filter != nil, func(ctx context.Context, yield func([]uuid.UUID) error) error {
		return r.opts.SelectionReader.SelectDeadLetters(ctx, filter, yield)
	})
}

// selectCancellable finds, of what the filter finds, what may still be cancelled.
func (r *Resolver) selectCancellable(ctx context.Context, in MessageSelection) (command.Selection, error) {
	filter, err := messageFilter(ctx, in.Filter)
	if err != nil {
		return nil, domain.Under("input", err)
	}
	wanted := filter.Status
	filter.Status = []message.Status{}
	for _, s := range []message.Status{message.StatusQueued, message.StatusRetrying} {
		if len(wanted) == 0 || slices.Contains(wanted, s) {
			filter.Status = append(filter.Status, s)
		}
	}
	return namedOr(in.Ids, in.Filter != nil, func(ctx context.Context, yield func([]uuid.UUID) error) error {
		if len(filter.Status) == 0 {
			return nil
		}
		return r.opts.SelectionReader.SelectMessages(ctx, filter, yield)
	})
}
