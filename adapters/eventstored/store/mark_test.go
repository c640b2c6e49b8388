package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// logImage is a store's directory and the events acknowledged in it.
type logImage struct {
	dir   string
	acked map[uint64]uuid.UUID // by position
}

// makeImage appends small and large events to a store and copies its directory, as it is after the process was killed
// or after the store was closed.
func makeImage(t *testing.T, killed bool) logImage {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "live")
	image := logImage{dir: filepath.Join(t.TempDir(), "image"), acked: map[uint64]uuid.UUID{}}
	// Pebble writes the first log of a directory without the offsets by which it recognizes some damage itself.
	if err := open(t, options(dir)).Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(options(dir))
	if err != nil {
		t.Fatal(err)
	}
	// The events cover several blocks of 32 KiB. Records are mostly small, because Pebble tries every bit of one that
	// it cannot read.
	sizes := slices.Repeat([]int{10, 400, 3000, 900}, 30)
	for i, size := range append(sizes, 10, 40_000) {
		events := newEvents(1 + i%3)
		for j := range events {
			events[j].Data = []byte(`{"n":"` + strings.Repeat("x", size/len(events)) + `"}`)
		}
		if _, err := s.Append(testContext(t), fmt.Sprintf("s%d", i%4), store.Any, events); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range readAll(t, s) {
		image.acked[v.Position] = v.ID
	}
	if killed {
		copyDir(t, dir, image.dir)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if !killed {
		copyDir(t, dir, image.dir)
	}
	return image
}

// copyDir copies a directory. An open store removes files that it no longer needs, so a copy that misses
// one begins again.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	for range 10 {
		err := os.CopyFS(to, os.DirFS(from))
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("files of %s disappear again and again", from)
}

// lost returns the number of acknowledged events that are missing in an opened store.
func (i logImage) lost(t *testing.T, s *store.Store) int {
	t.Helper()
	lost := len(i.acked)
	for _, v := range readAll(t, s) {
		if i.acked[v.Position] == v.ID {
			lost--
		}
	}
	return lost
}

func newestWAL(t *testing.T, dir string) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log in %s: %v", dir, err)
	}
	return slices.Max(logs)
}

