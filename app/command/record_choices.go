package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/webhook"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/sender"
)

// choicesIn returns people's choices about marketing in a delivery, those of the app and those
// made by a keyword. What is for no sender's number has none.
func (h *RecordWebhook) choicesIn(ctx context.Context, d webhook.Delivery, senders map[string]string) ([]item, error) {
	var items []item
	for _, p := range d.Preferences {
		id := senders[p.PhoneNumberID]
		if id == "" {
			continue
		}
		if p.At.IsZero() {
			p.At = h.clock()
		}
		sum := sha256.Sum256(p.Raw)
		items = append(items, choiceItem(conversation.EventID(conversation.FromPreferences, id, hex.EncodeToString(sum[:])), conversation.Choice{
			Sender: id, Source: conversation.FromPreferences, At: p.At, Personal: conversation.ChoicePersonal{Person: p.Person},
		}, p.OptedOut))
	}
	for _, in := range d.Inbound {
		id, who := senders[in.PhoneNumberID], personOfInbound(in)
		// On standby, the message is to another system, which keeps the keywords that it has.
		if id == "" || in.Text == "" || in.Field != "" || len(who.IDs()) == 0 {
			continue
		}
		s, err := h.reports.senders.Load(ctx, id)
		if domain.CodeOf(err) == domain.CodeNotFound {
			s = sender.Sender{} // claimed, but not registered yet: the default keywords
		} else if err != nil {
			return nil, err
		}
		if !conversation.IsKeyword(in.Text, s.Keywords()) {
			continue
		}
		at := in.At
		if at.IsZero() {
			at = h.clock()
		}
		items = append(items, choiceItem(conversation.EventID(conversation.FromKeyword, id, in.WhatsAppID), conversation.Choice{
			Sender: id, Source: conversation.FromKeyword, At: at,
			Personal: conversation.ChoicePersonal{Person: who, WhatsAppID: in.WhatsAppID},
		}, true))
	}
	return items, nil
}

func personOfInbound(in webhook.Inbound) conversation.Person {
	p := conversation.PersonOf(in.From)
	if in.UserID != "" {
		p.UserID = in.UserID
	}
	return p
}

// choiceItem returns the item that records a choice. Choices of one delivery stay in order.
func choiceItem(id uuid.UUID, c conversation.Choice, optedOut bool) item {
	return item{stream: event.MarketingStream(c.Sender), senderID: c.Sender, together: true, new: event.Proposed{
		ID: id, Event: conversation.Of(c, optedOut), Subject: repository.SubjectOfChoice(c.Personal.Person),
	}}
}
