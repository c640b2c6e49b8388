package access

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// A Record is an event, when it was recorded, and who caused it.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
}

// Fold returns the key that the records of its stream, in order, lead to. It ignores events
// of other aggregates.
func Fold(records []Record) Key {
	var k Key
	for _, r := range records {
		k = k.Apply(r)
	}
	return k
}

// Apply returns the key after one more record. The receiver doesn't change.
func (k Key) Apply(r Record) Key {
	if e, ok := r.Event.(Event); ok {
		e.apply(&k, r)
	}
	return k
}

func (e KeyCreated) apply(k *Key, r Record) {
	k.ID, k.Name, k.Hash = e.Key, e.Name, e.Hash
	k.Scopes, k.Senders = e.Scopes, e.Senders
	k.Token, k.Parent, k.View = e.Token, e.Parent, e.View
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
