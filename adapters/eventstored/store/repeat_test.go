package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// verdict is the outcome of an append of IDs to a stream.
type verdict string

const (
	isWritten  verdict = "written"
	isRepeated verdict = "repeated"
	isRefused  verdict = "refused"
)

// judge implements EventStoreDB's rule for repeated appends, written as plainly as possible. remembered reports whether
// the IDs are known without an expected revision.
func judge(existing, ids []uuid.UUID, expected store.Expected, remembered bool) (verdict, int) {
	last := len(existing) - 1
	if expected == store.StreamExists && last < 0 {
		return isRefused, 0
	}
	if expected == store.Any || expected == store.StreamExists {
		known := func(id uuid.UUID) int {
			if !remembered {
				return -1
			}
			return slices.Index(existing, id)
		}
		if known(ids[0]) < 0 {
			return isWritten, last + len(ids)
		}
		for _, id := range ids {
			if known(id) < 0 {
				return isRefused, 0
			}
		}
		return isRepeated, known(ids[len(ids)-1])
	}
	at := int(expected)
	switch {
	case at == last:
		return isWritten, last + len(ids)
	case at > last:
		return isRefused, 0
	}
	for i, id := range ids {
		if at+1+i > last || existing[at+1+i] != id {
			return isRefused, 0
		}
	}
	return isRepeated, at + len(ids)
}

// Every append of up to three events, new and existing ones, in every order and at every expectation, to streams of up
// to three events: the newest streams, after a restart, and when none of their events are remembered.
func TestEveryRepeatedAppend(t *testing.T) {
	for name, tt := range map[string]struct {
		recent    int
		restarted bool
	}{
		"remembered": {1 << 16, false},
		"restarted":  {1 << 16, true},
		"forgotten":  {1, false},
	} {
		t.Run(name, func(t *testing.T) {
			opts := options("data")
			opts.RecentIDs, opts.TailRecords = tt.recent, 64
			opts = opts.OnFS(vfs.NewMem())
			s := open(t, opts)
			ctx := testContext(t)
			type attempt struct {
				stream   string
				existing []uuid.UUID
				ids      []uuid.UUID
				expected store.Expected
			}
			var attempts []attempt
			for length := range 4 {
				for _, letters := range words("abcx", 3) {
					for _, expected := range []store.Expected{store.Any, store.StreamExists, store.NoStream, 0, 1, 2, 3} {
						a := attempt{stream: fmt.Sprintf("%d-%s-%d", length, letters, expected), expected: expected}
						id := map[rune]uuid.UUID{}
						for _, l := range "abcx" {
							id[l] = uuid.New()
						}
						for _, l := range "abc"[:length] {
							a.existing = append(a.existing, id[l])
						}
						for _, l := range letters {
							a.ids = append(a.ids, id[l])
						}
						if length > 0 {
							if _, err := s.Append(ctx, a.stream, store.NoStream, eventsOf(a.existing)); err != nil {
								t.Fatal(err)
							}
						}
						attempts = append(attempts, a)
					}
				}
			}
			if tt.restarted {
				if err := s.Close(ctx); err != nil {
					t.Fatal(err)
				}
				s = open(t, opts)
			}
			for _, a := range attempts {
				want, revision := judge(a.existing, a.ids, a.expected, tt.recent > 1)
				before := s.End()
				written, err := s.Append(ctx, a.stream, a.expected, eventsOf(a.ids))
				got := isWritten
				var wrong *store.WrongRevisionError
				switch {
				case errors.As(err, &wrong):
					got = isRefused
				case err != nil:
					t.Fatalf("%s: %v", a.stream, err)
				case s.End() == before:
					got = isRepeated
				}
				if got != want || got != isRefused && written.Revision != int64(revision) {
					t.Errorf("%s: %s at %d, want %s at %d", a.stream, got, written.Revision, want, revision)
				}
				if got == isRefused && wrong.Current != int64(len(a.existing)-1) {
					t.Errorf("%s: refused with current revision %d", a.stream, wrong.Current)
				}
			}
			t.Logf("%d appends", len(attempts))
		})
	}
}

// words returns all sequences of one to n of the letters.
func words(letters string, n int) []string {
	var all []string
	for level := []string{""}; n > 0; n-- {
		var next []string
		for _, w := range level {
			for _, l := range letters {
				next = append(next, w+string(l))
			}
		}
		all, level = append(all, next...), next
	}
	return all
}

func eventsOf(ids []uuid.UUID) []store.Event {
	events := newEvents(len(ids))
	for i := range events {
		events[i].ID = ids[i]
	}
	return events
}
