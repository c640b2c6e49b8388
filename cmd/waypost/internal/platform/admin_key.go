package platform

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

// minAdminKey is the minimum length of an ADMIN key, in characters.
const minAdminKey = 16

// AdminKeyPath returns the path of the ADMIN key in a data directory.
func AdminKeyPath(dir string) string { return filepath.Join(dir, "admin.key") }

// AdminKey returns the ADMIN key of the installation: the one in the settings, or else the one in the data directory. If that has none,
// AdminKey generates it and returns made.
func AdminKey(s *Settings) (key *Secret, made bool, err error) {
	given, err := NewSecret("WAYPOST_ADMIN_KEY", s.AdminKey)
	if err != nil {
		return nil, false, err
	}
	if text := given.Get(); text != "" {
		if len(text) < minAdminKey {
			return nil, false, fmt.Errorf("WAYPOST_ADMIN_KEY: must have at least %d characters", minAdminKey)
		}
		return given, false, nil
	}
	path := AdminKeyPath(s.DataDir)
	text, err := os.ReadFile(path)
	if err == nil {
		key := strings.TrimSpace(string(text))
		if len(key) < minAdminKey {
			return nil, false, fmt.Errorf("%s: must have at least %d characters; remove the file to have a new key generated", path, minAdminKey)
		}
		return &Secret{value: key}, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("admin key: %w", err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, false, err
	}
	made = true
	key = &Secret{value: access.SecretPrefix + base64.RawURLEncoding.EncodeToString(random)}
	if err := vault.WriteSecret(path, []byte(key.value+"\n")); err != nil {
		return nil, false, fmt.Errorf("data directory: %w; free disk space and check that this user can write there, or choose another with --data-dir", err)
	}
	return key, made, nil
}
