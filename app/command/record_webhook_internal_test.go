package command

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestRecentIDsAreTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		recent := newRecentIDs(limit)
		var added []uuid.UUID
		for _, n := range rapid.SliceOf(rapid.ByteRange(1, 9)).Draw(t, "ids") {
			id := uuid.UUID{n}
			if !recent.has(id) {
				added = append(added, id)
			}
			recent.add(id)
			for i, id := range added {
				last := i >= len(added)-limit
				later := false
				for _, other := range added[i+1:] {
					later = later || other == id
				}
				if !later && recent.has(id) != last {
					t.Fatalf("id %d of %d, limit %d: remembered %t", i+1, len(added), limit, recent.has(id))
				}
			}
			if len(recent.ids) > limit {
				t.Fatalf("%d are remembered, limit %d", len(recent.ids), limit)
			}
		}
	})
}

func TestPlace(t *testing.T) {
	for id, want := range map[string]string{
		"910200300400500": "910200300400500", "": "unknown", "../x": "unknown", "+49151": "unknown",
		"012345678901234567890123456789012": "unknown",
	} {
		if got := place(id); got != want {
			t.Errorf("%q became %q", id, got)
		}
	}
}
