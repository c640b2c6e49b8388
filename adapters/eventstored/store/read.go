package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A page is read in one access to the disk. No iterator stays open between pages, so a slow reader holds nothing.
const (
	pageRecords = 512
	pageBytes   = 1 << 20
)

// Page is a run of records. The store does not reuse the records' bytes.
type Page struct {
	Records []Record
	limit   int
	bytes   int
}

func newPage(limit uint64) *Page {
	return &Page{limit: int(min(limit, pageRecords))}
}

func (p *Page) add(r Record) {
	p.Records = append(p.Records, r)
	p.bytes += len(r.Wire)
}

func (p *Page) full() bool { return len(p.Records) >= p.limit || p.bytes >= pageBytes }

// ReadAll returns the next records of the log at or above a position, at most limit, oldest first. An empty result
// means that there are none yet. behind reports whether they were read from disk because the reader does not keep up
// with the writers.
func (s *Store) ReadAll(from, limit uint64) (records []Record, behind bool, err error) {
	page := newPage(limit)
	end := s.committed.Load()
	if from >= end || limit == 0 {
		return nil, false, nil
	}
	if err := s.beginRead(); err != nil {
		return nil, false, err
	}
	defer s.endRead()
	if s.tail.from(from, page) {
		return page.Records, false, nil
	}
	lower, upper := appendLogKey(nil, from), appendLogKey(nil, end)
	err = s.readLog(lower, upper, page, (*pebble.Iterator).First, (*pebble.Iterator).Next)
	return page.Records, true, err
}

// ReadAllBackwards returns the records of the log below a position, at most limit, newest first.
func (s *Store) ReadAllBackwards(before, limit uint64) ([]Record, error) {
	page := newPage(limit)
	if limit == 0 {
		return nil, nil
	}
	if err := s.beginRead(); err != nil {
		return nil, err
	}
	defer s.endRead()
	lower, upper := appendLogKey(nil, 0), appendLogKey(nil, min(before, s.committed.Load()))
	err := s.readLog(lower, upper, page, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
	return page.Records, err
}

func (s *Store) readLog(lower, upper []byte, page *Page, first, next func(*pebble.Iterator) bool) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return s.readError("log", err)
	}
	var slab []byte
	for ok := first(it); ok && !page.full(); ok = next(it) {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(s.readError("log", err), it.Close())
		}
		if len(value) > cap(slab)-len(slab) {
			slab = make([]byte, 0, max(slabBytes, len(value)))
		}
		start := len(slab)
		slab = append(slab, value...)
		page.add(Record{Position: logKeyPosition(it.Key()), Wire: slab[start:len(slab):len(slab)]})
	}
	if err := it.Close(); err != nil {
		return s.readError("log", err)
	}
	return nil
}

// slabBytes is the size of the allocations that records read from disk share.
const slabBytes = 64 << 10

// StreamView is the state of a stream at one moment. It bounds what is read through it.
type StreamView struct {
	store  *Store
	stream string
	first  int64 // readable
	last   int64
	oldest int64 // events before this time, in ticks, have expired; 0 = none
	state  StreamState
	// tombstoned reports whether the stream itself is tombstoned, not only the stream whose metadata it contains.
	tombstoned bool
}

// StreamState reports whether a stream can be read.
type StreamState int

// States of a stream. A soft-deleted stream is missing.
const (
	StreamMissing StreamState = iota
	StreamReadable
	StreamTombstoned
)

// Stream returns the stream as of the last committed event.
func (s *Store) Stream(ctx context.Context, stream string) (StreamView, error) {
	if err := checkStreamName(stream); err != nil {
		return StreamView{}, err
	}
	if err := s.beginRead(); err != nil {
		return StreamView{}, err
	}
	defer s.endRead()
	h, err := s.committedHead(ctx, stream)
	if err != nil {
		return StreamView{}, err
	}
	v := StreamView{store: s, stream: stream, first: h.firstReadable(stream), last: h.last, tombstoned: h.tombstoned}
	switch {
	case h.tombstoned:
		v.state = StreamTombstoned
	case h.last >= 0 && !h.softDeleted():
		v.state = StreamReadable
	}
	if original, ok := originalStream(stream); ok && v.state != StreamTombstoned {
		oh, err := s.committedHead(ctx, original)
		if err != nil {
			return StreamView{}, err
		}
		if oh.tombstoned {
			v.state = StreamTombstoned
		}
	}
	v.oldest = h.oldestReadable(s.opts.Now())
	return v, nil
}

// committedHead returns the stream's head once it depends only on synced events. If a commit is in progress, that takes
// a moment.
func (s *Store) committedHead(ctx context.Context, stream string) (*head, error) {
	h, err := s.loadHead(stream)
	if err != nil || h.changed < s.committed.Load() {
		return h, err
	}
	committed, end := s.WatchAll()
	defer end()
	for h.changed >= s.committed.Load() {
		select {
		case <-committed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.stopped:
			if h.changed >= s.committed.Load() {
				return nil, s.stoppedError()
			}
		}
	}
	return h, nil
}

// Live returns a view of all events of the stream, including events that a read does not return because of the stream's
// metadata or a soft delete. A subscriber receives an event that was written while it was subscribed, whatever has
// happened to the stream since.
func (v StreamView) Live() StreamView {
	v.first, v.oldest = 0, 0
	switch {
	case v.tombstoned:
		v.state = StreamTombstoned
	case v.last >= 0:
		v.state = StreamReadable
	default:
		v.state = StreamMissing
	}
	return v
}

// State reports whether the stream can be read.
func (v StreamView) State() StreamState { return v.state }

// First returns the first revision that the metadata leaves readable.
func (v StreamView) First() int64 { return v.first }

