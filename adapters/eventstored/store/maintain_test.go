package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// fill writes plain, limited, deleted, revived, and tombstoned streams and closes the store.
func fill(t *testing.T, opts store.Options) {
	t.Helper()
	s, err := store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	do := func(_ store.Written, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, stream := range []string{"plain", "limited", "deleted", "revived", "tombstoned"} {
		do(s.Append(ctx, stream, store.NoStream, newEvents(10)))
	}
	do(s.Append(ctx, "$$limited", store.Any, []store.Event{
		{ID: uuid.New(), Type: "$metadata", JSON: true, Data: []byte(`{"$maxCount":3}`)},
	}))
	do(s.Delete(ctx, "deleted", store.Any))
	do(s.Delete(ctx, "revived", store.Any))
	do(s.Append(ctx, "revived", store.NoStream, newEvents(2)))
	do(s.Tombstone(ctx, "tombstoned", store.Any))
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func readable(t *testing.T, opts store.Options) string {
	t.Helper()
	s := open(t, opts)
	var text strings.Builder
	for _, stream := range []string{"plain", "limited", "deleted", "revived", "tombstoned"} {
		fmt.Fprintf(&text, "%s %v\n", stream, readStream(t, s, stream, 100))
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestVerify(t *testing.T) {
	opts := options(t.TempDir())
	fill(t, opts)
	report, err := store.Verify(testContext(t), opts)
	if err != nil || report.Events != 57 || report.Streams != 8 {
		t.Fatalf("%+v, %v", report, err)
	}
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	opts := options(dir)
	fill(t, opts)
	s := open(t, opts)
	records, _, err := s.ReadAll(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatWALSyncChunks, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	key := []byte{'a', 0, 0, 0, 0, 0, 0, byte(records[3].Position >> 8), byte(records[3].Position)}
	if err := errors.Join(db.Delete(key, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = store.Verify(testContext(t), opts)
	if !errors.Is(err, store.ErrCorrupted) {
		t.Fatalf("got %v, want the missing event", err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func TestBackup(t *testing.T) {
	opts := options(t.TempDir())
	fill(t, opts)
	want := readable(t, opts)
	s := open(t, opts)
	to := filepath.Join(t.TempDir(), "backup")
	if err := s.Backup(to); err != nil {
		t.Fatal(err)
	}
	// Later writes are not in it.
	if _, err := s.Append(testContext(t), "plain", store.Any, newEvents(1)); err != nil {
		t.Fatal(err)
	}
	copied := options(to)
	if got := readable(t, copied); got != want {
		t.Errorf("backup reads as\n%s want\n%s", got, want)
	}
	if _, err := store.Verify(testContext(t), copied); err != nil {
		t.Error(err)
	}
	if got := open(t, copied).ID(); got != s.ID() {
		t.Errorf("identity %s, want that of the original, %s", got, s.ID())
	}
}

func TestScavenge(t *testing.T) {
	opts := options(t.TempDir())
	fill(t, opts)
	want := readable(t, opts)
	report, err := store.Scavenge(testContext(t), opts)
	if err != nil || report.Events != 7+10+10+10+1 { // limited, deleted, revived, tombstoned, older metadata of revived
		t.Fatalf("%+v, %v", report, err)
	}
	if got := readable(t, opts); got != want {
		t.Errorf("after scavenging it reads as\n%s want\n%s", got, want)
	}
	if _, err := store.Verify(testContext(t), opts); err != nil {
		t.Error(err)
	}
	s := open(t, opts)
	if written, err := s.Append(testContext(t), "limited", 9, newEvents(1)); err != nil || written.Revision != 10 {
		t.Errorf("append after scavenging: %+v, %v", written, err)
	}
	var seen []string
	for _, v := range readAll(t, s) {
		if stream := string(v.Stream); !slices.Contains(seen, stream) {
			seen = append(seen, stream)
		}
	}
	if slices.Contains(seen, "deleted") || !slices.Contains(seen, "tombstoned") {
		t.Errorf("streams left: %v", seen)
	}
}

// A scavenge of a store in use does not disturb readers and writers, and removes everything it should.
func TestScavengeWhileInUse(t *testing.T) {
	opts := options(t.TempDir())
	opts.TailRecords, opts.MemTableBytes = 16, 256<<10 // reads go to disk
	s := open(t, opts)
	ctx := testContext(t)
	const streams, limit, enough = 4, 5, 1000
	const pause = time.Millisecond // the readers must not dominate the test
	for i := range streams {
		name := fmt.Sprintf("s%d", i)
		if _, err := s.Append(ctx, store.MetadataStream(name), store.Any, []store.Event{
			{ID: uuid.New(), Type: "$metadata", JSON: true, Data: fmt.Appendf(nil, `{"$maxCount":%d}`, limit)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	using, stop := context.WithCancel(ctx)
	var users sync.WaitGroup
	var appended atomic.Int64
	for i := range streams {
		name := fmt.Sprintf("s%d", i)
		users.Go(func() {
			expected := store.NoStream
			for using.Err() == nil {
				events := newEvents(7)
				written, err := s.Append(ctx, name, expected, events)
				if err != nil || written.Revision != int64(expected)+7 {
					t.Errorf("append: %+v, %v", written, err)
					return
				}
				// A repeat is recognized, or rejected if the original was scavenged.
				var wrong *store.WrongRevisionError
				if again, err := s.Append(ctx, name, expected, events); again != written && !errors.As(err, &wrong) {
					t.Errorf("repeated append: %+v, %v; want %+v", again, err, written)
				}
				expected = store.Expected(written.Revision)
				appended.Add(1)
			}
		})
		users.Go(func() {
			pace := time.NewTicker(pause)
			defer pace.Stop()
			for ; using.Err() == nil; <-pace.C {
				view, err := s.Stream(ctx, name)
				if err != nil {
					t.Error(err)
					return
				}
				if view.State() != store.StreamReadable {
					continue
				}
				// An older view may have lost some of the events in its range, but nothing else is wrong.
				for next, more := int64(0), true; more; {
					if _, next, more, err = view.Read(next, 2); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	users.Go(func() {
		pace := time.NewTicker(pause)
		defer pace.Stop()
		for next := uint64(0); using.Err() == nil; <-pace.C {
			records, _, err := s.ReadAll(next, 100)
			if err != nil {
				t.Error(err)
				return
			}
			if next = 0; len(records) > 0 {
				next = records[len(records)-1].Position + 1
			}
		}
	})
	var removed uint64
	for appended.Load() < enough && ctx.Err() == nil {
		report, err := s.Scavenge(ctx)
		if err != nil {
			t.Fatal(err)
		}
		removed += report.Events
	}
	stop()
	users.Wait()
	report, err := s.Scavenge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	removed += report.Events
	if left := len(readAll(t, s)); left > streams*(limit+2) || uint64(7*appended.Load()) != removed+uint64(left)-streams {
		t.Errorf("%d events removed of %d, %d are left", removed, 7*appended.Load(), left)
	}
	for i := range streams {
		if got := readStream(t, s, fmt.Sprintf("s%d", i), 3); len(got) != limit {
			t.Errorf("s%d: revisions %v are readable, want %d of them", i, got, limit)
		}
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(ctx, opts); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsScavenge(t *testing.T) {
	s := open(t, options(t.TempDir()))
	for range 50 {
		if _, err := s.Append(testContext(t), "s", store.Any, newEvents(100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Tombstone(testContext(t), "s", store.Any); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.Scavenge(testContext(t))
		ended <- err
	}()
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil && !errors.Is(err, store.ErrClosed) {
		t.Fatalf("the scavenge ends with %v", err)
	}
}

func TestRestore(t *testing.T) {
	opts := options(t.TempDir())
	fill(t, opts)
	want := readable(t, opts)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := store.Backup(opts, backup); err != nil {
		t.Fatal(err)
	}
	restored := options(filepath.Join(t.TempDir(), "data", "eventstore"))
	if err := os.MkdirAll(filepath.Dir(restored.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	prepared := ""
	report, err := store.Restore(testContext(t), restored, backup, func(dir string) error {
		prepared = dir
		if _, err := os.Stat(restored.Dir); err == nil {
			t.Error("it is in place before prepare has returned")
		}
		return nil
	})
	if err != nil || report.Events != 57 || prepared == "" {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := readable(t, restored); got != want {
		t.Errorf("restored it reads as\n%s want\n%s", got, want)
	}
	if _, err := store.Restore(testContext(t), restored, backup, nil); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a directory in use is overwritten: %v", err)
	}
}

// A failed restore leaves nothing behind.
func TestRestoreRefuses(t *testing.T) {
	opts := options(t.TempDir())
	fill(t, opts)
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := store.Backup(opts, damaged); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(damaged, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables in the backup: %v", err)
	}
	for _, table := range tables {
		// Not in place: a backup shares its tables with the store as long as both have them.
		if err := errors.Join(os.Remove(table), os.WriteFile(table, []byte("cut off"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	running := options(t.TempDir())
	open(t, running)
	good := filepath.Join(t.TempDir(), "good")
	if err := store.Backup(opts, good); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("cannot prepare")
	for name, tt := range map[string]struct {
		from    string
		prepare func(string) error
		want    string
	}{
		"nothing":          {filepath.Join(t.TempDir(), "none"), nil, "is not a backup of an event store"},
		"something else":   {t.TempDir(), nil, "is not a backup of an event store"},
		"damaged":          {damaged, nil, "cannot be used"},
		"a running store":  {running.Dir, nil, "in use by another process"},
		"a failed prepare": {good, func(string) error { return broken }, broken.Error()},
	} {
		to := options(filepath.Join(t.TempDir(), "data"))
		_, err := store.Restore(testContext(t), to, tt.from, tt.prepare)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		left, globErr := filepath.Glob(to.Dir + "*")
		if globErr != nil || len(left) > 0 {
			t.Errorf("%s: it leaves %v, %v", name, left, globErr)
		}
	}
}

// Load keeps positions and times, and rejects events that are out of order.
func TestLoad(t *testing.T) {
	created := time.Date(2020, 1, 2, 3, 4, 5, 6700, time.UTC)
	event := func(stream string, revision int64, position uint64) store.LoadedEvent {
		return store.LoadedEvent{Event: newEvents(1)[0], Stream: stream, Revision: revision, Position: position, Created: created}
	}
	load := func(dir string, events ...store.LoadedEvent) error {
		return store.Load(options(dir), func(yield func(store.LoadedEvent, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		})
	}
	dir := t.TempDir()
	if err := load(dir, event("a", 0, 5), event("b", 0, 70), event("a", 1, 71)); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(dir))
	got := readAll(t, s)
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[1].Position != 70 || got[2].Revision != 1 || got[0].Created != created.UnixNano()/100 {
		t.Fatalf("%+v", got)
	}
	for name, err := range map[string]error{
		"positions":  load(t.TempDir(), event("a", 0, 70), event("a", 1, 70)),
		"revisions":  load(t.TempDir(), event("a", 0, 5), event("a", 2, 70)),
		"used store": load(dir, event("c", 0, 1000)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
