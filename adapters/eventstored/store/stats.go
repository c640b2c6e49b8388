package store

import "sync/atomic"

// Stats count what happened since the store was opened.
type Stats struct {
	// Appends that succeeded, repeated ones and deletions included.
	Appends uint64
	// Events written.
	Events uint64
	// Commits synced; Appends over Commits is the mean size of a group.
	Commits uint64
	// Bytes given to Pebble: records and their index entries.
	Bytes uint64
}

type counters struct{ appends, events, commits, bytes atomic.Uint64 }

// Stats costs four atomic loads.
func (s *Store) Stats() Stats {
	return Stats{
		Appends: s.counters.appends.Load(),
		Events:  s.counters.events.Load(),
		Commits: s.counters.commits.Load(),
		Bytes:   s.counters.bytes.Load(),
	}
}
