package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// fill writes streams that are plain, limited, deleted, revived and tombstoned, and closes the store.
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
	// What is written later is not in it.
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

// Load keeps places and times, and refuses what is out of order.
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
