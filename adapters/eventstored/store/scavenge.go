package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// ScavengeReport reports what Scavenge removed.
type ScavengeReport struct {
	Events uint64 `json:"events"`
	// Bytes is the size of the removed records. Compression makes the freed disk space differ.
	Bytes uint64 `json:"bytes"`
}

// ErrScavenging reports that a scavenge is already running.
var ErrScavenging = errors.New("a scavenge is already running: wait until it has finished")

// scavengeBatchBytes limits the memory of a scavenge, and the time that an append waits for one of its commits.
const scavengeBatchBytes = 1 << 20

// Scavenge removes events that can no longer be read through their streams: before $tb, beyond $maxCount, or of deleted
// streams. It keeps tombstones, and also the newest event of the log, because that event marks the log's end. It also keeps
// events that are only older than $maxAge, because an older event must not disappear before a younger one.
//
// Reads and appends continue during a scavenge. It ends when ctx ends or the store is closed. Removed events stay removed.
func (s *Store) Scavenge(ctx context.Context) (ScavengeReport, error) {
	if !s.scavenging.CompareAndSwap(false, true) {
		return ScavengeReport{}, ErrScavenging
	}
	defer s.scavenging.Store(false)
	newest, err := s.ReadAllBackwards(s.End(), 1)
	if err != nil || len(newest) == 0 {
		return ScavengeReport{}, err
	}
	if err := s.beginRead(); err != nil {
		return ScavengeReport{}, err
	}
	defer s.endRead()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() { // Close waits for reads, and a scavenge can take long
		select {
		case <-s.stop:
			cancel(ErrClosed)
		case <-ended:
		}
	}()
	run := scavenge{store: s, newest: newest[0].Position, batch: s.db.NewBatch()}
	err = s.each(ctx, streamKey, func(key, value []byte) error { return run.visit(ctx, key, value) })
	if err = errors.Join(err, run.flush(), run.batch.Close()); err == nil {
		err = s.db.Compact(ctx, []byte{logKey}, []byte{streamKey + 1}, false)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return run.report, fmt.Errorf("scavenge event store in %s: %w", s.opts.Dir, err)
	}
	return run.report, nil
}

// Scavenge is like Store.Scavenge, for a store that is not being served.
func Scavenge(ctx context.Context, opts Options) (report ScavengeReport, err error) {
	s, err := openOffline(opts)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.abandon()) }()
	return s.Scavenge(ctx)
}

type scavenge struct {
	store  *Store
	newest uint64 // position of the newest event when the scavenge began
	batch  *pebble.Batch
	report ScavengeReport

	stream string
	head   *head // of stream; nil before the first stream
}

// visit handles one entry of a stream's index. Entries come from a snapshot, and the head is read later, so the head is
// never older than the entry: an event that it makes unreadable was already unreadable when the entry was visited, or
// is by now.
func (c *scavenge) visit(ctx context.Context, key, value []byte) error {
	name, revision, ok := parseStreamKey(key)
	if !ok {
		return fmt.Errorf("key %x of a stream's index: %w", key, ErrCorrupted)
	}
	if c.head == nil || name != c.stream {
		// Use the committed head: metadata that is not on disk yet must not remove anything.
		h, err := c.store.committedHead(ctx, name)
		if err != nil {
			return err
		}
		c.stream, c.head = name, h
	}
	gone := revision < c.head.firstReadable(c.stream) || c.head.tombstoned
	position, err := parseUint64(value)
	if err != nil || !gone || revision == tombstoneRevision || position == c.newest {
		return err
	}
	record, err := c.store.record(position)
	if err != nil {
		return err
	}
	c.report.Events++
	c.report.Bytes += uint64(len(record.Wire))
	if err := errors.Join(c.batch.Delete(appendLogKey(nil, position), nil), c.batch.Delete(key, nil)); err != nil {
		return err
	}
	if c.batch.Len() < scavengeBatchBytes {
		return nil
	}
	return c.flush()
}

func (c *scavenge) flush() error {
	err := errors.Join(c.batch.Commit(pebble.Sync), c.batch.Close())
	c.batch = c.store.db.NewBatch()
	return err
}