func change(t *testing.T, path string, do func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, do(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A flipped bit anywhere in the newest write-ahead log or in the mark either prevents the store from opening or loses
// no acknowledged event. A rejected store is unchanged: with the bit flipped back, it opens.
func TestFlippedBitLosesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	for name, killed := range map[string]bool{"killed": true, "closed": false} {
		image := makeImage(t, killed)
		content, err := os.ReadFile(newestWAL(t, image.dir))
		if err != nil {
			t.Fatal(err)
		}
		written := len(strings.TrimRight(string(content), "\x00"))
		offsets := []int{0, 4, 6, 7, 8, 10, 11, 18, 19, written - 20_000, written - 1} // of the first chunk's header, and of the last record
		rng := rand.New(rand.NewPCG(1, uint64(len(name))))
		for range 25 {
			offsets = append(offsets, rng.IntN(written-40_000))
		}
		refused, byMark := 0, 0
		for _, offset := range offsets {
			for _, file := range []string{filepath.Base(newestWAL(t, image.dir)), "high-water"} {
				bit := byte(1) << rng.IntN(8)
				at := offset
				if file == "high-water" {
					if offset > 40 {
						continue
					}
					at = offset % 40
				}
				dir := filepath.Join(t.TempDir(), "data")
				copyDir(t, image.dir, dir)
				flip := func(c []byte) []byte { c[at] ^= bit; return c }
				change(t, filepath.Join(dir, file), flip)
				s, err := store.Open(options(dir))
				if err != nil {
					refused++
					var shorter *store.ShorterError
					if errors.As(err, &shorter) {
						byMark++
					}
					if !errors.Is(err, store.ErrCorrupted) || strings.Contains(err.Error(), "\n") {
						t.Errorf("%s: bit %d of byte %d of %s: %v; want one line that wraps %v", name, bit, at, file, err, store.ErrCorrupted)
					}
					change(t, filepath.Join(dir, file), flip)
					if s, err = store.Open(options(dir)); err != nil {
						t.Fatalf("%s: with byte %d of %s flipped back: %v", name, at, file, err)
					}
				}
				if n := image.lost(t, s); n > 0 {
					t.Errorf("%s: bit %d of byte %d of %s: %d of %d acknowledged events are lost silently", name, bit, at, file, n, len(image.acked))
				}
				if err := s.Close(testContext(t)); err != nil {
					t.Error(err)
				}
			}
		}
		t.Logf("%s: %d flips over %d bytes, %d refused, %d of them by the mark", name, len(offsets), written, refused, byMark)
	}
}

// A store whose newest events are missing reports how many bytes are missing and what to do, and opens only if the loss
// is accepted.
func TestShorterLogIsRefused(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, dir string){
		"log cut off": func(t *testing.T, dir string) {
			change(t, newestWAL(t, dir), func(c []byte) []byte { return c[:len(strings.TrimRight(string(c), "\x00"))-100] })
		},
		"log missing": func(t *testing.T, dir string) {
			if err := os.Remove(newestWAL(t, dir)); err != nil {
				t.Fatal(err)
			}
		},
		"log emptied": func(t *testing.T, dir string) {
			change(t, newestWAL(t, dir), func([]byte) []byte { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := makeImage(t, true)
			dir := image.dir
			damage(t, dir)
			var first *store.ShorterError
			for range 2 { // a rejected start changes nothing
				_, err := store.Open(options(dir))
				var shorter *store.ShorterError
				if !errors.As(err, &shorter) || shorter.End >= shorter.Acknowledged {
					t.Fatalf("got %v, want a *ShorterError", err)
				}
				for _, part := range []string{
					dir, fmt.Sprintf("%d bytes of events are missing", shorter.Acknowledged-shorter.End), "restore a backup", "--accept-shorter-log",
				} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not contain %q", err, part)
					}
				}
				if first != nil && *first != *shorter {
					t.Errorf("the second start says %v, the first said %v", shorter, first)
				}
				first = shorter
			}
			for what, refuses := range map[string]func() error{
				"Inspect": func() error { _, err := store.Inspect(options(dir)); return err },
				"Verify":  func() error { _, err := store.Verify(testContext(t), options(dir)); return err },
				"Backup":  func() error { return store.Backup(options(dir), filepath.Join(t.TempDir(), "backup")) },
			} {
				var shorter *store.ShorterError
				if err := refuses(); !errors.As(err, &shorter) {
					t.Errorf("%s returned %v, want a *ShorterError", what, err)
				}
			}

			accepting := options(dir)
			accepting.AcceptShorter = true
			s := open(t, accepting)
			if lost := s.Shorter(); lost == nil || *lost != *first {
				t.Errorf("the store opened with %v missing, want %v", lost, first)
			}
			if s.End() != first.End {
				t.Errorf("it ends at %d, want %d", s.End(), first.End)
			}
			if _, err := s.Append(testContext(t), "after", store.NoStream, newEvents(1)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if s := open(t, options(dir)); s.Shorter() != nil { // an accepted loss is not reported again
				t.Errorf("it opens again with %v missing", s.Shorter())
			}
		})
	}
}

