package graph

import (
	"context"
	"slices"
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
			found.Queue = query.EmptyQueue()
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

// SendersOf shows the senders of an answer with many of them: what waits for them and
// their figures are read for all at once, where they are asked for.
type SendersOf func(ctx context.Context, id string) (*Sender, error)

// shareSenders has the messages of an answer read their senders together.
func shareSenders[T any](r *Resolver, list []T, messageOf func(T) *Message) {
	var ids []string
	var messages []*Message
	for _, each := range list {
		if m := messageOf(each); m != nil {
			messages = append(messages, m)
			ids = append(ids, m.SenderID)
		}
	}
	slices.Sort(ids)
	senders := r.sendersOf(slices.Compact(ids))
	for _, m := range messages {
		m.Senders = senders
	}
}

func (r *Resolver) sendersOf(ids []string) SendersOf {
	var once sync.Once
	var queues func() (map[string]query.QueueDepth, error)
	var figures func(id string) FiguresOf
	return func(ctx context.Context, id string) (*Sender, error) {
		s, err := r.opts.Senders.Load(ctx, id)
		if err != nil {
			return nil, err
		}
		once.Do(func() { // with the request's context, which every message of the answer has
			figures = r.figuresOf(ctx, ids)
			queues = sync.OnceValues(func() (map[string]query.QueueDepth, error) {
				return r.opts.SenderReader.QueueDepths(ctx, r.opts.Clock(), ids)
			})
		})
		v := r.senderOf(ctx, s)
		v.Queue = func() (query.QueueDepth, error) {
			found, err := queues()
			if q, ok := found[id]; ok {
				return q, err
			}
			return query.EmptyQueue(), err
		}
		v.useFigures(figures(id))
		return v, nil
	}
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
