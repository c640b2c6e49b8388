package repository

import (
	"context"
	"fmt"
	"strconv"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
)

// recordOptOuts records, before the events of a message, that WhatsApp refused it because the
// person wants no marketing. So a failure that is recorded has its opt-out. If the process ends
// in between, the failure is recorded again, and with it the same opt-out, whose ID is derived.
func (s *Messages) recordOptOuts(ctx context.Context, l *Loaded, meta event.Meta, events []message.Event) error {
	for _, e := range events {
		failed, ok := e.(message.Failed)
		if !ok || !failed.Failure.MarketingOptOut() {
			continue
		}
		who := conversation.Person{Number: l.Message.To, UserID: l.Message.ToUserID}
		if l.locked {
			return domain.Unavailable("message %s cannot be read: its data key is not cached and Postgres is unavailable; try again", l.ID)
		}
		if len(who.IDs()) == 0 {
			continue // erased
		}
		_, err := s.log.Append(ctx, event.MarketingStream(l.Message.Sender), event.Any(), event.Proposed{
			ID: conversation.EventID(conversation.FromError, l.ID.String(), strconv.Itoa(failed.Call)),
			Event: conversation.OptedOut{Choice: conversation.Choice{
				Sender: l.Message.Sender, Source: conversation.FromError, At: failed.At, MessageID: l.ID.String(),
				Personal: conversation.ChoicePersonal{Person: who},
			}},
			Meta: meta, Subject: SubjectOfChoice(who),
		})
		if err != nil {
			return fmt.Errorf("record an opt-out: %w", err)
		}
	}
	return nil
}

// SubjectOfChoice returns whom the event of a person's choice about marketing is about. A person
// who opted out must not get marketing again because the retention period ended.
func SubjectOfChoice(p conversation.Person) event.Subject {
	return event.Subject{People: p.IDs(), Kept: true}
}
