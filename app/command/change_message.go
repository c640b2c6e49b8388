package command

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain/message"
)

// Cancel calls a message off.
func (s *Messages) Cancel(ctx context.Context, id uuid.UUID, reason string, cause Cause) (Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Cancel(m, reason)
	})
}

// Requeue sends a dead letter again, with a fresh budget.
func (s *Messages) Requeue(ctx context.Context, id uuid.UUID, reason string, cause Cause) (Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Requeue(m, reason, s.clock())
	})
}

// Discard drops a dead letter.
func (s *Messages) Discard(ctx context.Context, id uuid.UUID, reason string, cause Cause) (Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Discard(m, reason, s.clock())
	})
}
