package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/oidc"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/graph"
)

// adminKeyID and adminKeyName are what the log and its readers know the ADMIN key by.
const adminKeyID, adminKeyName = "admin", "ADMIN"

// authenticator knows the ADMIN key, the keys of the log, and who signed in with
// an OpenID Connect issuer.
type authenticator struct {
	admin func() string // asked every time: its file may have changed
	keys  *command.Keys
	oidc  *oidc.Verifier // nil if none is set
	clock command.Clock
}

func (p *platform) newAuthenticator(now command.Clock) (authenticator, error) {
	s := p.settings
	a := authenticator{
		admin: p.adminKey.get, clock: now, keys: command.NewKeys(p.stores.log, now, newID, rand.Reader, p.log),
	}
	if s.OIDCIssuer == "" {
		return a, nil
	}
	var err error
	a.oidc, err = oidc.New(oidc.Options{Issuer: s.OIDCIssuer, Audience: s.OIDCAudience, Clock: now, Logger: p.log})
	if err != nil {
		return a, fmt.Errorf("WAYPOST_OIDC_ISSUER and WAYPOST_OIDC_AUDIENCE: %w", err)
	}
	return a, nil
}

// Authenticate answers the session of a bearer token.
func (a authenticator) Authenticate(ctx context.Context, token string) (graph.Session, error) {
	if a.isAdmin(token) {
		return graph.Session{
			Viewer: graph.Viewer{KeyID: adminKeyID, Name: adminKeyName, Scopes: []graph.Scope{graph.ScopeAdmin}},
			Kind:   domain.ActorKey, Standing: a.standing(token),
		}, nil
	}
	if a.oidc != nil && isJWT(token) {
		return a.signedIn(ctx, token)
	}
	k, err := a.keys.Authenticate(ctx, token)
	if err != nil {
		return graph.Session{}, err
	}
	return graph.Session{
		Viewer: graph.Viewer{KeyID: k.ID, Name: k.Name, Scopes: graph.ScopesOf(k.Scopes), SenderIds: k.Senders},
		Kind:   domain.ActorKey, Token: k.Token, ExpiresAt: k.ExpiresAt,
		Standing: func(ctx context.Context) error { return a.keys.Standing(ctx, k.ID) },
	}, nil
}

func (a authenticator) isAdmin(token string) bool {
	admin := a.admin()
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(admin))
	return len(admin) >= minAdminKey && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// standing of the ADMIN key ends when its file holds another one.
func (a authenticator) standing(token string) func(context.Context) error {
	return func(context.Context) error {
		if a.isAdmin(token) {
			return nil
		}
		return access.Unknown()
	}
}

// signedIn is a person whom the issuer vouches for until the token's end: there
// is no asking whether it has been taken back.
func (a authenticator) signedIn(ctx context.Context, token string) (graph.Session, error) {
	p, err := a.oidc.Verify(ctx, token)
	if err != nil {
		return graph.Session{}, err
	}
	return graph.Session{
		Viewer: graph.Viewer{KeyID: p.Subject, Name: p.Name, Scopes: graph.ScopesOf(p.Scopes)},
		Kind:   domain.ActorUser, ExpiresAt: p.ExpiresAt,
		Standing: func(context.Context) error { return ended(p.ExpiresAt, a.clock()) },
	}, nil
}

func ended(at, now time.Time) error {
	if now.Before(at) {
		return nil
	}
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: "the token has ended; sign in again"}
}

// isJWT tells a JSON Web Token from a key: it has three parts.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }
