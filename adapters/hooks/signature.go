package hooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// secretPrefix begins every secret, as Standard Webhooks has it.
	secretPrefix = "whsec_"
	// secretLength is in bytes; Standard Webhooks asks for 24 to 64.
	secretLength = 32
)

// NewSecret makes a secret of Standard Webhooks.
func NewSecret() string {
	key := make([]byte, secretLength)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// CheckSecret says whether deliveries can be signed with a secret.
func CheckSecret(secret string) error {
	_, err := sign([]string{secret}, "", time.Time{}, nil)
	if err == nil && strings.TrimPrefix(secret, secretPrefix) == "" {
		err = errors.New("the secret of the webhook is empty")
	}
	return err
}

// sign is the header webhook-signature of Standard Webhooks: a signature by each
// secret, so that a receiver which knows one of them finds its own.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
		if err != nil {
			return "", fmt.Errorf("the secret of the webhook is no base64: %w", err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " "), nil
}
