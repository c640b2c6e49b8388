package access

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// An Event is an event of a key's stream. The structs below are the wire form: their JSON is
// stored in the log. None of it is personal.
type Event interface {
	domain.Event
	apply(k *Key, r Record)
}

// Types lists the event types of keys and of the list of keys, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[KeyCreated](), domain.TypeOf[KeyUsed](), domain.TypeOf[KeyRevoked](), domain.TypeOf[KeyListed](),
	}
}

// KeyCreated records that a key exists. It is the first event of its stream.
type KeyCreated struct {
	Key    string  `json:"key"`
	Name   string  `json:"name"`
	Scopes []Scope `json:"scopes"`
	// Senders are the senders that the key is limited to. If empty, all.
	Senders []string `json:"senders,omitempty"`
	// Hash is the secret's SHA-256 in hex.
	Hash      string    `json:"hash"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Token marks an access token. Parent is the key that it ends with, if a key in the log
	// created it.
	Token  bool   `json:"token,omitempty"`
	Parent string `json:"parent,omitempty"`
	// View marks a token for one view in a page of someone else, with the view's kind.
	View ViewKind `json:"view,omitempty"`
}

// KeyUsed records that a key is in use, at most once per UseEvery.
type KeyUsed struct{}

// KeyRevoked records that a key was revoked.
type KeyRevoked struct{}

// KeyListed records, in the list of keys, the ID of a key. It is recorded before the key
// itself. A key that was never created is ignored.
type KeyListed struct {
	Key string `json:"key"`
}

func (KeyCreated) EventType() string { return "KeyCreated" }
func (KeyUsed) EventType() string    { return "KeyUsed" }
func (KeyRevoked) EventType() string { return "KeyRevoked" }
func (KeyListed) EventType() string  { return "KeyListed" }
