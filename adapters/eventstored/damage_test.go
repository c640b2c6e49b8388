package eventstored_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/eventstored/store"
)

// A store with a damaged file does not start. If only events that the start does not read are damaged, verify finds the
// damage. Either way, the error names the file.
func TestDamageIsNamed(t *testing.T) {
	sound := t.TempDir()
	inSound := func(o *eventstored.Options) { o.Dir = sound }
	for range 3 { // tables, a log and a manifest with some history
		s, c := start(t, inSound)
		for range 20 {
			mustAppend(t, c, "s", esdb.Any{}, newEvents(50)...)
		}
		if err := s.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	oldest := func(paths []string) string { return paths[0] }
	newest := func(paths []string) string { return paths[len(paths)-1] }
	missing := os.Remove
	empty := func(path string) error { return os.Truncate(path, 0) }
	halved := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	}
	flipped := func(path string) error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := len(content) / 4; i < len(content)/4+20; i++ {
			content[i] ^= 0xff
		}
		return os.WriteFile(path, content, 0o600)
	}
	for name, tt := range map[string]struct {
		pattern string
		which   func([]string) string
		damage  func(string) error
	}{
		"table missing":            {"*.sst", oldest, missing},
		"table empty":              {"*.sst", oldest, empty},
		"table cut off":            {"*.sst", newest, halved},
		"events in a table":        {"*.sst", oldest, flipped},
		"list of tables missing":   {"MANIFEST-*", newest, missing},
		"list of tables empty":     {"MANIFEST-*", newest, empty},
		"entries in that list":     {"MANIFEST-*", newest, flipped},
		"events in the log":        {"*.log", newest, flipped},
		"name of the list missing": {"marker.manifest.*", newest, missing},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(dir, tt.pattern))
			if err != nil || len(paths) == 0 {
				t.Fatalf("no %s: %v", tt.pattern, err)
			}
			path := tt.which(paths)
			named, _, _ := strings.Cut(filepath.Base(path), ".0") // ignore the rest of a marker's name, which is not known after its loss
			if err := tt.damage(path); err != nil {
				t.Fatal(err)
			}
			err = openAndVerify(t, dir)
			if err == nil || !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with the name %s", err, named)
			}
			if !errors.Is(err, store.ErrCorrupted) {
				t.Errorf("%v does not wrap %v", err, store.ErrCorrupted)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) < len(files)-1 {
				t.Errorf("of %d files %d are left: %v", len(files), len(left), err)
			}
		})
	}
}

func openAndVerify(t *testing.T, dir string) error {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s, err := eventstored.Open(context.Background(), eventstored.Options{Dir: dir, Addr: "127.0.0.1:0", Insecure: true, Logger: quiet})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := s.Close(testContext(t)); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	_, err = store.Verify(testContext(t), store.Options{Dir: dir, Logger: quiet, Now: time.Now})
	return err
}
