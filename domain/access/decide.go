package access

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost/domain"
)

// Bounds of a key. They are Waypost's own.
const (
	maxName    = 128
	maxSenders = 1000
	// maxSender is the maximum length of a sender's ID, in characters.
	maxSender = 64

	// MinTTL and MaxTTL bound the lifetime of an access token.
	MinTTL = time.Second
	MaxTTL = 24 * time.Hour
	// UseEvery is the minimum time between two recorded uses of a key.
	UseEvery = time.Hour
)

// A Request has the properties of a key to create.
type Request struct {
	Grant

	ID   string
	Name string
	// Hash is the hash of the secret, see Hash.
	Hash string
	// ExpiresAt is when the key expires, or zero if never.
	ExpiresAt time.Time
}

// Create creates a key on behalf of a caller, which can't grant more than it has.
func Create(caller Grant, in Request, now time.Time) ([]domain.Event, error) {
	if err := domain.CheckLine("name", in.Name, 1, maxName); err != nil {
		return nil, err
	}
	if !printable(in.Name) {
		return nil, domain.Invalid("name", "contains a character that is not printable")
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(now) {
		return nil, domain.Invalid("expiresAt", "is in the past")
	}
	e, err := created(caller, in)
	if err != nil {
		return nil, err
	}
	return []domain.Event{e}, nil
}

// An Issuer requests an access token.
type Issuer struct {
	Grant

	// Key is the ID of its key, if that is in the log.
	Key string
	// Token is set if the issuer is a token itself.
	Token bool
	// ExpiresAt is when the issuer expires, or zero if never.
	ExpiresAt time.Time
}

// CreateToken creates an access token that is valid for ttl, but never longer than its
// issuer. If it names no senders, it covers the issuer's.
func CreateToken(issuer Issuer, in Request, ttl time.Duration, now time.Time) ([]domain.Event, error) {
	if issuer.Token {
		return nil, &domain.Error{Code: domain.CodeForbidden, Message: "an access token can't create tokens; use the key that created it"}
	}
	if ttl < MinTTL || ttl > MaxTTL {
		return nil, domain.Invalid("ttl", "must be %s to %s, got %s", MinTTL, MaxTTL, ttl)
	}
	in.ExpiresAt = now.Add(ttl)
	if !issuer.ExpiresAt.IsZero() && issuer.ExpiresAt.Before(in.ExpiresAt) {
		in.ExpiresAt = issuer.ExpiresAt
	}
	if in.Senders == nil {
		in.Senders = issuer.Senders
	}
	e, err := created(issuer.Grant, in)
	if err != nil {
		return nil, err
	}
	e.Token, e.Parent = true, issuer.Key
	return []domain.Event{e}, nil
}

func created(caller Grant, in Request) (KeyCreated, error) {
	e := KeyCreated{Key: in.ID, Name: in.Name, Hash: in.Hash, ExpiresAt: in.ExpiresAt.UTC()}
	if len(in.Scopes) == 0 {
		return e, domain.Invalid("scopes", "must not be empty; name at least one")
	}
	for _, s := range in.Scopes {
		if !slices.Contains(Scopes(), s) {
			return e, domain.Invalid("scopes", "unknown scope %q; use any of %v", s, Scopes())
		}
		if !caller.Allows(s) {
			return e, &domain.Error{Code: domain.CodeForbidden, Field: "scopes", Message: "the caller does not have the scope " + string(s)}
		}
		if !slices.Contains(e.Scopes, s) {
			e.Scopes = append(e.Scopes, s)
		}
	}
	if in.Senders != nil && (len(in.Senders) == 0 || len(in.Senders) > maxSenders) {
		return e, domain.Invalid("senderIds", "must have 1 to %[2]d senders, got %[1]d; omit it for all", len(in.Senders), maxSenders)
	}
	for _, s := range in.Senders {
		if s == "" || len(s) > maxSender || !printable(s) {
			return e, domain.Invalid("senderIds", "%q is not a valid sender ID", s)
		}
		if !slices.Contains(e.Senders, s) {
			e.Senders = append(e.Senders, s)
		}
	}
	if !caller.CoversSenders(in.Senders) {
		return e, &domain.Error{
			Code: domain.CodeForbidden, Field: "senderIds",
			Message: "the caller is limited to some senders; name senders from among them",
		}
	}
	return e, nil
}

// Revoke ends a key. If it is already revoked, nothing changes.
func Revoke(k Key) ([]domain.Event, error) {
	if !k.Exists() {
		return nil, domain.NotFound("no such key")
	}
	if !k.RevokedAt.IsZero() {
		return nil, nil
	}
	return []domain.Event{KeyRevoked{}}, nil
}

// Use records that a key was used. It returns an event at most once per UseEvery, and none
// for tokens, which end soon.
func Use(k Key, at time.Time) []domain.Event {
	if !k.Exists() || k.Token || !k.RevokedAt.IsZero() || at.Sub(k.LastUsedAt) < UseEvery {
		return nil
	}
	return []domain.Event{KeyUsed{}}
}

// CheckActive returns an error unless the key is active. It doesn't check the parent of a
// token.
func (k Key) CheckActive(now time.Time) error {
	switch {
	case !k.Exists():
		return Unknown()
	case !k.RevokedAt.IsZero():
		return unauthenticated("the key is revoked; ask for another")
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return unauthenticated("the key has ended; ask for another")
	}
	return nil
}

// Unknown returns the error for a secret that belongs to no key.
func Unknown() error { return unauthenticated("the key is not known") }

func unauthenticated(message string) error {
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: message}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
