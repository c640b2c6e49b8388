package store

import (
	"hash/maphash"

	"github.com/google/uuid"
)

// recentIDs remembers where the newest events were written, so that an append without an expected revision is
// recognised when it comes again. It holds a fixed number of ids; the oldest goes first.
type recentIDs struct {
	seed    maphash.Seed
	entries map[uuid.UUID]recentID
	order   []uuid.UUID // ring, order[next] is the oldest once it is full
	at      []uint64    // position of order[i]
	next    int
}

type recentID struct {
	// stream is a hash of the stream's name: together with an equal event id it is as good as the name.
	stream   uint64
	revision int64
	position uint64
}

func newRecentIDs(limit int) *recentIDs {
	return &recentIDs{
		seed:    maphash.MakeSeed(),
		entries: make(map[uuid.UUID]recentID),
		order:   make([]uuid.UUID, 0, limit),
		at:      make([]uint64, 0, limit),
	}
}

func (r *recentIDs) add(id uuid.UUID, stream string, revision int64, position uint64) {
	if len(r.order) < cap(r.order) {
		r.order, r.at = append(r.order, id), append(r.at, position)
	} else {
		oldest := r.order[r.next]
		if e := r.entries[oldest]; e.position == r.at[r.next] { // the same id may have been written again later
			delete(r.entries, oldest)
		}
		r.order[r.next], r.at[r.next] = id, position
		r.next = (r.next + 1) % len(r.order)
	}
	r.entries[id] = recentID{stream: maphash.String(r.seed, stream), revision: revision, position: position}
}

// find returns where the event was written in the given stream.
func (r *recentIDs) find(id uuid.UUID, stream string) (recentID, bool) {
	e, ok := r.entries[id]
	return e, ok && e.stream == maphash.String(r.seed, stream)
}
