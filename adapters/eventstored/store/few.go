package store

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Few finds the events at or above a position and below another that stand in streams whose names begin with one of the
// prefixes, and returns their positions, oldest first. It looks at the streams alone, and so takes as long in a large
// log as in a small one. few is false if these streams have more than most events, wherever they stand.
func (s *Store) Few(prefixes [][]byte, from, until uint64, most int) (positions []uint64, few bool, err error) {
	if err := s.beginRead(); err != nil {
		return nil, false, err
	}
	defer s.endRead()
	var names [][]byte
	for _, prefix := range prefixes {
		lower := appendHeadKey(nil, string(prefix))
		upper := slices.Clone(lower)
		for upper[len(upper)-1] == math.MaxUint8 { // not the first byte: that tells heads
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
		upper := append(appendStreamKey(nil, string(name), math.MaxInt64), 0) // the tombstone's is among them
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
	return slices.Compact(positions), true, nil // one prefix may begin with another
}

// scan visits keys and values within bounds until visit answers false.
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

// At returns the event at a position that Few found; false if it has been scavenged since.
func (s *Store) At(position uint64) (Record, bool, error) {
	if err := s.beginRead(); err != nil {
		return Record{}, false, err
	}
	defer s.endRead()
	return s.lookUp(position)
}
