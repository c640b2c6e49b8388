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

// Session is a caller that has shown who it is, for as long as it counts.
type Session struct {
	Viewer

	// Kind is KEY, or USER for a person who is signed in elsewhere.
	Kind domain.ActorKind
	// Token says that it is an access token, and not a key.
	Token bool
	// ExpiresAt is when it ends by itself; zero: never.
	ExpiresAt time.Time
	// Standing answers a *domain.Error of CodeUnauthenticated once the session
	// counts no more. It is asked several times a second for as long as a stream is
	// open, so it must be quick; nil: it always counts.
	Standing func(ctx context.Context) error
}

// Authenticator finds whom a bearer token belongs to.
type Authenticator interface {
	// Authenticate answers the session of a token. A token of nobody, or of a key
	// that is revoked or has ended, is a *domain.Error of CodeUnauthenticated. Keys
	// are compared by their SHA-256 in constant time.
	Authenticate(ctx context.Context, token string) (Session, error)
}

// onBehalfOf is the header by which a caller says whom it acts for.
const onBehalfOf = "Waypost-On-Behalf-Of"

// maxOnBehalfOf bounds that header, in characters: it stands in every event.
const maxOnBehalfOf = 128

// caller is who makes a request.
type caller struct {
	Session

	onBehalfOf string
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf is the request's caller; one that may do nothing if there is none.
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

// sees reports whether the key reaches the sender at all.
func (c caller) sees(senderID string) bool {
	return c.KeyID != "" && (c.SenderIds == nil || slices.Contains(c.SenderIds, senderID))
}

// grant is what the caller may give on.
func (c caller) grant() access.Grant {
	return access.Grant{Scopes: scopesIn(c.Scopes), Senders: c.SenderIds}
}

// demand is the error for a caller without the scope.
func (c caller) demand(s Scope) error {
	switch {
	case c.KeyID == "":
		return unauthenticated()
	case !c.may(s):
		return &domain.Error{Code: domain.CodeForbidden, Message: "needs a key with the scope " + string(s)}
	}
	return nil
}

// demandSender is the error for a caller whose key does not reach the sender.
func (c caller) demandSender(field, senderID string) error {
	if c.sees(senderID) {
		return nil
	}
	return &domain.Error{Code: domain.CodeForbidden, Field: field, Message: "the key is limited to other senders"}
}

func unauthenticated() error {
	return &domain.Error{
		Code:    domain.CodeUnauthenticated,
		Message: "needs a valid key, as the header Authorization: Bearer KEY or as authorization in connection_init",
	}
}

// hasScope is the directive of that name.
func hasScope(ctx context.Context, _ any, next graphql.Resolver, scope Scope) (any, error) {
	if err := callerOf(ctx).demand(scope); err != nil {
		return nil, err
	}
	return next(ctx)
}

// identify finds the caller of what comes from addr with this Authorization and
// these headers. Tokens that count for nothing are limited for each address.
func (h *Handler) identify(ctx context.Context, addr, authorization string, header http.Header) (caller, error) {
	token, ok := bearer(authorization)
	if !ok {
		return caller{}, unauthenticated()
	}
	var session Session
	err := h.failures.try(addr, token, func() (err error) {
		session, err = h.resolver.opts.Authenticator.Authenticate(ctx, token)
		return err
	})
	if err != nil {
		return caller{}, err
	}
	behalf := header.Get(onBehalfOf)
	if utf8.RuneCountInString(behalf) > maxOnBehalfOf || !utf8.ValidString(behalf) || strings.ContainsFunc(behalf, unicode.IsControl) {
		return caller{}, domain.Invalid(onBehalfOf, "may have at most %d characters, all of them printable", maxOnBehalfOf)
	}
	request.Note(ctx, slog.String("by", session.KeyID))
	return caller{Session: session, onBehalfOf: behalf}, nil
}

func bearer(authorization string) (string, bool) {
	scheme, secret, ok := strings.Cut(authorization, " ")
	secret = strings.TrimSpace(secret)
	return secret, ok && strings.EqualFold(scheme, "Bearer") && secret != ""
}
