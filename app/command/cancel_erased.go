package command

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// UnsentReader finds the open messages of erased recipients in the read models.
type UnsentReader interface {
	// Unsent returns messages sealed under the keys that are still to be sent and have no
	// call in flight: at most limit of them, ordered by ID, after the given ID.
	Unsent(ctx context.Context, keys []event.KeyID, after uuid.UUID, limit int) ([]uuid.UUID, error)
	// ViewsPosition returns the position that the message read models have reached.
	ViewsPosition(ctx context.Context) (event.Position, error)
}

// cancelBatch is the number of messages of erased recipients to look up at a time.
const cancelBatch = 500

// CancelErased cancels the messages sealed under erased keys that are still to be sent,
// as far as the read models know them. A message that is due is also cancelled by its
// lane. CancelErased also cancels messages that are scheduled, or whose sender is paused.
func (s *Messages) CancelErased(ctx context.Context, unsent UnsentReader, keys []event.KeyID, cause event.Cause) error {
	for after := uuid.Nil; ; {
		ids, err := unsent.Unsent(ctx, keys, after, cancelBatch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := s.Change(ctx, id, cause, func(m message.Message) ([]message.Event, error) {
				return message.CancelErased(m), nil
			}); err != nil {
				return fmt.Errorf("cancel message %s, whose recipient was erased: %w", id, err)
			}
		}
		if len(ids) < cancelBatch {
			return nil
		}
		after = ids[len(ids)-1]
	}
}
