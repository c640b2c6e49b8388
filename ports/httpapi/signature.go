package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// signatureHeader carries WhatsApp's signature: "sha256=" and the HMAC-SHA256
// of the body's bytes in hex, its key the app secret.
const signatureHeader = "X-Hub-Signature-256"

// parseSignature reads the value of the signature header.
func parseSignature(header string) (sum [sha256.Size]byte, ok bool) {
	digits, found := strings.CutPrefix(header, "sha256=")
	if !found || len(digits) != hex.EncodedLen(sha256.Size) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// signedByAny reports whether one of the secrets signed the body, in a time that
// does not depend on which or on how much of it fits. An empty secret signs nothing.
func signedByAny(secrets []string, header string, body []byte) bool {
	sum, ok := parseSignature(header)
	if !ok {
		return false
	}
	signed := false
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), sum[:]) {
			signed = true
		}
	}
	return signed
}
