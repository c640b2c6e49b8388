package store

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// LoadedEvent is an event of another log, with its position and time there.
type LoadedEvent struct {
	Event
	Stream   string
	Revision int64
	Position uint64
	Created  time.Time
}

// loadBatchBytes limits the memory that Load uses.
const loadBatchBytes = 4 << 20

// Load fills a new store with the events of another log and keeps their positions, revisions, and times. Positions must
// increase, and each stream's revisions must be consecutive from 0. After an error, the directory contains a part of
// the log and should be removed.
func Load(opts Options, events iter.Seq2[LoadedEvent, error]) error {
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	s, err := openWithoutCommitter(opts)
	if err != nil {
		return err
	}
	if s.End() != firstPosition {
		return errors.Join(fmt.Errorf("load into %s: the store is not empty", opts.Dir), s.abandon())
	}
	l := loader{committer: &committer{Store: s, heads: newHeadCache(), recent: newRecentIDs(1)}, changed: map[string]*head{}}
	for e, err := range events {
		if err == nil {
			err = l.add(&e)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("load into %s: %w", opts.Dir, err), s.abandon())
		}
	}
	if err := l.flush(); err != nil {
		return errors.Join(fmt.Errorf("load into %s: %w", opts.Dir, err), s.abandon())
	}
	return s.abandon()
}

// loader writes through its own committer, which nothing else uses.
type loader struct {
	*committer
	changed map[string]*head
}

func (l *loader) add(e *LoadedEvent) error {
	if err := checkStreamName(e.Stream); err != nil {
		return err
	}
	h, err := l.head(e.Stream)
	if err != nil {
		return err
	}
	deleted := e.Type == typeTombstone && e.Revision == tombstoneRevision
	switch {
	case e.Position < l.next:
		return fmt.Errorf("position %d comes after %d", e.Position, l.next-1)
	case h.tombstoned:
		return &StreamDeletedError{Stream: e.Stream}
	case !deleted && e.Revision != h.last+1:
		return fmt.Errorf("stream %q: revision %d comes after %d", e.Stream, e.Revision, h.last)
	}
	l.next, l.created = e.Position, ticks(e.Created)
	if _, err := l.write(e.Stream, e.Revision, &e.Event); err != nil {
		return err
	}
	l.next = e.Position + 1 // positions of another log need not be the offsets of this log's records
	if deleted {
		h.tombstoned = true
	} else {
		h.last = e.Revision
	}
	h.changed, l.changed[e.Stream] = e.Position, h
	if original, ok := originalStream(e.Stream); ok {
		oh, err := l.head(original)
		if err != nil {
			return err
		}
		oh.setMeta(metadataOf(&e.Event))
		oh.changed, l.changed[original] = e.Position, oh
	}
	if len(l.slab) < loadBatchBytes {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	if l.batch == nil {
		return nil
	}
	for stream, h := range l.changed {
		if err := l.writeHead(stream, h, h.changed); err != nil {
			return err
		}
	}
	if err := l.batch.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	l.batch, l.slab, l.records, l.streams = nil, nil, nil, nil
	clear(l.changed)
	return nil
}
