package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// signatureHeader is the header with WhatsApp's signature: "sha256=", followed by the
// HMAC-SHA256 of the body in hex. The HMAC's key is the app secret.
const signatureHeader = "X-Hub-Signature-256"

// parseSignature parses the value of the signature header. It returns false if the value
// is invalid.
func parseSignature(header string) (sum [sha256.Size]byte, ok bool) {
	digits, found := strings.CutPrefix(header, "sha256=")
	if !found || len(digits) != hex.EncodedLen(sha256.Size) {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(digits))
	return sum, err == nil
}

// signedByAny reports whether the body was signed with one of the secrets. Its time does
// not depend on which secret matches or on how much of the signature matches. An empty
// secret never matches.
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