// Unacknowledged writes can be torn: the store opens without them.
func TestTornEndOpens(t *testing.T) {
	t.Parallel()
	image := makeImage(t, true)
	for name, tear := range map[string]func([]byte) []byte{
		"garbage": func(c []byte) []byte { return append(c, 0xde, 0xad, 0xbe, 0xef, 0x40, 0x00, 0x05, 1, 0, 0, 0) },
		"zeros":   func(c []byte) []byte { return append(c, make([]byte, 70_000)...) },
	} {
		dir := filepath.Join(t.TempDir(), "data")
		copyDir(t, image.dir, dir)
		change(t, newestWAL(t, dir), func(c []byte) []byte { return tear([]byte(strings.TrimRight(string(c), "\x00"))) })
		if n := image.lost(t, open(t, options(dir))); n > 0 {
			t.Errorf("%s: %d events are lost", name, n)
		}
	}
	// An append that reached the log but was not acknowledged is torn: the mark is before it.
	before := filepath.Join(t.TempDir(), "data")
	copyDir(t, image.dir, before)
	mark, err := os.ReadFile(filepath.Join(before, "high-water"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(options(before))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(testContext(t), "torn", store.NoStream, newEvents(3)); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "data")
	copyDir(t, before, torn)
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(torn, "high-water"), func([]byte) []byte { return mark })
	change(t, newestWAL(t, torn), func(c []byte) []byte { return c[:len(strings.TrimRight(string(c), "\x00"))-9] })
	opened := open(t, options(torn))
	if n := image.lost(t, opened); n > 0 {
		t.Errorf("%d acknowledged events are lost with the torn one", n)
	}
	if got := readStream(t, opened, "torn", 10); len(got) > 0 {
		t.Errorf("the torn append left revisions %v", got)
	}
}

// A store of a version without a mark, and a backup, open as usual. A backup that has lost events does not.
func TestMarkOfOldStoresAndBackups(t *testing.T) {
	t.Parallel()
	image := makeImage(t, false)
	old := filepath.Join(t.TempDir(), "old")
	copyDir(t, image.dir, old)
	if err := os.Remove(filepath.Join(old, "high-water")); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(old))
	if _, err := s.Append(testContext(t), "more", store.NoStream, newEvents(1)); err != nil {
		t.Fatal(err)
	}
	if n := image.lost(t, s); n > 0 {
		t.Errorf("%d events are lost", n)
	}
	if _, err := os.Stat(filepath.Join(old, "high-water")); err != nil {
		t.Errorf("an old store gets no mark: %v", err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(backup); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := store.Restore(testContext(t), options(restored), backup, nil); err != nil {
		t.Fatal(err)
	}
	if n := image.lost(t, open(t, options(restored))); n > 0 {
		t.Errorf("%d events are lost with the backup", n)
	}
	change(t, newestWAL(t, backup), func([]byte) []byte { return nil })
	var shorter *store.ShorterError
	if _, err := store.Restore(testContext(t), options(filepath.Join(t.TempDir(), "again")), backup, nil); !errors.As(err, &shorter) {
		t.Errorf("a backup that lacks events is restored with %v, want a *ShorterError", err)
	}
}

// A record that is damaged in the middle of the log is reported. If the loss is accepted, the store opens with
// everything before it, and the damaged log is kept.
func TestDamageInTheMiddleIsCutIfAccepted(t *testing.T) {
	t.Parallel()
	image := makeImage(t, true)
	dir := image.dir
	path := newestWAL(t, dir)
	change(t, path, func(c []byte) []byte { c[5000] ^= 4; return c })
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := store.Open(options(dir)); !errors.Is(err, store.ErrCorrupted) || !strings.Contains(err.Error(), "--accept-shorter-log") ||
			!strings.Contains(err.Error(), filepath.Base(path)) {
			t.Fatalf("got %v, want the file and the remedy", err)
		}
	}
	accepting := options(dir)
	accepting.AcceptShorter = true
	s := open(t, accepting)
	if lost := image.lost(t, s); lost == 0 || lost == len(image.acked) {
		t.Errorf("%d of %d events are lost, want those after the damage", lost, len(image.acked))
	}
	if s.Shorter() == nil || s.Shorter().End != s.End() {
		t.Errorf("it opened with %v missing, and ends at %d", s.Shorter(), s.End())
	}
	if kept, err := os.ReadFile(filepath.Join(dir, "damaged-"+strings.TrimSuffix(filepath.Base(path), ".log"))); err != nil || !slices.Equal(kept, damaged) {
		t.Errorf("the damaged log is not kept: %v", err)
	}
	if _, err := s.Append(testContext(t), "after", store.NoStream, newEvents(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(testContext(t), options(dir)); err != nil {
		t.Error(err)
	}
}
