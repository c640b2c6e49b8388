package access

import (
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// Scope is what a key allows its holder to do. The values are those of the
// GraphQL schema.
type Scope string

// The scopes.
const (
	ScopeSend     Scope = "SEND"
	ScopeRead     Scope = "READ"
	ScopePersonal Scope = "PERSONAL"
	ScopeAudit    Scope = "AUDIT"
	ScopeOperate  Scope = "OPERATE"
	// ScopeAdmin carries all of them.
	ScopeAdmin Scope = "ADMIN"
)

// Scopes lists the scopes.
func Scopes() []Scope {
	return []Scope{ScopeSend, ScopeRead, ScopePersonal, ScopeAudit, ScopeOperate, ScopeAdmin}
}

// Grant is what somebody may do, and with which senders.
type Grant struct {
	Scopes []Scope
	// Senders are the senders that it is narrowed to; nil: all of them.
	Senders []string
}

// Allows reports whether the grant has the scope, or ADMIN.
func (g Grant) Allows(s Scope) bool {
	return slices.Contains(g.Scopes, s) || slices.Contains(g.Scopes, ScopeAdmin)
}

// Covers reports whether the grant allows all that the other does.
func (g Grant) Covers(other Grant) bool {
	for _, s := range other.Scopes {
		if !g.Allows(s) {
			return false
		}
	}
	return g.Reaches(other.Senders)
}

// Reaches reports whether the grant reaches all of the senders; nil: all there are.
func (g Grant) Reaches(senders []string) bool {
	if g.Senders == nil {
		return true
	}
	return senders != nil && !slices.ContainsFunc(senders, func(s string) bool { return !slices.Contains(g.Senders, s) })
}

// Key is a key as its events tell. The zero value is one of which nothing is
// recorded.
type Key struct {
	Grant

	ID   string
	Name string
	// Hash is the secret's SHA-256 in hex.
	Hash      string
	Token     bool
	Parent    string
	CreatedAt time.Time
	CreatedBy domain.Actor
	// ExpiresAt is when it ends by itself; zero: never.
	ExpiresAt time.Time
	// LastUsedAt is when its use was last recorded, see UseEvery; zero: never.
	LastUsedAt time.Time
	RevokedAt  time.Time
}

// Exists reports whether the key was made.
func (k Key) Exists() bool { return k.ID != "" }

// Record is an event, when it was recorded, and who caused it.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
}

// Fold makes the key of the records of its stream, in their order. Events that
// are none of a key change nothing.
func Fold(records []Record) Key {
	var k Key
	for _, r := range records {
		k = k.Apply(r)
	}
	return k
}

// Apply is the key after one more record. The receiver stays as it was.
func (k Key) Apply(r Record) Key {
	if e, ok := r.Event.(Event); ok {
		e.apply(&k, r)
	}
	return k
}

func (e KeyCreated) apply(k *Key, r Record) {
	k.ID, k.Name, k.Hash = e.Key, e.Name, e.Hash
	k.Scopes, k.Senders = e.Scopes, e.Senders
	k.Token, k.Parent = e.Token, e.Parent
	k.ExpiresAt = e.ExpiresAt
	k.CreatedAt, k.CreatedBy = r.At, r.By
}

func (KeyUsed) apply(k *Key, r Record) { k.LastUsedAt = r.At }

func (KeyRevoked) apply(k *Key, r Record) {
	if k.RevokedAt.IsZero() {
		k.RevokedAt = r.At
	}
}

func (KeyListed) apply(*Key, Record) {}
