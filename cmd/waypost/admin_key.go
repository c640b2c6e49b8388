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
	"github.com/waypost/waypost/domain/access"
)

// minAdminKey is the shortest ADMIN key that may be given, in characters.
const minAdminKey = 16

// adminKey is the ADMIN key of the installation: the one given, else the one in
// the data folder, which is made on the very first start. One that comes from a
// file is read again when that changes.
func adminKey(s *settings) (key *secret, made bool, err error) {
	given, err := newSecret("WAYPOST_ADMIN_KEY", s.AdminKey)
	if err != nil {
		return nil, false, err
	}
	if text := given.get(); text != "" {
		if len(text) < minAdminKey {
			return nil, false, fmt.Errorf("WAYPOST_ADMIN_KEY has fewer than %d characters; take a longer one", minAdminKey)
		}
		return given, false, nil
	}
	path := filepath.Join(s.DataDir, "admin.key")
	text, err := os.ReadFile(path)
	if err == nil {
		key := strings.TrimSpace(string(text))
		if len(key) < minAdminKey {
			return nil, false, fmt.Errorf("%s has fewer than %d characters; remove it, and a new key is made", path, minAdminKey)
		}
		return &secret{value: key}, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("admin key: %w", err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, false, err
	}
	made = true
	key = &secret{value: access.SecretPrefix + base64.RawURLEncoding.EncodeToString(random)}
	if err := vault.WriteSecret(path, []byte(key.value+"\n")); err != nil {
		return nil, false, fmt.Errorf("data folder: %w; make room and see that this user may write there, or choose another with --data-dir", err)
	}
	return key, made, nil
}
