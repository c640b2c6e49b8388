package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

const (
	// SecretPrefix lets secret scanners recognize a leaked key.
	SecretPrefix = "wpk_"
	// SecretBytes is the number of random bytes in a secret.
	SecretBytes = 32
)

// NewSecret returns the secret of a key. It contains the key's ID, so that one read finds
// the key.
func NewSecret(id uuid.UUID, random [SecretBytes]byte) string {
	return SecretPrefix + base64.RawURLEncoding.EncodeToString(append(id[:], random[:]...))
}

// viewPrefix begins the token of one view. An older process, which does not know such tokens, must not
// accept one as a key.
const viewPrefix = "wpv_"

// NewViewToken returns the token of one view. It contains the view: the hash that the log contains is of
// the whole text, so that a token with another view belongs to no key.
func NewViewToken(id uuid.UUID, random [SecretBytes]byte, v View) (string, error) {
	view, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return viewPrefix + base64.RawURLEncoding.EncodeToString(append(id[:], random[:]...)) + "." + base64.RawURLEncoding.EncodeToString(view), nil
}

// ParseViewToken returns the ID of the key that a token claims to belong to, and its view, or false if
// the text is not a token of a view.
func ParseViewToken(token string) (uuid.UUID, View, bool) {
	rest, ok := strings.CutPrefix(token, viewPrefix)
	if !ok {
		return uuid.Nil, View{}, false
	}
	secret, text, ok := strings.Cut(rest, ".")
	if !ok {
		return uuid.Nil, View{}, false
	}
	id, ok := ParseSecret(SecretPrefix + secret)
	view, err := base64.RawURLEncoding.Strict().DecodeString(text)
	var v View
	if !ok || err != nil || json.Unmarshal(view, &v) != nil {
		return uuid.Nil, View{}, false
	}
	return id, v, true
}

// ParseSecret returns the ID of the key that a secret claims to belong to, or false if the
// text is not a secret.
func ParseSecret(secret string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(secret, SecretPrefix)
	if !ok {
		return uuid.Nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(b) != len(uuid.UUID{})+SecretBytes {
		return uuid.Nil, false
	}
	return uuid.UUID(b[:16]), true
}

// Hash returns the SHA-256 of a secret in hex, as it is stored in the log.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// MatchesSecret reports whether the secret belongs to the key, in a time that doesn't depend
// on how much of it is right.
func (k Key) MatchesSecret(secret string) bool {
	return k.Hash != "" && subtle.ConstantTimeCompare([]byte(Hash(secret)), []byte(k.Hash)) == 1
}
