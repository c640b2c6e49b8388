package graph

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// QueueOf returns the queue of a sender.
type QueueOf func() (query.QueueDepth, error)

// senderOf returns the view of a folded sender. Its queue is read when it is requested,
// and only once.
func (r *Resolver) senderOf(ctx context.Context, s sender.Sender) *Sender {
	state := s.State()
	v := &Sender{
		ID: s.ID, Name: s.Name, PhoneNumberID: s.PhoneNumberID, DisplayPhoneNumber: given(s.DisplayPhoneNumber),
		BusinessAccountID: given(s.BusinessAccountID), MessagesPerSecond: s.Rate, State: state,
		PausedPriorities: make([]message.Priority, len(s.PausedPriorities)), PauseReason: given(s.PauseReason), OptOutKeywords: s.Keywords(),
	}
	v.Queue = sync.OnceValues(func() (query.QueueDepth, error) {
		found, ok, err := r.opts.Queries.Sender(ctx, s.ID, r.opts.Clock())
		if err == nil && !ok { // the read model has not projected it yet, so it knows of no queue
			found.Queue = query.EmptyQueue()
		}
		return found.Queue, err
	})
	v.Figures = r.figuresOf(ctx, []string{s.ID})(s.ID)
	for i, p := range s.PausedPriorities {
		v.PausedPriorities[i] = message.Priority(p)
	}
	v.Pauses = make([]*LanePause, len(s.Pauses))
	for i, p := range s.Pauses {
		v.Pauses[i] = &LanePause{
			Priority: message.Priority(p.Priority), Reason: p.Reason, Since: p.Since,
			By: &Actor{Kind: p.By.Kind, ID: p.By.ID, OnBehalfOf: given(p.OnBehalfOf)},
		}
	}
	v.Quality = given(s.Quality)
	v.Throughput = given(s.Throughput.MessagesPerSecond)
	if !s.LimitAt.IsZero() {
		v.Allowed = &s.Limit
	}
	v.Restrictions = make([]*SenderRestriction, len(s.Restrictions))
	for i, r := range s.Restrictions {
		v.Restrictions[i] = &SenderRestriction{Type: r.Type, Holds: r.Reach(), Since: r.At, Until: given(r.Until), Reason: given(r.Remedy)}
	}
	if h := heldBy(s); h != nil {
		v.Hold = &SenderHold{Code: h.Code, Category: h.Category, Message: h.Message, Since: h.Since, Advice: h.Advice, Figures: v.Figures}
	}
	switch state {
	case sender.StateHeld:
		v.StateReason = given(v.Hold.Message)
	case sender.StatePaused:
		v.StateReason = given(s.PauseReason)
	case sender.StateActive:
	}
	return v
}

// lanesOf returns the names of priorities.
func lanesOf(priorities []message.Priority) []string {
	lanes := make([]string, len(priorities))
	for i, p := range priorities {
		lanes[i] = string(p)
	}
	return lanes
}

// limitOf returns the messaging limit that WhatsApp reported about a sender, or the one that the
// sender shares with others of its portfolio. Each is nil if there is none.
func limitOf(reported *sender.Limit, counted *query.MessagingLimit) *MessagingLimit {
	switch {
	case counted != nil:
		return &MessagingLimit{
			Limit: &counted.People, Used: &counted.Used, ResetsAt: counted.ResetsAt, Portfolio: &counted.Portfolio,
			RefusedUntil: counted.RefusedUntil, RefusedCode: counted.RefusedCode,
		}
	case reported != nil:
		return &MessagingLimit{Limit: given(reported.People)}
	}
	return nil
}

// heldBy returns why nothing of a sender is sent, if Waypost stopped it.
func heldBy(s sender.Sender) *sender.Held {
	if s.Hold != nil || s.Reach() != sender.ReachAll {
		return s.Hold
	}
	i := slices.IndexFunc(s.Restrictions, func(r sender.Restriction) bool { return r.Reach() == sender.ReachAll })
	r := s.Restrictions[i]
	return &sender.Held{Since: r.At, Fault: sender.Fault{
		Category: string(message.CategoryAccount), Message: "WhatsApp restricts the account: " + r.Type,
		Advice: cmp.Or(r.Remedy, "Request a review in Business Support Home at Meta. Sending resumes when WhatsApp reports the end of the restriction."),
	}}
}

// keywordsOf returns the keywords of an input, or nil if they were omitted.
func keywordsOf(list []string) *[]string {
	if list == nil {
		return nil
	}
	return &list
}

// SendersOf returns the senders of a response with many of them: their queues and
// metrics are read for all at once, when they are requested.
type SendersOf func(ctx context.Context, id string) (*Sender, error)

// shareSenders makes the messages of a response read their senders together.
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
		s, err := r.opts.Queries.FindSender(ctx, id)
		if err != nil {
			return nil, err
		}
		once.Do(func() { // with the request's context, which every message of the response has
			figures = r.figuresOf(ctx, ids)
			queues = sync.OnceValues(func() (map[string]query.QueueDepth, error) {
				return r.opts.Queries.QueueDepths(ctx, r.opts.Clock(), ids)
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

// changeSender decides on a sender that the caller has access to.
func (r *Resolver) changeSender(
	ctx context.Context, id string, change func(cause event.Cause) (sender.Sender, error),
) (*Sender, error) {
	if err := callerOf(ctx).demandSender("id", id); err != nil {
		return nil, err
	}
	s, err := change(r.cause(ctx))
	if err != nil {
		return nil, err
	}
	return r.senderOf(ctx, s), nil
}
