package store_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// model is the expected state of a stream, written as plainly as possible.
type model struct {
	ids        []uuid.UUID // by revision
	meta       int         // $metadata events
	before     int64       // $tb
	maxCount   int64
	tombstoned bool
}

func (m *model) last() int64       { return int64(len(m.ids)) - 1 }
func (m *model) softDeleted() bool { return m.before == math.MaxInt64 }

// readable returns the readable revisions, or nil if the stream is missing.
func (m *model) readable() []int64 {
	if m.tombstoned || m.softDeleted() || len(m.ids) == 0 {
		return nil
	}
	first := m.before
	if m.maxCount > 0 {
		first = max(first, int64(len(m.ids))-m.maxCount)
	}
	revisions := []int64{}
	for r := max(first, 0); r < int64(len(m.ids)); r++ {
		revisions = append(revisions, r)
	}
	return revisions
}

// accepts reports whether an append or deletion of new events is written.
func (m *model) accepts(expected store.Expected) bool {
	switch expected {
	case store.Any:
		return true
	case store.StreamExists:
		return !m.softDeleted() && (len(m.ids) > 0 || m.meta > 0)
	case store.NoStream:
		return len(m.ids) == 0 || m.softDeleted()
	default:
		return int64(expected) == m.last()
	}
}

// Any sequence of appends, repeats, deletions, metadata changes, restarts, and power failures leaves the store in the
// state of the model.
func TestStoreBehavesAsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewCrashableMem()
		opts := options("data")
		opts.MemTableBytes = 64 << 10
		opts.TailRecords = 4 // so that reads also come from disk
		s, err := store.Open(opts.OnFS(fs))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(testContext(t)); err != nil {
				rt.Error(err)
			}
		}()
		streams := map[string]*model{}
		lastPosition := uint64(0)
		ctx := testContext(t)
		pick := func(rt *rapid.T) (string, *model) {
			name := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(rt, "stream")
			if streams[name] == nil {
				streams[name] = &model{}
			}
			return name, streams[name]
		}
		expect := func(rt *rapid.T, m *model) store.Expected {
			return rapid.SampledFrom([]store.Expected{
				store.Any, store.NoStream, store.StreamExists, store.Expected(max(m.last(), 0)), store.Expected(m.last() + 1),
				store.Expected(max(m.last()-1, 0)),
			}).Draw(rt, "expected")
		}
		check := func(rt *rapid.T, m *model, expected store.Expected, written store.Written, err error, accepted bool) bool {
			var wrong *store.WrongRevisionError
			var deleted *store.StreamDeletedError
			switch {
			case m.tombstoned:
				if !errors.As(err, &deleted) {
					rt.Fatalf("got %v, want deleted", err)
				}
				return false
			case m.softDeleted() && expected == store.StreamExists:
				if !errors.As(err, &deleted) {
					rt.Fatalf("got %v, want deleted", err)
				}
				return false
			case !accepted:
				if !errors.As(err, &wrong) || wrong.Current != m.last() {
					rt.Fatalf("got %v, want wrong revision with current %d", err, m.last())
				}
				return false
			case err != nil:
				rt.Fatalf("refused: %v", err)
			case written.Position <= lastPosition:
				rt.Fatalf("position %d after %d", written.Position, lastPosition)
			}
			lastPosition = written.Position
			return true
		}
		setBefore := func(m *model, v int64) {
			m.before = v
			m.meta++
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				name, m := pick(rt)
				events := newEvents(rapid.IntRange(1, 3).Draw(rt, "events"))
				expected := expect(rt, m)
				written, err := s.Append(ctx, name, expected, events)
				if !check(rt, m, expected, written, err, m.accepts(expected)) {
					return
				}
				if m.softDeleted() {
					setBefore(m, int64(len(m.ids)))
					lastPosition = s.End() - 1 // the metadata comes after the events
				}
				for _, e := range events {
					m.ids = append(m.ids, e.ID)
				}
				if written.Revision != m.last() {
					rt.Fatalf("revision %d, want %d", written.Revision, m.last())
				}
			},
			"repeat": func(rt *rapid.T) {
				name, m := pick(rt)
				if m.tombstoned || len(m.ids) == 0 || m.softDeleted() {
					rt.Skip("nothing that can be repeated")
				}
				from := rapid.IntRange(0, len(m.ids)-1).Draw(rt, "from")
				to := rapid.IntRange(from+1, len(m.ids)).Draw(rt, "to")
				events := newEvents(to - from)
				for i := range events {
					events[i].ID = m.ids[from+i]
				}
				expected := rapid.SampledFrom([]store.Expected{store.Expected(from - 1), store.Any}).Draw(rt, "expected")
				written, err := s.Append(ctx, name, expected, events)
				if err != nil || written.Revision != int64(to-1) {
					rt.Fatalf("got %+v, %v; want revision %d", written, err, to-1)
				}
			},
			"delete": func(rt *rapid.T) {
				name, m := pick(rt)
				expected := expect(rt, m)
				written, err := s.Delete(ctx, name, expected)
				if check(rt, m, expected, written, err, m.accepts(expected) && (len(m.ids) > 0 || m.meta > 0)) {
					setBefore(m, math.MaxInt64)
					m.maxCount = 0
				}
			},
			"tombstone": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "rarely") != 0 {
					rt.Skip("not now")
				}
				name, m := pick(rt)
				expected := expect(rt, m)
				written, err := s.Tombstone(ctx, name, expected)
				if check(rt, m, expected, written, err, m.accepts(expected)) {
					m.tombstoned = true
				}
			},
			"set metadata": func(rt *rapid.T) {
				name, m := pick(rt)
				before := rapid.Int64Range(0, 6).Draw(rt, "$tb")
				maxCount := rapid.Int64Range(0, 4).Draw(rt, "$maxCount")
				written, err := s.Append(ctx, store.MetadataStream(name), store.Any, []store.Event{{
					ID: uuid.New(), Type: "$metadata", JSON: true,
					Data: fmt.Appendf(nil, `{"$tb":%d,"$maxCount":%d}`, before, maxCount),
				}})
				if !check(rt, m, store.Any, written, err, true) {
					return
				}
				m.meta++
				if m.softDeleted() {
					before = int64(len(m.ids))
					lastPosition = s.End() - 1
				}
				m.before, m.maxCount = before, maxCount
			},
			"restart": func(rt *rapid.T) {
				if err := s.Close(ctx); err != nil {
					rt.Fatal(err)
				}
				if s, err = store.Open(opts.OnFS(fs)); err != nil {
					rt.Fatal(err)
				}
			},
			"power failure": func(rt *rapid.T) {
				clone := fs.CrashClone(vfs.CrashCloneCfg{})
				if err := s.Close(ctx); err != nil {
					rt.Fatal(err)
				}
				fs = clone
				if s, err = store.Open(opts.OnFS(fs)); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				for name, m := range streams {
					if got := readStream(t, s, name, 2); !slices.Equal(got, m.readable()) || (got == nil) != (m.readable() == nil) {
						rt.Fatalf("%s reads as %v, want %v", name, got, m.readable())
					}
				}
			},
		})
	})
}
