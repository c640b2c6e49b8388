package access

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// A Scope is a permission of a key. The values are those of the GraphQL schema.
type Scope string

// The scopes.
const (
	ScopeSend     Scope = "SEND"
	ScopeRead     Scope = "READ"
	ScopePersonal Scope = "PERSONAL"
	ScopeAudit    Scope = "AUDIT"
	ScopeOperate  Scope = "OPERATE"
	// ScopeAdmin includes all others.
	ScopeAdmin Scope = "ADMIN"
)

// Scopes lists the scopes.
func Scopes() []Scope {
	return []Scope{ScopeSend, ScopeRead, ScopePersonal, ScopeAudit, ScopeOperate, ScopeAdmin}
}

// A Grant is a set of permissions, for some senders or all.
type Grant struct {
	Scopes []Scope
	// Senders are the senders that it is limited to, or nil for all.
	Senders []string
}

// Allows reports whether the grant has the scope, or ADMIN.
func (g Grant) Allows(s Scope) bool {
	return slices.Contains(g.Scopes, s) || slices.Contains(g.Scopes, ScopeAdmin)
}

// Covers reports whether the grant allows everything that the other does.
func (g Grant) Covers(other Grant) bool {
	for _, s := range other.Scopes {
		if !g.Allows(s) {
			return false
		}
	}
	return g.CoversSenders(other.Senders)
}

// CoversSenders reports whether the grant covers all of the senders. Nil means all senders.
func (g Grant) CoversSenders(senders []string) bool {
	if g.Senders == nil {
		return true
	}
	return senders != nil && !slices.ContainsFunc(senders, func(s string) bool { return !slices.Contains(g.Senders, s) })
}

// A Key is the state that the events of a key fold to. The zero value has no events.
type Key struct {
	Grant

	ID   string
	Name string
	// Hash is the secret's SHA-256 in hex.
	Hash   string
	Token  bool
	Parent string
	// View is the kind of the only view that accepts it, or empty for a key of the API.
	View      ViewKind
	CreatedAt time.Time
	CreatedBy domain.Actor
	// ExpiresAt is when it expires, or zero if never.
	ExpiresAt time.Time
	// LastUsedAt is when its use was last recorded, see UseEvery, or zero if never.
	LastUsedAt time.Time
	RevokedAt  time.Time
}

// Exists reports whether the key was created.
func (k Key) Exists() bool { return k.ID != "" }
