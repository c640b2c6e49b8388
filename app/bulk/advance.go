package bulk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
)

// batchSize is the number of messages to change between two records of progress. After a
// crash, an operation checks at most that many messages again.
const batchSize = 500

// advance changes the remaining messages of the selection and finishes the operation.
func (r *Runner) advance(ctx context.Context, id uuid.UUID) error {
	state, err := r.load(ctx, id)
	if err != nil {
		return err
	}
	r.publish(state)
	cause := event.Cause{By: state.By, CausationID: id.String()}
	if !state.Finished {
		if state, err = r.changeRest(ctx, state, cause); err != nil {
			return err
		}
	}
	if !state.Finished { // nothing was selected
		if _, err = r.recordProgress(ctx, state, operation.Progress{}); err != nil {
			return err
		}
	}
	_, err = r.append(ctx, event.OperationsStream, event.Any(), cause, operation.Closed{Operation: id})
	return err
}

// changeRest changes the messages of the selection after the recorded progress.
func (r *Runner) changeRest(ctx context.Context, state Operation, cause event.Cause) (Operation, error) {
	passed := 0
	err := r.read(ctx, event.SelectionStream(state.ID), 0, func(e event.Recorded) (err error) {
		selected, ok := e.Event.(operation.Selected)
		if !ok {
			return nil
		}
		skip := min(max(state.Through-passed, 0), len(selected.Messages))
		passed += len(selected.Messages)
		for batch := range slices.Chunk(selected.Messages[skip:], batchSize) {
			if state, err = r.changeBatch(ctx, state, batch, cause); err != nil {
				return err
			}
		}
		return nil
	})
	return state, err
}

// changeBatch changes a batch of messages and records the progress.
func (r *Runner) changeBatch(ctx context.Context, state Operation, batch []uuid.UUID, cause event.Cause) (Operation, error) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		refusals = make([]*operation.Refusal, len(batch))
		fault    error
		shown    = state
	)
	for i, id := range batch {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return state, ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-r.slots }()
			refusal, err := r.change(ctx, state, id, cause)
			mu.Lock()
			defer mu.Unlock()
			refusals[i] = refusal
			if err != nil {
				fault = err
				return
			}
			shown = withResult(shown, refusal)
			r.publish(shown)
		})
	}
	wg.Wait()
	if fault != nil {
		return state, fault
	}
	var p operation.Progress
	for _, refusal := range refusals {
		if refusal == nil {
			p.Done++
		} else {
			p.Refused = append(p.Refused, *refusal)
		}
	}
	return r.recordProgress(ctx, state, p)
}

// withResult returns the state to show after one more message of a batch in progress.
func withResult(s Operation, r *operation.Refusal) Operation {
	if r == nil {
		s.Done++
		return s
	}
	s.RefusedCount++
	if len(s.Refused) < operation.MaxRefusals {
		s.Refused = append(slices.Clip(s.Refused), *r)
	}
	return s
}

// recordProgress records the results of a batch.
func (r *Runner) recordProgress(ctx context.Context, state Operation, p operation.Progress) (Operation, error) {
	decided := operation.Advance(state.Operation, p)
	events := make([]domain.Event, len(decided))
	for i, e := range decided {
		events[i] = e
	}
	cause := event.Cause{By: domain.Platform("operations"), CausationID: state.ID.String()}
	done, err := r.append(ctx, event.OperationStream(state.ID), event.ExactRevision(state.revision), cause, events...)
	switch {
	case repository.IsConflict(err):
		return state, errRunningElsewhere
	case err != nil:
		return state, fmt.Errorf("record the progress of operation %s: %w", state.ID, err)
	}
	state.Operation, state.revision, state.recordedAt = state.Apply(events...), done.Revision, r.clock()
	r.publish(state)
	return state, nil
}

// errLocked means that it is unknown whether a message's personal data was erased.
var errLocked = errors.New("the data keys cannot be read, Postgres is unavailable")

// change changes one message. It returns a refusal if the message cannot be changed, and an
// error if that is not known yet, for example because the event store is unavailable.
func (r *Runner) change(ctx context.Context, state Operation, id uuid.UUID, cause event.Cause) (*operation.Refusal, error) {
	err := r.messages.ChangeOnce(ctx, id, cause, func(l repository.Loaded) ([]message.Event, error) {
		m := *l.Message
		reason := domain.CleanLines(state.Reason, domain.MaxReason) // an older version accepted any
		switch {
		case !state.CoversSender(m.Sender):
			return nil, domain.NotFound("no message %s", id)
		case state.Kind == operation.KindCancel:
			return message.Cancel(m, reason)
		case state.Kind == operation.KindRequeue && l.Locked():
			return nil, errLocked
		case state.Kind == operation.KindRequeue:
			return message.Requeue(m, reason, r.clock())
		case state.Kind == operation.KindDiscard:
			return message.Discard(m, reason, r.clock())
		}
		return nil, domain.Invalid("kind", "unknown kind of operation %q; this version does not support it", state.Kind)
	})
	var known *domain.Error
	switch {
	case err == nil:
		return nil, nil //nolint:nilnil // the message did not refuse
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, errLocked), ctx.Err() != nil:
		return nil, err
	case errors.As(err, &known) && known.Code != domain.CodeInternal:
		return &operation.Refusal{MessageID: id.String(), Code: known.Code, Message: known.Message}, nil
	}
	r.logger.ErrorContext(ctx, "operation failed to change a message", "operation", state.ID, "message", id, "error", err)
	return &operation.Refusal{
		MessageID: id.String(), Code: domain.CodeInternal, Message: "internal error; the log has the details under the operation's ID",
	}, nil
}
