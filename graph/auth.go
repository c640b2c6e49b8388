package graph

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"github.com/waypost/waypost/domain"
)

// Authenticator finds the key that a secret belongs to.
type Authenticator interface {
	// Authenticate answers the key's viewer. A secret of no key, or of one that is
	// revoked or has ended, is a *domain.Error of CodeUnauthenticated. Secrets are
	// compared by their SHA-256 in constant time.
	Authenticate(ctx context.Context, secret string) (Viewer, error)
}

// onBehalfOf is the header by which a caller says whom it acts for.
const onBehalfOf = "Waypost-On-Behalf-Of"

// maxOnBehalfOf bounds that header, in characters: it stands in every event.
const maxOnBehalfOf = 128

// caller is who makes a request.
type caller struct {
	Viewer

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
	return domain.Actor{Kind: domain.ActorKey, ID: c.KeyID, OnBehalfOf: c.onBehalfOf}
}

func (c caller) may(s Scope) bool {
	return slices.Contains(c.Scopes, s) || slices.Contains(c.Scopes, ScopeAdmin)
}

// sees reports whether the key reaches the sender at all.
func (c caller) sees(senderID string) bool {
	return c.KeyID != "" && (c.SenderIds == nil || slices.Contains(c.SenderIds, senderID))
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

// identify finds the caller of what carries this Authorization and these headers.
func identify(ctx context.Context, a Authenticator, authorization string, header http.Header) (caller, error) {
	secret, ok := bearer(authorization)
	if !ok {
		return caller{}, unauthenticated()
	}
	v, err := a.Authenticate(ctx, secret)
	if err != nil {
		return caller{}, err
	}
	behalf := header.Get(onBehalfOf)
	if utf8.RuneCountInString(behalf) > maxOnBehalfOf || !utf8.ValidString(behalf) || strings.ContainsFunc(behalf, unicode.IsControl) {
		return caller{}, domain.Invalid(onBehalfOf, "may have at most %d characters, all of them printable", maxOnBehalfOf)
	}
	return caller{Viewer: v, onBehalfOf: behalf}, nil
}

func bearer(authorization string) (string, bool) {
	scheme, secret, ok := strings.Cut(authorization, " ")
	secret = strings.TrimSpace(secret)
	return secret, ok && strings.EqualFold(scheme, "Bearer") && secret != ""
}
