package store_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// writtenID is an event that was written.
type writtenID struct {
	id       uuid.UUID
	stream   string
	revision int64
}

// An append without an expected revision counts as repeated if its events were first written among the newest ones,
// with any IDs, over several streams, and whether or not the store was restarted since.
func TestIDsAreKnownByTheNewestEvents(t *testing.T) {
	const remembered = 6
	rapid.Check(t, func(rt *rapid.T) {
		opts := options("data")
		opts.RecentIDs = remembered
		opts = opts.OnFS(vfs.NewMem())
		ctx := testContext(t)
		s, err := store.Open(opts)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(ctx); err != nil {
				rt.Error(err)
			}
		}()
		ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()}
		var log []writtenID
		last := map[string]int64{"a": -1, "b": -1, "c": -1}
		// known returns the revision of an ID in a stream, if that is where it was first written.
		known := func(id uuid.UUID, stream string) (int64, bool) {
			for _, w := range log[max(0, len(log)-remembered):] {
				if w.id == id {
					return w.revision, w.stream == stream
				}
			}
			return 0, false
		}
		// expect returns the revision in the response to an append and whether it is written, or false, false if it is
		// rejected.
		expect := func(stream string, events []store.Event) (revision int64, writes, ok bool) {
			for i := range events {
				at, isKnown := known(events[i].ID, stream)
				switch {
				case !isKnown && i == 0:
					return last[stream] + int64(len(events)), true, true
				case !isKnown:
					return 0, false, false
				}
				revision = at
			}
			return revision, false, true
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				stream := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "stream")
				events := eventsOf(rapid.SliceOfN(rapid.SampledFrom(ids), 1, 3).Draw(rt, "ids"))
				revision, writes, ok := expect(stream, events)
				before := s.Stats().Events
				written, err := s.Append(ctx, stream, store.Any, events)
				var wrong *store.WrongRevisionError
				switch {
				case !ok && !errors.As(err, &wrong):
					rt.Fatalf("got %+v, %v, want a refusal", written, err)
				case ok && (err != nil || written.Revision != revision || s.Stats().Events > before != writes):
					rt.Fatalf("got %+v, %v, wrote %d events; want revision %d, written: %t", written, err, s.Stats().Events-before, revision, writes)
				}
				if !writes {
					return
				}
				for _, e := range events {
					last[stream]++
					log = append(log, writtenID{e.ID, stream, last[stream]})
				}
			},
			"new": func(rt *rapid.T) { // IDs enter the log and leave the remembered ones
				ids[rapid.IntRange(0, len(ids)-1).Draw(rt, "which")] = uuid.New()
			},
			"restart": func(rt *rapid.T) {
				if err := s.Close(ctx); err != nil {
					rt.Fatal(err)
				}
				if s, err = store.Open(opts); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}
