package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// ViewAuthenticator finds the session and the view of a token for one view.
type ViewAuthenticator interface {
	// AuthenticateView returns a *domain.Error with CodeUnauthenticated for a token that is unknown,
	// revoked, or expired.
	AuthenticateView(ctx context.Context, token string) (Session, access.View, error)
}

// embeddedView returns a view that the caller has access to, and the senders that it is limited to.
func (r *Resolver) embeddedView(ctx context.Context, in EmbedViewInput) (v access.View, senders []string, err error) {
	c := callerOf(ctx)
	switch {
	case in.MessageID != nil:
		l, err := r.load(ctx, *in.MessageID)
		if err != nil {
			return v, nil, domain.PrefixField("view.messageId", err)
		}
		return access.View{Kind: access.ViewMessage, ID: *in.MessageID}, []string{l.Message.Sender}, nil
	case in.SenderID != nil:
		if err := c.demandSender("view.senderId", *in.SenderID); err != nil {
			return v, nil, err
		}
		if _, err := r.opts.Queries.FindSender(ctx, *in.SenderID); err != nil {
			return v, nil, err
		}
		return access.View{Kind: access.ViewSender, ID: *in.SenderID}, []string{*in.SenderID}, nil
	case in.Campaign != nil:
		if in.Campaign.Name == "" || in.Campaign.Value == "" {
			return v, nil, domain.Invalid("view.campaign", "must have a name and a value")
		}
		return access.View{Kind: access.ViewCampaign, Label: in.Campaign.Name, Value: in.Campaign.Value}, c.SenderIds, nil
	}
	return v, nil, domain.Invalid("view", "must name a message, a campaign, or a sender")
}

// The queries of the views. A token has no influence on them beyond their variables, so it reads the
// data of its view and nothing else.
const (
	messageView = `query EmbeddedMessage($id: ID!, $personal: Boolean!) {
  message(id: $id) {
    id status type queuedAt sendAt sentAt deliveredAt readAt sender { name }
    to @include(if: $personal) content @include(if: $personal)
    failure { category message advice }
  }
}`
	campaignView = `query EmbeddedCampaign($filter: MessageFilter!) { messageCounts(filter: $filter) { status count } }`
	senderView   = `query EmbeddedSender($id: ID!) {
  sender(id: $id) { id name state pauseReason queueDepth drainPerMinute emptyIn hold { message since } }
  metrics(senderId: $id, window: "PT5M") { sentPerMinute deliveryRate errorRate }
}`
)

// viewQuery returns the query of a view, and its variables.
func viewQuery(v access.View, personal bool) (query string, variables map[string]any) {
	switch v.Kind {
	case access.ViewMessage:
		return messageView, map[string]any{"id": v.ID, "personal": personal}
	case access.ViewCampaign:
		return campaignView, map[string]any{"filter": map[string]any{"labels": []any{map[string]any{"name": v.Label, "value": v.Value}}}}
	case access.ViewSender:
		return senderView, map[string]any{"id": v.ID}
	}
	return "", nil
}

// ServeView serves the data of the view that a request's token is for. It ignores cookies, and everything
// in the request except the token.
func (h *Handler) ServeView(w http.ResponseWriter, req *http.Request) {
	if !h.enter() {
		h.refuse(w, req, http.StatusServiceUnavailable, domain.Unavailable("Waypost is shutting down; try again when it is running"))
		return
	}
	defer h.requests.Done()
	w.Header().Set("Cache-Control", "no-store")
	session, view, err := h.authenticateView(req)
	if err != nil {
		h.refuse(w, req, statusOf(err), err)
		return
	}
	c := caller{Session: session}
	query, variables := viewQuery(view, c.may(ScopePersonal))
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		h.refuse(w, req, http.StatusInternalServerError, err)
		return
	}
	ctx := withCaller(req.Context(), c)
	post := req.Clone(withRetryHint(ctx, w.Header()))
	post.Method, post.Body, post.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(body)), int64(len(body))
	post.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	h.server.ServeHTTP(w, post)
}

func (h *Handler) authenticateView(req *http.Request) (session Session, view access.View, err error) {
	token, ok := bearer(req.Header.Get("Authorization"))
	views, can := h.resolver.opts.Authenticator.(ViewAuthenticator)
	if !ok || !can {
		return session, view, &domain.Error{Code: domain.CodeUnauthenticated, Message: "requires a token of createEmbedToken, in the header Authorization: Bearer TOKEN"}
	}
	err = h.failures.try(req.Context(), req.RemoteAddr, token, func() (err error) {
		session, view, err = views.AuthenticateView(req.Context(), token)
		return err
	})
	return session, view, err
}
