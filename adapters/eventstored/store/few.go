package store

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// longStretch is the number of bytes of the log above which looking up streams is cheaper than reading. fewEvents
	// limits the events found that way, because each of them is a separate read.
	longStretch = 4 << 20
	fewEvents   = 10_000
)

// VisitFew passes the events at or above a position to visit, in order, whose streams' names begin with one of the
// prefixes, if they are few in a long log. It does not read the events between them. It returns the position to
// continue from, which is from if the events are many or the log is short, and visit's error.
func (s *Store) VisitFew(prefixes [][]byte, from uint64, visit func(Record) error) (next uint64, err error) {
	end := s.End()
	if end < from || end-from < longStretch {
		return from, nil
	}
	positions, few, err := s.positionsByPrefix(prefixes, from, end, fewEvents)
	if err != nil || !few {
		return from, err
	}
	for _, position := range positions {
		record, found, err := s.at(position)
		if err != nil {
			return from, err
		}
		if !found {
			continue // scavenged in the meantime
		}
		if err := visit(record); err != nil {
			return from, err
		}
	}
	last, err := s.ReadAllBackwards(end, 1)
	if err != nil || len(last) == 0 {
		return from, err
	}
	return last[0].Position + 1, nil // a position with an event
}

// positionsByPrefix returns the positions of the events in [from, until) whose streams' names begin with one of the
// prefixes, in ascending order. It reads only these streams, so it takes as long in a large log as in a small one.
// complete is false if these streams contain more than most events, at any position.
func (s *Store) positionsByPrefix(prefixes [][]byte, from, until uint64, most int) (positions []uint64, complete bool, err error) {
	if err := s.beginRead(); err != nil {
		return nil, false, err
	}
	defer s.endRead()
	var names [][]byte
	for _, prefix := range prefixes {
		lower := appendHeadKey(nil, string(prefix))
		upper := slices.Clone(lower)
		for upper[len(upper)-1] == math.MaxUint8 { // never the first byte: that identifies heads
			upper = upper[:len(upper)-1]
		}
		upper[len(upper)-1]++
		err := s.scan("streams", lower, upper, func(key, _ []byte) bool {
			names = append(names, slices.Clone(key[1:]))
			return len(names) <= most
		})
		if err != nil || len(names) > most {
			return nil, false, err
		}
	}
	seen := 0
	for _, name := range names {
		lower := appendStreamKey(nil, string(name), 0)
		upper := append(appendStreamKey(nil, string(name), math.MaxInt64), 0) // includes the tombstone
		damaged := false
		err := s.scan(fmt.Sprintf("stream %q", name), lower, upper, func(_, value []byte) bool {
			position, err := parseUint64(value)
			if damaged = err != nil; damaged {
				return false
			}
			if from <= position && position < until {
				positions = append(positions, position)
			}
			seen++
			return seen <= most
		})
		switch {
		case damaged:
			return nil, false, s.readError(fmt.Sprintf("stream %q", name), ErrCorrupted)
		case err != nil || seen > most:
			return nil, false, err
		}
	}
	slices.Sort(positions)
	return slices.Compact(positions), true, nil // one prefix can begin with another
}

// scan calls visit with the keys and values within bounds until visit returns false.
func (s *Store) scan(what string, lower, upper []byte, visit func(key, value []byte) bool) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return s.readError(what, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(s.readError(what, err), it.Close())
		}
		if !visit(it.Key(), value) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return s.readError(what, err)
	}
	return nil
}

// at returns the event at a position that positionsByPrefix returned. The result is false if the event has been
// scavenged since.
func (s *Store) at(position uint64) (Record, bool, error) {
	if err := s.beginRead(); err != nil {
		return Record{}, false, err
	}
	defer s.endRead()
	return s.lookUp(position)
}
