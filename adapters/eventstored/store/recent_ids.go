package store

import (
	"hash/maphash"
	"slices"

	"github.com/google/uuid"
)

// recentIDs remembers where the newest events were written, so that a repeated append without an expected revision is
// recognized. It holds a fixed number of events and, when full, drops the oldest one. Its content depends only on the
// newest events of the log, so it is the same after a restart.
type recentIDs struct {
	seed maphash.Seed
	// first is where the oldest remembered event with an ID was written, later where further events with the same ID
	// were written. The latter are rare.
	first map[uuid.UUID]recentID
	later map[uuid.UUID][]recentID
	order []uuid.UUID // ring; order[next] is the oldest once it is full
	next  int
}

type recentID struct {
	// stream is a hash of the stream's name. Together with an equal event ID, it identifies the stream as well as the
	// name does.
	stream   uint64
	revision int64
	position uint64
}

func newRecentIDs(limit int) *recentIDs {
	return &recentIDs{
		seed:  maphash.MakeSeed(),
		first: make(map[uuid.UUID]recentID),
		later: make(map[uuid.UUID][]recentID),
		order: make([]uuid.UUID, 0, limit),
	}
}

func (r *recentIDs) add(id uuid.UUID, stream string, revision int64, position uint64) {
	if len(r.order) < cap(r.order) {
		r.order = append(r.order, id)
	} else {
		r.drop(r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % len(r.order)
	}
	e := recentID{stream: maphash.String(r.seed, stream), revision: revision, position: position}
	if _, known := r.first[id]; known {
		r.later[id] = append(r.later[id], e)
	} else {
		r.first[id] = e
	}
}

// drop removes the oldest event with an ID.
func (r *recentIDs) drop(id uuid.UUID) {
	later := r.later[id]
	switch len(later) {
	case 0:
		delete(r.first, id)
	case 1:
		r.first[id] = later[0]
		delete(r.later, id)
	default:
		r.first[id], r.later[id] = later[0], later[1:]
	}
}

// find returns where the oldest remembered event with an ID was written, if that was in the given stream. As in
// EventStoreDB, an ID that was first written to another stream is not found.
func (r *recentIDs) find(id uuid.UUID, stream string) (recentID, bool) {
	e, ok := r.first[id]
	return e, ok && e.stream == maphash.String(r.seed, stream)
}

// at returns the position of the remembered event with an ID at a revision of a stream.
func (r *recentIDs) at(id uuid.UUID, stream string, revision int64) (position uint64, ok bool) {
	e, ok := r.first[id]
	if !ok {
		return 0, false
	}
	hash := maphash.String(r.seed, stream)
	is := func(e recentID) bool { return e.stream == hash && e.revision == revision }
	if is(e) {
		return e.position, true
	}
	later := r.later[id]
	if i := slices.IndexFunc(later, is); i >= 0 {
		return later[i].position, true
	}
	return 0, false
}
