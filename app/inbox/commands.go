package inbox

import (
	"context"
	"fmt"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/inbound"
)

// Commands are what can be done about messages that people wrote. The caller checks first that
// the key has access to the sender of the message.
type Commands struct {
	log      event.Log
	clock    event.Clock
	ids      event.IDs
	senders  Senders
	whatsApp WhatsApp
}

// NewCommands returns the commands.
func NewCommands(log event.Log, clock event.Clock, ids event.IDs, senders Senders, whatsApp WhatsApp) *Commands {
	return &Commands{log: log, clock: clock, ids: ids, senders: senders, whatsApp: whatsApp}
}

// MarkRead marks a message as read at WhatsApp and then records it. A repeat calls WhatsApp
// again, which changes nothing there. So it can be repeated after any error.
func (c *Commands) MarkRead(ctx context.Context, m Message, typing bool, cause event.Cause) error {
	if m.Personal.WhatsAppID == "" {
		return domain.Conflict("the person's data was erased, so the message cannot be named at WhatsApp")
	}
	s, err := c.senders.Load(ctx, m.SenderID)
	if err != nil {
		return err
	}
	if err := c.whatsApp.MarkRead(ctx, s, m.Personal.WhatsAppID, typing); err != nil {
		return err
	}
	meta := cause.Meta(c.clock())
	meta.Sender = s.ID
	_, err = c.log.Append(ctx, event.ReceiptStream(s.PhoneNumberID), event.Any(), event.Propose(c.ids, meta, inbound.InboundMarkedRead{
		PhoneNumberID: s.PhoneNumberID, InboundID: m.ID, Typing: typing,
	})...)
	if err != nil {
		return fmt.Errorf("record that inbound message %s was marked as read: %w", m.ID, err)
	}
	return nil
}

// OpenFile opens the file of a message. The caller must close it. It returns domain.NotFound if
// the message has no file, or WhatsApp no longer has it.
func (c *Commands) OpenFile(ctx context.Context, m Message) (Media, error) {
	if !m.ErasedAt.IsZero() {
		return Media{}, domain.NotFound("the person's data was erased, and with it the ID of the file")
	}
	file, ok := m.File()
	if !ok {
		return Media{}, domain.NotFound("inbound message %s has no file", m.ID)
	}
	s, err := c.senders.Load(ctx, m.SenderID)
	if err != nil {
		return Media{}, err
	}
	return c.whatsApp.OpenMedia(ctx, s, file.MediaID)
}
