package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/operation"
)

// errLocked says that nobody can tell now whether a message's personal data are erased.
var errLocked = errors.New("the data keys cannot be read, Postgres is away")

// change does with one message what the operation is for. It answers why the
// message refuses; an error means that this cannot be said now.
func (o *Operations) change(ctx context.Context, state OperationState, id uuid.UUID, cause Cause) (*operation.Refusal, error) {
	err := o.messages.changeOnce(ctx, id, cause, func(l Loaded) ([]message.Event, error) {
		m := l.Message
		switch {
		case !state.Reaches(m.Sender):
			return nil, domain.NotFound("no message %s", id)
		case state.Kind == operation.KindCancel:
			return message.Cancel(m, state.Reason)
		case state.Kind == operation.KindRequeue && l.locked:
			return nil, errLocked
		case state.Kind == operation.KindRequeue:
			return message.Requeue(m, state.Reason, o.clock())
		case state.Kind == operation.KindDiscard:
			return message.Discard(m, state.Reason, o.clock())
		}
		return nil, domain.Invalid("kind", "%q is no kind of operation that this version knows", state.Kind)
	})
	var known *domain.Error
	switch {
	case err == nil:
		return nil, nil //nolint:nilnil // it did not refuse
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, errLocked), ctx.Err() != nil:
		return nil, err
	case errors.As(err, &known) && known.Code != domain.CodeInternal:
		return &operation.Refusal{MessageID: id.String(), Code: known.Code, Message: known.Message}, nil
	}
	o.logger.ErrorContext(ctx, "an operation cannot change a message", "operation", state.ID, "message", id, "error", err)
	return &operation.Refusal{
		MessageID: id.String(), Code: domain.CodeInternal, Message: "internal error; the log has the rest under the operation's id",
	}, nil
}

// changeOnce is Change for a cause that changes a message only once: when an
// event of the message names it as its cause already, nothing is left to do. It
// always asks the log, which alone knows the causes.
func (s *Messages) changeOnce(
	ctx context.Context, id uuid.UUID, cause Cause, decide func(Loaded) ([]message.Event, error),
) error {
	for range maxConflicts {
		era := s.cache.era()
		events, err := s.log.Read(ctx, event.MessageStream(id), 0, maxHistory)
		if err != nil {
			return fmt.Errorf("load message %s: %w", id, err)
		}
		if len(events) == 0 {
			return domain.NotFound("no message %s", id)
		}
		for _, e := range events {
			if e.Meta.CausationID == cause.CausationID {
				return nil
			}
		}
		l := loaded(id, events, era)
		decided, err := decide(l)
		if err != nil || len(decided) == 0 {
			return err
		}
		err = s.Append(ctx, &l, cause, decided...)
		var wrong *event.WrongRevisionError
		if !errors.As(err, &wrong) {
			return err
		}
	}
	return domain.Unavailable("message %s is being changed by too many at once; try again", id)
}
