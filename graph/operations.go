package graph

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
)

// Limits of bulk operations.
const (
	// finishedBefore is the maximum number of messages for which a mutation waits until
	// the operation has finished, and waitForOperation the maximum wait.
	finishedBefore   = 500
	waitForOperation = 10 * time.Second
	// maxIDs is the maximum number of IDs in a selection.
	maxIDs = 1000
)

func checkReason(reason string) error {
	return domain.CheckLines("reason", reason, 1, domain.MaxReason)
}

// operate fixes the selection and starts the operation. A small operation has finished
// when operate returns.
func (r *Resolver) operate(ctx context.Context, kind operation.Kind, reason string, selection bulk.Selection, dryRun bool) (*Operation, error) {
	if dryRun {
		selected := 0
		err := selection(ctx, func(ids []uuid.UUID) error { selected += len(ids); return nil })
		return &Operation{ID: r.opts.IDs().String(), State: OperationStateDryRun, Kind: kind, Reason: given(reason), Selected: selected, Refused: []*Refusal{}}, err
	}
	begun, err := r.opts.Commands.StartOperation(ctx, bulk.Request{
		Kind: kind, Reason: reason, Senders: callerOf(ctx).SenderIds, Select: selection,
	}, r.cause(ctx))
	if err != nil {
		return nil, err
	}
	if begun.Selected <= finishedBefore {
		wait, cancel := context.WithTimeout(ctx, waitForOperation)
		defer cancel()
		r.opts.Queries.AwaitOperation(wait, begun.ID) // it continues, and its ID leads to it
	}
	now, err := r.opts.Queries.FindOperation(ctx, begun.ID)
	if err != nil { // it exists anyway, and the caller needs its ID
		now = begun
	}
	return operationOf(now), nil
}

// seesOperation reports whether the caller can see the operation. A key that is limited to
// senders sees only its own.
func (c caller) seesOperation(o bulk.Operation) bool {
	return c.SenderIds == nil || o.By.ID == c.KeyID
}

// operation returns the caller's view of the operation with this ID.
func (r *Resolver) operation(ctx context.Context, id string) (*Operation, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // null is correct for an unknown operation
	}
	found, err := r.opts.Queries.FindOperation(ctx, parsed)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound, err == nil && !callerOf(ctx).seesOperation(found):
		return nil, nil //nolint:nilnil // as above
	case err != nil:
		return nil, err
	}
	return operationOf(found), nil
}

func operationOf(o bulk.Operation) *Operation {
	shown := &Operation{
		ID: o.ID.String(), State: OperationStateRunning, Kind: o.Kind, Reason: given(o.Reason), StartedAt: &o.StartedAt,
		StartedBy: &Actor{Kind: o.By.Kind, ID: o.By.ID, OnBehalfOf: given(o.By.OnBehalfOf)}, Selected: o.Selected, Done: o.Done,
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

// namedOr returns the selection by IDs, or otherwise by filter. Exactly one of the two
// must be given.
func namedOr(ids []string, filtered bool, find bulk.Selection) (bulk.Selection, error) {
	switch {
	case (ids == nil) != filtered:
		return nil, domain.Invalid("input", "must contain exactly one of ids and filter")
	case len(ids) > maxIDs:
		return nil, domain.Invalid("input.ids", "must contain at most %d IDs, got %d; use a filter", maxIDs, len(ids))
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

func (r *Resolver) selectDeadLetters(ctx context.Context, in DeadLetterSelection) (bulk.Selection, error) {
	filter, err := deadLetterFilter(ctx, in.Filter)
	if err != nil {
		return nil, domain.PrefixField("input", err)
	}
	return namedOr(in.Ids, in.Filter != nil, func(ctx context.Context, yield func([]uuid.UUID) error) error {
		return r.opts.Queries.SelectDeadLetters(ctx, filter, yield)
	})
}

// selectCancellable returns the messages that match the filter and can still be
// cancelled.
func (r *Resolver) selectCancellable(ctx context.Context, in MessageSelection) (bulk.Selection, error) {
	if in.Filter != nil && in.Filter.To != nil {
		if err := callerOf(ctx).demandNumber("input.filter.to"); err != nil {
			return nil, err
		}
	}
	if in.Filter != nil && in.Filter.ToUserID != nil {
		if err := callerOf(ctx).demandNumber("input.filter.toUserId"); err != nil {
			return nil, err
		}
	}
	filter, err := messageFilter(ctx, in.Filter)
	if err != nil {
		return nil, domain.PrefixField("input", err)
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
		return r.opts.Queries.SelectMessages(ctx, filter, yield)
	})
}
