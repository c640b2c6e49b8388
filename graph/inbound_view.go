package graph

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/audit"
)

// inboundTopic is the subject of the feed of inbound messages. They have no UUID.
var inboundTopic = topic{ //nolint:gochecknoglobals // a constant
	live: event.Filter{StreamPrefixes: []string{event.InboundStreams, event.ErasureStreams}},
	past: func(w want) event.Filter {
		prefixes := []string{event.InboundStreams}
		if w.streamNames != nil && len(w.streamNames) <= maxPrefixes {
			prefixes = prefixes[:0]
			for name := range w.streamNames {
				prefixes = append(prefixes, name)
			}
		}
		return event.Filter{StreamPrefixes: prefixes}
	},
	of: func(stream string) (uuid.UUID, bool) {
		return uuid.Nil, len(stream) > len(event.InboundStreams) && stream[:len(event.InboundStreams)] == event.InboundStreams
	},
}

// inboundOf returns the caller's view of an inbound message.
func (r *Resolver) inboundOf(ctx context.Context, m inbox.Message) *InboundMessage {
	c := callerOf(ctx)
	v := &InboundMessage{
		ID: m.ID, SenderID: m.SenderID, At: m.WrittenAt(), RecordedAt: m.RecordedAt, Type: m.Type, Standby: m.Field != "",
		ErasedAt: instant(m.ErasedAt),
	}
	if m.Personal.WhatsAppID == "" {
		return v // erased
	}
	_, has := m.File()
	v.HasMedia = &has
	if c.may(ScopePersonal) {
		v.From, v.Name = given(m.Personal.From), given(m.Personal.Name)
		v.WhatsappID, v.ReplyTo = given(m.Personal.WhatsAppID), given(m.Personal.ContextID)
		v.Content, v.Raw = m.Content(), m.Personal.Message
	}
	return v
}

func (r *Resolver) inboundEdge(ctx context.Context, m inbox.Message) *InboundMessageEdge {
	return &InboundMessageEdge{Cursor: r.cursor(m.Position), Node: r.inboundOf(ctx, m)}
}

// findInbound returns an inbound message that the caller has access to. One of another sender is
// not found, like one that does not exist.
func (r *Resolver) findInbound(ctx context.Context, c caller, id string) (inbox.Message, error) {
	m, err := r.opts.Queries.FindInbound(ctx, id)
	if err == nil && !c.sees(m.SenderID) {
		err = domain.NotFound("no inbound message %.64q", id)
	}
	return m, err
}

// wantInbound returns the want for the messages to a sender, or to all senders that the caller
// sees.
func (r *Resolver) wantInbound(ctx context.Context, c caller, senderID *string) (want, error) {
	w := want{caller: c}
	ids := c.SenderIds
	if senderID != nil {
		if err := c.demandSender("senderId", *senderID); err != nil {
			return w, err
		}
		ids = []string{*senderID}
	}
	if ids == nil {
		return w, nil
	}
	w.streamNames = make(map[string]bool, len(ids))
	for _, id := range ids {
		stream, err := r.opts.Queries.InboundStreamOf(ctx, id)
		switch {
		case err == nil:
			w.streamNames[stream] = true
		case senderID != nil || domain.CodeOf(err) != domain.CodeNotFound:
			return w, err
		}
	}
	return w, nil
}

// showInbound returns the inbound message of a change, or nil if it is not one to a sender.
func (r *Resolver) showInbound(ctx context.Context, c change) (*InboundMessageEdge, error) {
	m, ok, err := r.opts.Queries.InboundOf(ctx, c.event)
	if err != nil || !ok {
		return nil, err
	}
	return r.inboundEdge(ctx, m), nil
}

// OpenInboundFile opens the file of an inbound message for the caller of a request, who needs the
// PERSONAL scope and access to the sender. The read is recorded first.
func (h *Handler) OpenInboundFile(req *http.Request, id string) (inbox.Message, inbox.Media, error) {
	ctx, r := req.Context(), h.resolver
	c, err := h.identify(req, req.Header.Get("Authorization"), req.Header)
	if err == nil {
		err = c.demand(ScopePersonal)
	}
	if err != nil {
		return inbox.Message{}, inbox.Media{}, err
	}
	m, err := r.findInbound(ctx, c, id)
	if err != nil {
		return m, inbox.Media{}, err
	}
	read := audit.LogRead{
		Scopes: []string{string(ScopePersonal)}, Fields: []string{"InboundMessage.media"}, Messages: []string{m.ID}, Senders: []string{m.SenderID},
	}
	if err := r.opts.Commands.RecordRead(ctx, c.actor(), read); err != nil {
		return m, inbox.Media{}, r.unrecorded(ctx, err)
	}
	file, err := r.opts.Commands.OpenInboundFile(ctx, m)
	return m, file, err
}
