package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// The functions here work on a store that nobody serves: they take the folder's lock, so a running server makes them fail
// with ErrLocked. The methods work while it runs.

// VerifyReport is what Verify saw.
type VerifyReport struct {
	Events, Streams uint64
	// End is the position after the last event.
	End uint64
}

// Verify reads the whole store and holds log, index and heads against each other. Its error, which wraps ErrCorrupted,
// joins the first differences found.
func Verify(ctx context.Context, opts Options) (report VerifyReport, err error) {
	s, err := openOffline(opts)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.abandon()) }()
	v := verifier{store: s}
	if err := v.log(ctx); err != nil {
		return v.report, err
	}
	if err := v.index(ctx); err != nil {
		return v.report, err
	}
	v.report.End = s.End()
	return v.report, errors.Join(v.found...)
}

func openOffline(opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return openWithoutCommitter(opts)
}

type verifier struct {
	store  *Store
	report VerifyReport
	found  []error
}

// maxDifferences bounds what one verification tells.
const maxDifferences = 100

func (v *verifier) differsf(format string, args ...any) {
	if len(v.found) < maxDifferences {
		v.found = append(v.found, fmt.Errorf("%w: %s", ErrCorrupted, fmt.Sprintf(format, args...)))
	}
}

// each visits all keys that begin with a byte.
func (s *Store) each(ctx context.Context, kind byte, visit func(key, value []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return s.readError("keys", err)
	}
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			err = visit(it.Key(), value)
		}
		if err != nil {
			return errors.Join(s.readError("keys", err), it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return s.readError("keys", err)
	}
	return ctx.Err()
}

// log checks that every record can be read and is found through its stream.
func (v *verifier) log(ctx context.Context) error {
	return v.store.each(ctx, logKey, func(key, value []byte) error {
		v.report.Events++
		position := logKeyPosition(key)
		view, err := Record{Position: position, Wire: value}.View()
		if err != nil {
			v.differsf("%v", err)
			return nil
		}
		indexed, closer, err := v.store.db.Get(appendStreamKey(nil, string(view.Stream), view.Revision))
		if errors.Is(err, pebble.ErrNotFound) {
			v.differsf("event %d of stream %q at position %d is not in the stream's index", view.Revision, view.Stream, position)
			return nil
		}
		if err != nil {
			return err
		}
		if got, err := parseUint64(indexed); err != nil || got != position {
			v.differsf("event %d of stream %q stands at position %d, its index says %d", view.Revision, view.Stream, position, got)
		}
		return closer.Close()
	})
}

// index checks that what streams' indexes name is there, without gaps, up to what the heads say.
func (v *verifier) index(ctx context.Context) error {
	var stream string
	last := int64(-1)
	ends := func() error {
		if v.report.Streams == 0 {
			return nil
		}
		h, err := v.store.loadHead(stream)
		if err != nil {
			return err
		}
		if h.last != last && last >= 0 {
			v.differsf("stream %q ends at revision %d, its head says %d", stream, last, h.last)
		}
		return nil
	}
	err := v.store.each(ctx, streamKey, func(key, value []byte) error {
		if len(key) < 11 || int(binary.BigEndian.Uint16(key[1:]))+11 != len(key) {
			v.differsf("key %x of a stream's index is malformed", key)
			return nil
		}
		revision := streamKeyRevision(key)
		if name := string(key[3 : len(key)-8]); name != stream || v.report.Streams == 0 {
			if err := ends(); err != nil {
				return err
			}
			stream, last = name, -1
			v.report.Streams++
		} else if revision != last+1 && revision != tombstoneRevision {
			v.differsf("stream %q has a gap between revisions %d and %d", stream, last, revision)
		}
		if revision != tombstoneRevision {
			last = revision
		}
		position, malformed := parseUint64(value)
		if malformed != nil {
			v.differsf("event %d of stream %q has a malformed position", revision, stream)
			return nil //nolint:nilerr // it is a finding
		}
		_, closer, err := v.store.db.Get(appendLogKey(nil, position))
		if errors.Is(err, pebble.ErrNotFound) {
			v.differsf("event %d of stream %q at position %d is missing", revision, stream, position)
			return nil
		}
		if err != nil {
			return err
		}
		return closer.Close()
	})
	if err != nil {
		return err
	}
	return ends()
}

// Backup writes a consistent copy of the store to a folder that must not exist yet. Files that do not change any more are
// hard links where the file system allows it. Appends go on meanwhile. Restore brings it back.
func (s *Store) Backup(to string) error {
	if err := s.beginRead(); err != nil {
		return err
	}
	defer s.endRead()
	if err := s.db.Checkpoint(to, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("backup of event store in %s to %s: %w", s.opts.Dir, to, err)
	}
	return nil
}

// Backup is Store.Backup of a store that nobody serves.
func Backup(opts Options, to string) (err error) {
	s, err := openOffline(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.abandon()) }()
	return s.Backup(to)
}
