package graph

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// The ADMIN key in the event log and in the API.
const (
	AdminKeyID   = "admin"
	AdminKeyName = "ADMIN"
)

// KeyAuthenticator authenticates callers by the ADMIN key, by the API keys in the event log, and by the tokens of an OpenID Connect
// issuer.
type KeyAuthenticator struct {
	// AdminKey returns the current ADMIN key. If it returns "", no token is accepted as that key.
	AdminKey func() string
	Keys     *command.Keys
	// VerifyToken verifies a token of the issuer. If nil, there is no issuer.
	VerifyToken func(ctx context.Context, token string) (access.Person, error)
	Clock       event.Clock
}

// Authenticate returns the session of a bearer token. See Authenticator.
func (a *KeyAuthenticator) Authenticate(ctx context.Context, token string) (Session, error) {
	if a.isAdmin(token) {
		return Session{
			Viewer: Viewer{KeyID: AdminKeyID, Name: AdminKeyName, Scopes: []Scope{ScopeAdmin}},
			Kind:   domain.ActorKey, CheckActive: func(context.Context) error { return a.checkAdmin(token) },
		}, nil
	}
	if a.VerifyToken != nil && isJWT(token) {
		return a.authenticatePerson(ctx, token)
	}
	k, err := a.Keys.Authenticate(ctx, token)
	if err != nil {
		return Session{}, err
	}
	return a.sessionOfKey(k), nil
}

// AuthenticateView returns the session and the view of a token for one view. See ViewAuthenticator.
func (a *KeyAuthenticator) AuthenticateView(ctx context.Context, token string) (Session, access.View, error) {
	k, view, err := a.Keys.AuthenticateView(ctx, token)
	if err != nil {
		return Session{}, view, err
	}
	return a.sessionOfKey(k), view, nil
}

func (a *KeyAuthenticator) sessionOfKey(k access.Key) Session {
	return Session{
		Viewer: Viewer{KeyID: k.ID, Name: k.Name, Scopes: ScopesOf(k.Scopes), SenderIds: k.Senders},
		Kind:   domain.ActorKey, Token: k.Token, Issuer: k.Parent, ExpiresAt: k.ExpiresAt,
		CheckActive: func(ctx context.Context) error { return a.Keys.CheckActive(ctx, k.ID) },
	}
}

func (a *KeyAuthenticator) isAdmin(token string) bool {
	admin := a.AdminKey()
	given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(admin))
	return admin != "" && subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// checkAdmin returns an error if the ADMIN key is another one by now.
func (a *KeyAuthenticator) checkAdmin(token string) error {
	if a.isAdmin(token) {
		return nil
	}
	return access.Unknown()
}

// authenticatePerson returns the session of a person. It lasts until the token expires: issuers don't tell whether a token was revoked.
func (a *KeyAuthenticator) authenticatePerson(ctx context.Context, token string) (Session, error) {
	p, err := a.VerifyToken(ctx, token)
	if err != nil {
		return Session{}, err
	}
	return sessionOf(p, a.Clock), nil
}

// sessionOf returns the session of a person, who has the rights that the identity provider gave.
func sessionOf(p access.Person, clock event.Clock) Session {
	return Session{
		Viewer: Viewer{KeyID: p.Subject, Name: cmp.Or(p.Name, p.Subject), Scopes: ScopesOf(p.Scopes), SenderIds: p.Senders},
		Kind:   domain.ActorUser, ExpiresAt: p.ExpiresAt,
		CheckActive: func(context.Context) error { return p.CheckActive(clock()) },
	}
}

// isJWT reports whether a token is a JSON Web Token, which has three parts, and not a key.
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }
