package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/domain/sender"
)

// wamids finds messages by WhatsApp's own ids.
type wamids struct{ *postgres.ReadModel }

// MessageOf is the message that WhatsApp gave this wamid; false if none is known yet.
func (w wamids) MessageOf(ctx context.Context, wamid string) (uuid.UUID, bool, error) {
	call, found, err := w.MessageByWhatsAppID(ctx, wamid)
	return call.MessageID, found, err
}

// senderSource lists the senders for dispatch.
type senderSource struct{ model *postgres.ReadModel }

// Senders lists the senders as the read model has them.
func (s senderSource) Senders(ctx context.Context) ([]sender.Sender, error) {
	return s.model.SenderStates(ctx)
}
