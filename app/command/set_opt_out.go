package command

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
)

// recentChoices is the number of choices in which SetOptOut looks for the person's latest one. It
// only matters if the clocks of WhatsApp and of Waypost differ.
const recentChoices = 100

// SetOptOut records people's choices about marketing on request.
type SetOptOut struct {
	log     event.Log
	clock   event.Clock
	ids     event.IDs
	senders *Senders
}

// NewSetOptOut returns the use case.
func NewSetOptOut(log event.Log, clock event.Clock, ids event.IDs, senders *Senders) *SetOptOut {
	return &SetOptOut{log: log, clock: clock, ids: ids, senders: senders}
}

// Handle records that a person, who is given by a number or by a user ID, opted out of a sender's
// marketing, or in again. It returns the person and the choice. It returns domain.NotFound if the
// sender is not registered.
func (h *SetOptOut) Handle(
	ctx context.Context, senderID, to, toUserID string, optedOut bool, reason string, cause event.Cause,
) (conversation.Person, conversation.Marketing, error) {
	number, user, err := message.ParseRecipient(to, toUserID)
	if err != nil {
		return conversation.Person{}, conversation.Marketing{}, err
	}
	who := conversation.Person{Number: number, UserID: user}
	if _, err := h.senders.Load(ctx, senderID); err != nil {
		return who, conversation.Marketing{}, err
	}
	stream, now := event.MarketingStream(senderID), h.clock()
	latest, err := h.latest(ctx, stream, who)
	if err != nil {
		return who, conversation.Marketing{}, err
	}
	e, err := conversation.Set(senderID, who, optedOut, reason, now, latest)
	if err != nil {
		return who, conversation.Marketing{}, err
	}
	meta := cause.Meta(now)
	meta.Sender = senderID
	done, err := h.log.Append(ctx, stream, event.Any(), event.Proposed{ID: h.ids(), Event: e, Meta: meta, Subject: repository.SubjectOfChoice(who)})
	if err != nil {
		return who, conversation.Marketing{}, fmt.Errorf("record an opt-out: %w", err)
	}
	chosen, _ := conversation.MarketingOf(e, int64(done.Position))
	return who, chosen, nil
}

// latest returns the time of a person's latest choice among the recent ones, or zero.
func (h *SetOptOut) latest(ctx context.Context, stream string, who conversation.Person) (latest time.Time, err error) {
	events, err := h.log.ReadBackwards(ctx, stream, recentChoices)
	if err != nil {
		return latest, fmt.Errorf("read recent opt-outs: %w", err)
	}
	for _, r := range events {
		c, ok := conversation.ChoiceIn(r.Event)
		named := slices.ContainsFunc(c.Personal.IDs(), func(id string) bool { return slices.Contains(who.IDs(), id) })
		if ok && named && c.At.After(latest) {
			latest = c.At
		}
	}
	return latest, nil
}
