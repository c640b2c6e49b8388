package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// secretCheck is how often a secret's file is looked at for a change.
const secretCheck = time.Second

// secret is a setting that may come from a file, WAYPOST_X_FILE, which is read
// again when it changes.
type secret struct {
	name, path string

	mu      sync.Mutex
	value   string
	changed time.Time
	looked  time.Time
}

// newSecret reads the secret of a setting: the value given, else the file named
// by the variable NAME_FILE, else nothing.
func newSecret(name, value string) (*secret, error) {
	s := &secret{name: name, value: value}
	if value != "" {
		return s, nil
	}
	if s.path = os.Getenv(name + "_FILE"); s.path == "" {
		return s, nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %w; name a file that this user may read", name, err)
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %w; name a file that this user may read", name, err)
	}
	s.value, s.changed, s.looked = strings.TrimSpace(string(text)), info.ModTime(), time.Now()
	return s, nil
}

// get is the secret as it is now. A file that cannot be read leaves it as it was.
func (s *secret) get() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == "" || time.Since(s.looked) < secretCheck {
		return s.value
	}
	s.looked = time.Now()
	info, err := os.Stat(s.path)
	if err != nil || info.ModTime().Equal(s.changed) {
		return s.value
	}
	if text, err := os.ReadFile(s.path); err == nil {
		s.value, s.changed = strings.TrimSpace(string(text)), info.ModTime()
	}
	return s.value
}

// list is the secret split at its commas.
func (s *secret) list() []string {
	var all []string
	for part := range strings.SplitSeq(s.get(), ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
