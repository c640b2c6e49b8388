package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// The leftovers of an earlier run are replaced. A directory that was not created by it is rejected and stays unchanged.
func TestOnlyUnfinishedWorkIsReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backup.partial")
	file := filepath.Join(dir, "precious")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.MakeUnfinished(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an unrelated directory was accepted: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("its file is gone: %v", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.MakeUnfinished(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what an earlier run left is still there: %v", err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Finish(dir); err != nil {
		t.Fatal(err)
	}
	if err := store.MakeUnfinished(dir); err == nil {
		t.Error("finished work is replaced")
	}
}

// A restore does not touch a directory that happens to have the name of its working directory.
func TestRestoreLeavesUnrelatedDirectories(t *testing.T) {
	t.Parallel()
	image := makeImage(t, false)
	dir := filepath.Join(t.TempDir(), "data")
	unrelated := filepath.Join(dir+".restoring", "precious")
	if err := os.MkdirAll(filepath.Dir(unrelated), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unrelated, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Restore(testContext(t), options(dir), image.dir, nil); err == nil {
		t.Error("it works in a directory that it did not make")
	}
	if _, err := os.Stat(unrelated); err != nil {
		t.Error(err)
	}
}
