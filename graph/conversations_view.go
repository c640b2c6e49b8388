package graph

import (
	"cmp"
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
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

// withChoice returns the conversation of a person who has just made a choice. A caller without
// PERSONAL sees nothing but the choice: otherwise, it could find out whether a sender talks to
// the owner of a number.
func (r *Resolver) withChoice(ctx context.Context, senderID string, who conversation.Person, chosen conversation.Marketing) (*Conversation, error) {
	known := query.Conversation{SenderID: senderID}
	if c := callerOf(ctx); !c.may(ScopePersonal) {
		known.Marketing = chosen
		v := r.conversationOf(ctx, known)
		v.To, v.ToUserID = c.number(who.Number), c.userID(who.UserID)
		return v, nil
	}
	known, err := r.opts.Queries.Conversation(ctx, senderID, personID(who))
	if err != nil {
		r.opts.Logger.WarnContext(ctx, "failed to read the conversation of a choice that was recorded", "error", err)
		return nil, domain.Unavailable("the choice is recorded, but the conversation can't be read; query it later")
	}
	known.Marketing = chosen // the read model can be behind
	return r.conversationOf(ctx, known), nil
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
