package store_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// patience limits every wait of the tests. No wait should take a noticeable part of it.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func options(dir string) store.Options {
	return store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Now: time.Now, MinFreeBytes: -1}
}

func open(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

func newEvents(n int) []store.Event {
	events := make([]store.Event, n)
	for i := range events {
		events[i] = store.Event{ID: uuid.New(), Type: "Happened", JSON: true, Data: []byte(`{"n":1}`)}
	}
	return events
}

// readAll reads the whole log.
func readAll(t testing.TB, s *store.Store) []store.RecordView {
	t.Helper()
	var views []store.RecordView
	next := uint64(0)
	for {
		records, _, err := s.ReadAll(next, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return views
		}
		for _, r := range records {
			v, err := r.View()
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
			next = r.Position + 1
		}
	}
}

// readStream returns the readable revisions of a stream, read in pages of the given size, or nil if the stream is not
// readable.
func readStream(t testing.TB, s *store.Store, stream string, page uint64) []int64 {
	t.Helper()
	view, err := s.Stream(testContext(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	if view.State() != store.StreamReadable {
		return nil
	}
	revisions := []int64{}
	for next, more := int64(0), true; more; {
		var records []store.Record
		records, next, more, err = view.Read(next, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			v, err := r.View()
			if err != nil {
				t.Fatal(err)
			}
			revisions = append(revisions, v.Revision)
		}
	}
	return revisions
}
