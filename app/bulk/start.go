package bulk

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/operation"
)

const (
	// MaxSelected is the maximum number of messages of one operation.
	MaxSelected = 1_000_000
	// selectionChunk is the number of messages in one event of a selection: about 200 KB.
	selectionChunk = 5_000
)

// Selection passes the messages of an operation to yield, each message once, in chunks of
// any length. It returns yield's error.
type Selection func(ctx context.Context, yield func([]uuid.UUID) error) error

// Request is what an operation does to which messages.
type Request struct {
	Kind   operation.Kind
	Reason string
	// Senders limits the operation to the messages of these senders. If nil, it has no
	// limit.
	Senders []string
	Select  Selection
}

// Start records the selection and starts the operation. If Start is interrupted, the
// operation either was not started, and changes nothing, or runs to its end.
func (r *Runner) Start(ctx context.Context, request Request, cause event.Cause) (Operation, error) {
	if err := domain.CheckReason("reason", request.Reason); err != nil {
		return Operation{}, err
	}
	id := r.ids()
	if err := r.enter(Operation{ID: id}); err != nil {
		return Operation{}, err
	}
	state, err := r.record(ctx, id, request, cause)
	if err != nil {
		r.leave(id)
		return Operation{}, err
	}
	r.publish(state)
	r.started <- id // it has room for all running operations
	return state, nil
}

// record records the selection, the operation, and the operation's entry in the list of
// all operations, in this order. Only an operation in the list is run.
func (r *Runner) record(ctx context.Context, id uuid.UUID, request Request, cause event.Cause) (Operation, error) {
	now := r.clock()
	state := Operation{ID: id, By: cause.By, StartedAt: now, recordedAt: now}
	selected, err := r.recordSelection(ctx, id, request.Select, cause)
	if err != nil {
		return state, err
	}
	started := operation.Started{Kind: request.Kind, Selected: selected, Reason: request.Reason, Senders: request.Senders}
	done, err := r.append(ctx, event.OperationStream(id), event.NoStream(), cause, started)
	if err == nil {
		_, err = r.append(ctx, event.OperationsStream, event.Any(), cause, operation.Opened{Operation: id})
	}
	if err != nil {
		return state, fmt.Errorf("record operation %s: %w", id, err)
	}
	state.Operation, state.revision = operation.Fold(started), done.Revision
	return state, nil
}

// recordSelection records the selection and returns the number of its messages.
func (r *Runner) recordSelection(ctx context.Context, id uuid.UUID, selection Selection, cause event.Cause) (selected int, err error) {
	err = selection(ctx, func(ids []uuid.UUID) error {
		if selected += len(ids); selected > MaxSelected {
			return &domain.Error{
				Code: domain.CodeTooLarge, Field: "input.filter",
				Message: fmt.Sprintf("finds more than the %d messages that one operation can change; narrow it and repeat", MaxSelected),
			}
		}
		for chunk := range slices.Chunk(ids, selectionChunk) {
			if _, err := r.append(ctx, event.SelectionStream(id), event.Any(), cause, operation.Selected{Messages: slices.Clone(chunk)}); err != nil {
				return fmt.Errorf("record the selection of operation %s: %w", id, err)
			}
		}
		return nil
	})
	return selected, err
}
