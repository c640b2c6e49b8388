package graph

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// defaultTTL is how long an access token lasts of which nobody says.
const defaultTTL = 15 * time.Minute

// keyOf shows a key.
func keyOf(k access.Key) *APIKey {
	return &APIKey{
		ID: k.ID, Name: k.Name, Scopes: ScopesOf(k.Scopes), SenderIds: k.Senders,
		CreatedAt: k.CreatedAt, ExpiresAt: instant(k.ExpiresAt), LastUsedAt: instant(k.LastUsedAt), RevokedAt: instant(k.RevokedAt),
		CreatedBy: &Actor{Kind: k.CreatedBy.Kind, ID: k.CreatedBy.ID, OnBehalfOf: given(k.CreatedBy.OnBehalfOf)},
	}
}

// issuer is the caller as one that asks for an access token. The token ends with
// the caller's key if that stands in the log: the ADMIN key of the installation and
// people who are signed in elsewhere do not.
func (c caller) issuer() access.Issuer {
	i := access.Issuer{Grant: c.grant(), Token: c.Token, ExpiresAt: c.ExpiresAt}
	if c.Kind != domain.ActorUser && uuid.Validate(c.KeyID) == nil {
		i.Key = c.KeyID
	}
	return i
}

// tokenName is what the token of somebody is called.
func tokenName(issuer string) string { return "token of " + issuer }
