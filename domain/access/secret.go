package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"
)

const (
	// SecretPrefix lets secret scanners recognise a key that strayed.
	SecretPrefix = "wpk_"
	// SecretBytes is how many random bytes a secret has.
	SecretBytes = 32
)

// NewSecret writes the secret of a key. It carries the key's id, so that one read
// finds the key.
func NewSecret(id uuid.UUID, random [SecretBytes]byte) string {
	return SecretPrefix + base64.RawURLEncoding.EncodeToString(append(id[:], random[:]...))
}

// KeyOf is the id of the key that a secret claims to be of; false for a text that
// is no secret.
func KeyOf(secret string) (uuid.UUID, bool) {
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

// Hash is the SHA-256 of a secret in hex, as it stands in the log.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Fits reports whether the secret is the key's, in a time that does not depend on
// how much of it is right.
func (k Key) Fits(secret string) bool {
	return k.Hash != "" && subtle.ConstantTimeCompare([]byte(Hash(secret)), []byte(k.Hash)) == 1
}
