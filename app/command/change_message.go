package command

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain/message"
)

// Cancel cancels a message that has no call in flight and was not accepted by WhatsApp.
func (s *Messages) Cancel(ctx context.Context, id uuid.UUID, reason string, cause event.Cause) (repository.Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Cancel(m, reason)
	})
}

// Requeue queues a dead letter again, with a new retry budget.
func (s *Messages) Requeue(ctx context.Context, id uuid.UUID, reason string, cause event.Cause) (repository.Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Requeue(m, reason, s.clock())
	})
}

// Discard closes a dead letter without sending it.
func (s *Messages) Discard(ctx context.Context, id uuid.UUID, reason string, cause event.Cause) (repository.Loaded, error) {
	return s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
		return message.Discard(m, reason, s.clock())
	})
}
