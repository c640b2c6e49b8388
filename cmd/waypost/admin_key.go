package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/waypost/waypost/adapters/vault"
)

// adminKeyPrefix lets secret scanners recognise a key that strayed.
const adminKeyPrefix = "wpk_"

// minAdminKey is the shortest ADMIN key that may be given, in characters.
const minAdminKey = 16

// adminKey is the ADMIN key of the installation: the one given, else the one in
// the data folder, which is made on the very first start.
func adminKey(s *settings) (key string, made bool, err error) {
	given, err := newSecret("WAYPOST_ADMIN_KEY", s.AdminKey)
	if err != nil {
		return "", false, err
	}
	if key = given.get(); key != "" {
		if len(key) < minAdminKey {
			return "", false, fmt.Errorf("WAYPOST_ADMIN_KEY has fewer than %d characters; take a longer one", minAdminKey)
		}
		return key, false, nil
	}
	path := filepath.Join(s.DataDir, "admin.key")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("admin key: %w", err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", false, err
	}
	key = adminKeyPrefix + base64.RawURLEncoding.EncodeToString(random)
	if err := vault.WriteSecret(path, []byte(key+"\n")); err != nil {
		return "", false, fmt.Errorf("admin key: %w", err)
	}
	return key, true, nil
}
