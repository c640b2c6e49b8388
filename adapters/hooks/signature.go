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
	// secretPrefix is the prefix of every secret, as specified by Standard Webhooks.
	secretPrefix = "whsec_"
	// secretLength is the length in bytes. Standard Webhooks requires 24 to 64.
	secretLength = 32
)

// NewSecret returns a new Standard Webhooks secret.
func NewSecret() string {
	key := make([]byte, secretLength)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// CheckSecret returns an error if deliveries cannot be signed with secret.
func CheckSecret(secret string) error {
	_, err := sign([]string{secret}, "", time.Time{}, nil)
	if err == nil && strings.TrimPrefix(secret, secretPrefix) == "" {
		err = errors.New("webhook secret is empty")
	}
	return err
}

// sign returns the webhook-signature header of Standard Webhooks. It contains a signature
// by each secret, so a receiver needs to know only one of them.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, secretPrefix))
		if err != nil {
			return "", fmt.Errorf("webhook secret is not valid base64: %w", err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " "), nil
}
