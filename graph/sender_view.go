package graph

import (
	"context"
	"sync"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// QueueOf answers what waits for a sender.
type QueueOf func() (query.QueueDepth, error)

// senderOf shows a folded sender. What waits for it is read where it is asked for,
// and once.
func (r *Resolver) senderOf(ctx context.Context, s sender.Sender) *Sender {
	state := s.State()
	v := &Sender{
		ID: s.ID, Name: s.Name, PhoneNumberID: s.PhoneNumberID, DisplayPhoneNumber: given(s.DisplayPhoneNumber),
		BusinessAccountID: given(s.BusinessAccountID), MessagesPerSecond: s.Rate, State: state,
		PausedPriorities: make([]message.Priority, len(s.PausedPriorities)),
	}
	v.Queue = sync.OnceValues(func() (query.QueueDepth, error) {
		found, ok, err := r.opts.SenderReader.Sender(ctx, s.ID, r.opts.Clock())
		if err == nil && !ok { // the read model has not come to it yet: nothing waits that it knows of
			for _, p := range message.Priorities() {
				found.Queue.Lanes = append(found.Queue.Lanes, query.LaneDepth{Priority: p})
			}
		}
		return found.Queue, err
	})
	v.Figures = r.figuresOf(ctx, []string{s.ID})(s.ID)
	for i, p := range s.PausedPriorities {
		v.PausedPriorities[i] = message.Priority(p)
	}
	if h := s.Hold; h != nil {
		v.Hold = &SenderHold{Code: h.Code, Category: h.Category, Message: h.Message, Since: h.Since, Advice: h.Advice, Figures: v.Figures}
	}
	switch state {
	case sender.StateHeld:
		v.StateReason = given(s.Hold.Message)
	case sender.StatePaused:
		v.StateReason = given(s.PauseReason)
	case sender.StateActive:
	}
	return v
}

// changeSender decides on a sender that the caller reaches.
func (r *Resolver) changeSender(
	ctx context.Context, id string, decide func(sender.Sender) ([]domain.Event, error),
) (*Sender, error) {
	if err := callerOf(ctx).demandSender("id", id); err != nil {
		return nil, err
	}
	s, err := r.opts.Senders.Change(ctx, id, r.cause(ctx), decide)
	if err != nil {
		return nil, err
	}
	return r.senderOf(ctx, s), nil
}
