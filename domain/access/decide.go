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
	// maxSender is the longest id a sender can have, in characters.
	maxSender = 64

	// MinTTL and MaxTTL bound how long an access token lasts.
	MinTTL = time.Second
	MaxTTL = 24 * time.Hour
	// UseEvery is how often the use of a key is recorded at most.
	UseEvery = time.Hour
)

// Request is what a key is made with.
type Request struct {
	Grant

	ID   string
	Name string
	// Hash is the secret's, see Hash.
	Hash string
	// ExpiresAt is when the key ends by itself; zero: never.
	ExpiresAt time.Time
}

// Create makes a key on behalf of a caller, which may not give more than it has.
func Create(caller Grant, in Request, now time.Time) ([]domain.Event, error) {
	if n := utf8.RuneCountInString(in.Name); n < 1 || n > maxName || !printable(in.Name) {
		return nil, domain.Invalid("name", "has %d characters, 1 to %d printable ones are allowed", n, maxName)
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

// Issuer is who asks for an access token.
type Issuer struct {
	Grant

	// Key is the id of its key, if that stands in the log.
	Key string
	// Token says that it is a token itself.
	Token bool
	// ExpiresAt is when the issuer ends by itself; zero: never.
	ExpiresAt time.Time
}

// CreateToken makes an access token that lasts for ttl, but never longer than
// its issuer, and reaches the issuer's senders if it names none.
func CreateToken(issuer Issuer, in Request, ttl time.Duration, now time.Time) ([]domain.Event, error) {
	if issuer.Token {
		return nil, &domain.Error{Code: domain.CodeForbidden, Message: "an access token makes no further tokens; use the key that made it"}
	}
	if ttl < MinTTL || ttl > MaxTTL {
		return nil, domain.Invalid("ttl", "is %s, %s to %s are allowed", ttl, MinTTL, MaxTTL)
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
		return e, domain.Invalid("scopes", "is empty; name at least one")
	}
	for _, s := range in.Scopes {
		if !slices.Contains(Scopes(), s) {
			return e, domain.Invalid("scopes", "%q is none of %v", s, Scopes())
		}
		if !caller.Allows(s) {
			return e, &domain.Error{Code: domain.CodeForbidden, Field: "scopes", Message: "the caller has no scope " + string(s) + " to give"}
		}
		if !slices.Contains(e.Scopes, s) {
			e.Scopes = append(e.Scopes, s)
		}
	}
	if in.Senders != nil && (len(in.Senders) == 0 || len(in.Senders) > maxSenders) {
		return e, domain.Invalid("senderIds", "has %d senders, 1 to %d are allowed; leave it out for all", len(in.Senders), maxSenders)
	}
	for _, s := range in.Senders {
		if s == "" || len(s) > maxSender || !printable(s) {
			return e, domain.Invalid("senderIds", "%q cannot be a sender's id", s)
		}
		if !slices.Contains(e.Senders, s) {
			e.Senders = append(e.Senders, s)
		}
	}
	if !caller.Reaches(in.Senders) {
		return e, &domain.Error{
			Code: domain.CodeForbidden, Field: "senderIds",
			Message: "the caller is limited to some senders; name among them those that the key is for",
		}
	}
	return e, nil
}

// Revoke ends a key. One that is revoked already stays as it is.
func Revoke(k Key) ([]domain.Event, error) {
	if !k.Exists() {
		return nil, domain.NotFound("no such key")
	}
	if !k.RevokedAt.IsZero() {
		return nil, nil
	}
	return []domain.Event{KeyRevoked{}}, nil
}

// Use tells of a key that it was used at an instant. It is worth an event once in
// UseEvery, and for tokens never: they end soon.
func Use(k Key, at time.Time) []domain.Event {
	if !k.Exists() || k.Token || !k.RevokedAt.IsZero() || at.Sub(k.LastUsedAt) < UseEvery {
		return nil
	}
	return []domain.Event{KeyUsed{}}
}

// Standing answers why the key does not count; nil if it does. The parent of a
// token is looked at by itself.
func (k Key) Standing(now time.Time) error {
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

// Unknown is the error for a secret of no key.
func Unknown() error { return unauthenticated("the key is not known") }

func unauthenticated(message string) error {
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: message}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
