package platform

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// SecretCheck is the minimum time between two checks whether a secret's file has changed.
const SecretCheck = time.Second

// A Secret is a setting that can come from a file, named by WAYPOST_X_FILE. The file is read again when it changes. Any number of
// goroutines can use a Secret.
type Secret struct {
	name, path string

	mu      sync.Mutex // guards the fields below
	value   string
	changed time.Time // modification time of the file when it was read
	checked time.Time
}

// NewSecret returns the secret of a setting: value, or the content of the file that the variable NAME_FILE names, or an empty one.
func NewSecret(name, value string) (*Secret, error) {
	s := &Secret{name: name, value: value}
	if value != "" {
		return s, nil
	}
	if s.path = os.Getenv(name + "_FILE"); s.path == "" {
		return s, nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %w; name a file that this user can read", name, err)
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %w; name a file that this user can read", name, err)
	}
	s.value, s.changed, s.checked = strings.TrimSpace(string(text)), info.ModTime(), time.Now()
	return s, nil
}

// Get returns the current secret. If its file cannot be read, the secret stays unchanged.
func (s *Secret) Get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" || time.Since(s.checked) < SecretCheck {
		return s.value
	}
	s.checked = time.Now()
	info, err := os.Stat(s.path)
	if err != nil || info.ModTime().Equal(s.changed) {
		return s.value
	}
	if text, err := os.ReadFile(s.path); err == nil {
		s.value, s.changed = strings.TrimSpace(string(text)), info.ModTime()
	}
	return s.value
}

// List returns the parts of the current secret, which commas separate.
func (s *Secret) List() []string {
	var all []string
	for part := range strings.SplitSeq(s.Get(), ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
