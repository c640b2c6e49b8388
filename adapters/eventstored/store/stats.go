package store

import "sync/atomic"

// Stats counts what happened since the store was opened.
type Stats struct {
	// Appends that succeeded, including repeated ones and deletions.
	Appends uint64
	// Events written.
	Events uint64
	// Commits that were synced. Appends divided by Commits is the mean size of a group.
	Commits uint64
	// Bytes written to Pebble: records and their index entries.
	Bytes uint64
}

type counters struct{ appends, events, commits, bytes atomic.Uint64 }

// Stats returns the counters. It costs four atomic loads.
func (s *Store) Stats() Stats {
	return Stats{
		Appends: s.counters.appends.Load(),
		Events:  s.counters.events.Load(),
		Commits: s.counters.commits.Load(),
		Bytes:   s.counters.bytes.Load(),
	}
}
