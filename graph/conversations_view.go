package graph

import (
	"cmp"
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
)

// personID returns an ID by which a person can be looked up.
func personID(p conversation.Person) string { return cmp.Or(p.Number, p.UserID) }

// personGiven returns the ID of the person that a caller looks up.
func personGiven(c caller, to, toUserID *string) (string, error) {
	field := "to"
	if to == nil && toUserID != nil {
		field = "toUserId"
	}
	if err := c.demandNumber(field); err != nil {
		return "", err
	}
	number, user, err := message.ParseRecipient(or(to, ""), or(toUserID, ""))
	return cmp.Or(number, user), err
}

// conversationFilter returns the filter of the read side, limited to what the caller has access
// to.
func (r *Resolver) conversationFilter(ctx context.Context, in *ConversationFilter) query.ConversationFilter {
	f := query.ConversationFilter{SenderIDs: callerOf(ctx).SenderIds, Now: r.opts.Clock()}
	if in != nil {
		f.SenderID, f.OptedOut, f.WindowOpen = in.SenderID, in.OptedOut, in.WindowOpen
	}
	return f
}

// conversationOf returns the caller's view of a conversation.
func (r *Resolver) conversationOf(ctx context.Context, known query.Conversation) *Conversation {
	c := callerOf(ctx)
	v := &Conversation{
		SenderID: known.SenderID, To: c.number(known.Person.Number), ToUserID: c.userID(known.Person.UserID),
		LastInboundAt: instant(known.InboundAt), WindowOpenUntil: instant(known.WindowOpenUntil()), FreeUntil: instant(known.FreeUntil),
		OptedOut: known.Marketing.OptedOut, OptedOutSince: instant(known.OptedOutSince()), Known: known,
	}
	if known.Marketing.OptedOut {
		source := OptOutSource(strings.ToUpper(string(known.Marketing.Source)))
		v.OptOutSource = &source
	}
	return v
}

// conversationMessages returns the caller's views of messages. One that cannot be found is nil.
func (r *Resolver) conversationMessages(ctx context.Context, items []query.ConversationItem) ([]*ConversationMessage, error) {
	var ids []uuid.UUID
	for _, i := range items {
		if i.MessageID != uuid.Nil {
			ids = append(ids, i.MessageID)
		}
	}
	sent, err := r.opts.Queries.MessagesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*Message, len(sent))
	views := make([]*Message, len(sent))
	for i, m := range sent {
		views[i] = r.listed(ctx, m)
		byID[m.ID] = views[i]
	}
	shareSenders(r, views, func(m *Message) *Message { return m })
	shown := make([]*ConversationMessage, len(items))
	for i, item := range items {
		if item.MessageID != uuid.Nil {
			if m := byID[item.MessageID]; m != nil {
				shown[i] = &ConversationMessage{At: m.QueuedAt, Outbound: m}
			}
			continue
		}
		if shown[i], err = r.unqueued(ctx, item.Place); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// unqueued returns a message that Waypost did not send.
func (r *Resolver) unqueued(ctx context.Context, at query.Place) (*ConversationMessage, error) {
	m, found, err := r.opts.Queries.ReadInbound(ctx, at)
	if err != nil {
		return nil, err
	}
	if found {
		return &ConversationMessage{At: m.WrittenAt(), Inbound: r.inboundOf(ctx, m)}, nil
	}
	e, found, err := r.opts.Queries.ReadEcho(ctx, at)
	if err != nil || !found {
		return nil, err
	}
	v := &EchoMessage{At: e.At, Type: e.Type, Standby: e.Field == "standby"}
	if callerOf(ctx).may(ScopePersonal) {
		v.Raw = e.Personal.Message
	}
	return &ConversationMessage{At: e.At, Echo: v}, nil
}
