package graph

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// defaultTTL is the default lifetime of an access token.
const defaultTTL = 15 * time.Minute

// keyOf returns the GraphQL representation of a key.
func keyOf(k access.Key) *APIKey {
	return &APIKey{
		ID: k.ID, Name: k.Name, Scopes: ScopesOf(k.Scopes), SenderIds: k.Senders,
		CreatedAt: k.CreatedAt, ExpiresAt: instant(k.ExpiresAt), LastUsedAt: instant(k.LastUsedAt), RevokedAt: instant(k.RevokedAt),
		CreatedBy: &Actor{Kind: k.CreatedBy.Kind, ID: k.CreatedBy.ID, OnBehalfOf: given(k.CreatedBy.OnBehalfOf)},
	}
}

// issuer returns the caller as the issuer of an access token. The token expires with
// the caller's key if that key is in the event log. The installation's ADMIN key and
// people who are signed in elsewhere are not in the log.
func (c caller) issuer() access.Issuer {
	i := access.Issuer{Grant: c.grant(), Token: c.Token, ExpiresAt: c.ExpiresAt}
	if c.Kind != domain.ActorUser && uuid.Validate(c.KeyID) == nil {
		i.Key = c.KeyID
	}
	return i
}

// tokenName returns the name of a token created by an issuer.
func tokenName(issuer string) string { return "token of " + issuer }