// Last returns the stream's last revision, or -1 if it has none.
func (v StreamView) Last() int64 { return v.last }

// Read returns the stream's readable records from a revision on, oldest first, at most limit, and the revision to
// continue from. more is false when the view's end is reached.
func (v StreamView) Read(from int64, limit uint64) (records []Record, next int64, more bool, err error) {
	from = max(from, v.first)
	if from > v.last || limit == 0 {
		return nil, from, false, nil
	}
	lower := appendStreamKey(nil, v.stream, from)
	upper := appendStreamKey(nil, v.stream, v.last+1)
	records, last, err := v.read(lower, upper, limit, (*pebble.Iterator).First, (*pebble.Iterator).Next)
	if last < 0 {
		return records, v.last + 1, false, err
	}
	return records, last + 1, last < v.last, err
}

// ReadBackwards is like Read, from a revision down, newest first.
func (v StreamView) ReadBackwards(from int64, limit uint64) (records []Record, next int64, more bool, err error) {
	from = min(from, v.last)
	if from < v.first || limit == 0 {
		return nil, from, false, nil
	}
	lower := appendStreamKey(nil, v.stream, v.first)
	upper := appendStreamKey(nil, v.stream, from+1)
	records, last, err := v.read(lower, upper, limit, (*pebble.Iterator).Last, (*pebble.Iterator).Prev)
	if last < 0 {
		return records, v.first - 1, false, err
	}
	return records, last - 1, last > v.first, err
}

// read returns a page and the last revision that it visited, or -1 if it reached the end of the bounds.
func (v StreamView) read(
	lower, upper []byte, limit uint64, first, step func(*pebble.Iterator) bool,
) ([]Record, int64, error) {
	s := v.store
	if err := s.beginRead(); err != nil {
		return nil, 0, err
	}
	defer s.endRead()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, 0, s.readError(fmt.Sprintf("stream %q", v.stream), err)
	}
	page := newPage(limit)
	last := int64(-1)
	ok := first(it)
	for ; ok && !page.full(); ok = step(it) {
		r, err := v.recordAt(it)
		last = streamKeyRevision(it.Key())
		if errors.Is(err, errScavenged) {
			continue
		}
		if err != nil {
			return nil, 0, errors.Join(err, it.Close())
		}
		if expired, err := v.expired(r); err != nil {
			return nil, 0, errors.Join(err, it.Close())
		} else if !expired {
			page.add(r)
		}
	}
	if err := it.Close(); err != nil {
		return nil, 0, s.readError(fmt.Sprintf("stream %q", v.stream), err)
	}
	if !ok {
		last = -1
	}
	return page.Records, last, nil
}

func (v StreamView) recordAt(it *pebble.Iterator) (Record, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return Record{}, v.store.readError(fmt.Sprintf("stream %q", v.stream), err)
	}
	position, err := parseUint64(value)
	if err != nil {
		return Record{}, v.store.readError(fmt.Sprintf("stream %q", v.stream), err)
	}
	r, ok, err := v.store.lookUp(position)
	if err != nil || ok {
		return r, err
	}
	// The iterator sees the index as it was. A scavenge removes an event and its index entry together.
	_, closer, err := v.store.db.Get(it.Key())
	if errors.Is(err, pebble.ErrNotFound) {
		return Record{}, errScavenged
	}
	if err == nil {
		err = errors.Join(ErrCorrupted, closer.Close())
	}
	return Record{}, v.store.readError(fmt.Sprintf("record at position %d", position), err)
}

// errScavenged reports that an event was removed while its stream was read.
var errScavenged = errors.New("event was scavenged")

func (v StreamView) expired(r Record) (bool, error) {
	if v.oldest == 0 {
		return false, nil
	}
	view, err := r.View()
	if err != nil {
		return false, v.store.readError(fmt.Sprintf("stream %q", v.stream), err)
	}
	return view.Created < v.oldest, nil
}

// Tombstone returns the stream's $streamDeleted event.
func (v StreamView) Tombstone() (Record, error) {
	if err := v.store.beginRead(); err != nil {
		return Record{}, err
	}
	defer v.store.endRead()
	value, closer, err := v.store.db.Get(appendStreamKey(nil, v.stream, tombstoneRevision))
	if err != nil {
		return Record{}, v.store.readError(fmt.Sprintf("tombstone of stream %q", v.stream), err)
	}
	position, err := parseUint64(value)
	if err = errors.Join(err, closer.Close()); err != nil {
		return Record{}, v.store.readError(fmt.Sprintf("tombstone of stream %q", v.stream), err)
	}
	return v.store.record(position)
}

// record returns the record at a position that an index entry names.
func (s *Store) record(position uint64) (Record, error) {
	r, ok, err := s.lookUp(position)
	if err == nil && !ok {
		err = s.readError(fmt.Sprintf("record at position %d", position), ErrCorrupted)
	}
	return r, err
}

// lookUp returns the record at a position. The result is false if there is none.
func (s *Store) lookUp(position uint64) (Record, bool, error) {
	if r, ok := s.tail.get(position); ok {
		return r, true, nil
	}
	value, closer, err := s.db.Get(appendLogKey(nil, position))
	if errors.Is(err, pebble.ErrNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, s.readError(fmt.Sprintf("record at position %d", position), err)
	}
	r := Record{Position: position, Wire: append([]byte(nil), value...)}
	if err := closer.Close(); err != nil {
		return Record{}, false, s.readError(fmt.Sprintf("record at position %d", position), err)
	}
	return r, true, nil
}

func appendUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func parseUint64(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, ErrCorrupted
	}
	return binary.BigEndian.Uint64(b), nil
}
