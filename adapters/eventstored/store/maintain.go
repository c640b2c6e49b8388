package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// The functions in this file work on a store that is not being served. They take the directory's lock, so they fail
// with ErrLocked while a server is running. The methods work while the store is in use.

// VerifyReport is the result of Verify.
type VerifyReport struct {
	Events, Streams uint64
	// End is the position after the last event.
	End uint64
}

// Verify reads the whole store and compares the log, the index, and the heads with each other. Its error wraps
// ErrCorrupted and joins the first differences found.
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

// maxDifferences limits the differences that one verification reports.
const maxDifferences = 100

func (v *verifier) differsf(format string, args ...any) {
	if len(v.found) < maxDifferences {
		v.found = append(v.found, fmt.Errorf("%w: %s", ErrCorrupted, fmt.Sprintf(format, args...)))
	}
}

// each calls visit with all keys that begin with a byte.
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
			v.differsf("event %d of stream %q is at position %d, but its index says %d", view.Revision, view.Stream, position, got)
		}
		return closer.Close()
	})
}

// index checks that every event in the streams' indexes exists, without gaps, up to the revision in the heads.
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
			v.differsf("stream %q ends at revision %d, but its head says %d", stream, last, h.last)
		}
		return nil
	}
	err := v.store.each(ctx, streamKey, func(key, value []byte) error {
		name, revision, ok := parseStreamKey(key)
		if !ok {
			v.differsf("key %x of a stream's index is malformed", key)
			return nil
		}
		if name != stream || v.report.Streams == 0 {
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
			return nil //nolint:nilerr // reported as a difference
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

// Backup writes a consistent copy of the store to a directory, which must not exist. Files that no longer change become
// hard links if the file system supports them. Appends continue during the backup. Restore turns the copy back into a
// store.
func (s *Store) Backup(to string) error {
	if err := s.beginRead(); err != nil {
		return err
	}
	defer s.endRead()
	end := s.End() // taken before the copy, which may contain more
	err := s.db.Checkpoint(to, pebble.WithFlushedWAL())
	if err == nil {
		err = s.markBackup(to, end)
	}
	if err != nil {
		return fmt.Errorf("backup of event store in %s to %s: %w", s.opts.Dir, to, err)
	}
	return nil
}

// markBackup writes a mark into the backup, so that a restore detects a backup that lost events.
func (s *Store) markBackup(to string, end uint64) error {
	m, err := openMark(s.opts.fs, to)
	if err != nil {
		return err
	}
	return errors.Join(m.write(end), m.close())
}

// Backup is like Store.Backup, for a store that is not being served.
func Backup(opts Options, to string) (err error) {
	s, err := openOffline(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.abandon()) }()
	return s.Backup(to)
}
