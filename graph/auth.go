package graph

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// Session is an authenticated caller, as long as the session is valid.
type Session struct {
	Viewer

	// Kind is KEY, or USER for a person who is signed in elsewhere.
	Kind domain.ActorKind
	// Token reports whether the credential is an access token rather than a key.
	Token bool
	// Issuer is the ID of the key that created the token, if that key is in the event
	// log. A key and its tokens share the limits of one key.
	Issuer string
	// ExpiresAt is when the session expires. Zero means never.
	ExpiresAt time.Time
	// CheckActive returns a *domain.Error with CodeUnauthenticated once the session is
	// no longer valid. It is called several times per second while a stream is open, so
	// it must be fast. If nil, the session is always valid.
	CheckActive func(ctx context.Context) error
}

// Authenticator finds the session of a bearer token.
type Authenticator interface {
	// Authenticate returns the session of a token. For an unknown token, or one whose
	// key is revoked or expired, it returns a *domain.Error with CodeUnauthenticated.
	// Keys are compared by their SHA-256 in constant time.
	Authenticate(ctx context.Context, token string) (Session, error)
}

// onBehalfOf is the header with the person that a caller acts for.
const onBehalfOf = "Waypost-On-Behalf-Of"

// maxOnBehalfOf limits that header, in characters, because it is recorded in every
// event.
const maxOnBehalfOf = 128

// caller is the caller of a request.
type caller struct {
	Session

	onBehalfOf string
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(request.WithCaller(ctx, c.account()), callerKey{}, c)
}

// account returns the account that the caller's usage counts toward.
func (c caller) account() string { return cmp.Or(c.Issuer, c.KeyID) }

// callerOf returns the request's caller, or one without any rights if there is none.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

func (c caller) actor() domain.Actor {
	return domain.Actor{Kind: cmp.Or(c.Kind, domain.ActorKey), ID: c.KeyID, OnBehalfOf: c.onBehalfOf}
}

func (c caller) may(s Scope) bool {
	return slices.Contains(c.Scopes, s) || slices.Contains(c.Scopes, ScopeAdmin)
}

// sees reports whether the key has access to the sender.
func (c caller) sees(senderID string) bool {
	return c.KeyID != "" && (c.SenderIds == nil || slices.Contains(c.SenderIds, senderID))
}

// grant returns the rights that the caller can pass on.
func (c caller) grant() access.Grant {
	return access.Grant{Scopes: scopesIn(c.Scopes), Senders: c.SenderIds}
}

// demand returns an error if the caller lacks the scope.
func (c caller) demand(s Scope) error {
	switch {
	case c.KeyID == "":
		return unauthenticated()
	case !c.may(s):
		return &domain.Error{Code: domain.CodeForbidden, Message: "requires a key with the scope " + string(s)}
	}
	return nil
}

// demandSender returns an error if the caller's key has no access to the sender.
func (c caller) demandSender(field, senderID string) error {
	if c.sees(senderID) {
		return nil
	}
	return &domain.Error{Code: domain.CodeForbidden, Field: field, Message: "the key is limited to other senders"}
}

// demandNumber returns an error if the caller looks something up by a phone number or user ID in a
// field without the PERSONAL scope. A lookup that reports whether a number matches
// reveals masked numbers: two thirds of the digits are shown, and the rest can be
// guessed.
func (c caller) demandNumber(field string) error {
	if c.may(ScopePersonal) {
		return nil
	}
	return &domain.Error{
		Code: domain.CodeForbidden, Field: field,
		Message: "requires a key with the scope PERSONAL: looking up a phone number or user ID reveals the recipient of a message",
	}
}

// demandAllSenders returns an error if the caller's key is limited to senders, for
// requests that concern every sender.
func (c caller) demandAllSenders(why string) error {
	if c.KeyID != "" && c.SenderIds == nil {
		return nil
	}
	return &domain.Error{Code: domain.CodeForbidden, Message: "requires a key that is not limited to senders: " + why}
}

func unauthenticated() error {
	return &domain.Error{
		Code:    domain.CodeUnauthenticated,
		Message: "requires a valid key, in the header Authorization: Bearer KEY or as authorization in connection_init",
	}
}

// hasScope implements the directive of that name.
func hasScope(ctx context.Context, _ any, next graphql.Resolver, scope Scope) (any, error) {
	if err := callerOf(ctx).demand(scope); err != nil {
		return nil, err
	}
	return next(ctx)
}

// identify returns the caller of a request with this Authorization and these headers. Without an
// Authorization, the request's cookie identifies a person. Invalid tokens are limited per address.
func (h *Handler) identify(req *http.Request, authorization string, header http.Header) (caller, error) {
	ctx := req.Context()
	session, err := h.authenticate(req, authorization)
	if err != nil {
		return caller{}, err
	}
	behalf := header.Get(onBehalfOf)
	if utf8.RuneCountInString(behalf) > maxOnBehalfOf || !utf8.ValidString(behalf) || strings.ContainsFunc(behalf, unicode.IsControl) {
		return caller{}, domain.Invalid(onBehalfOf, "must be at most %d printable characters", maxOnBehalfOf)
	}
	request.AddAttrs(ctx, slog.String("by", session.KeyID))
	return caller{Session: session, onBehalfOf: behalf}, nil
}

func (h *Handler) authenticate(req *http.Request, authorization string) (session Session, err error) {
	token, ok := bearer(authorization)
	switch {
	case ok:
		err = h.failures.try(req.Context(), req.RemoteAddr, token, func() (err error) {
			session, err = h.resolver.opts.Authenticator.Authenticate(req.Context(), token)
			return err
		})
		return session, err
	case authorization != "" || h.resolver.opts.Person == nil:
		return Session{}, unauthenticated()
	}
	p, err := h.resolver.opts.Person(req)
	if err != nil {
		return Session{}, err
	}
	return sessionOf(p, h.resolver.opts.Clock), nil
}

// Authorize returns nil if the request's caller has access to Waypost's internals: it
// must have the READ scope and not be limited to senders.
func (h *Handler) Authorize(r *http.Request) error {
	c, err := h.identify(r, r.Header.Get("Authorization"), r.Header)
	if err == nil {
		err = c.demand(ScopeRead)
	}
	if err == nil && c.SenderIds != nil {
		err = &domain.Error{Code: domain.CodeForbidden, Message: "the key is limited to some senders"}
	}
	return err
}

func bearer(authorization string) (string, bool) {
	scheme, secret, ok := strings.Cut(authorization, " ")
	secret = strings.TrimSpace(secret)
	return secret, ok && strings.EqualFold(scheme, "Bearer") && secret != ""
}
