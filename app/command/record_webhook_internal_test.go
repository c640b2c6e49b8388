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
			if recent.ids.Len() > limit {
				t.Fatalf("%d are remembered, limit %d", recent.ids.Len(), limit)
			}
		}
	})
}
