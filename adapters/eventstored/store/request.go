package store

import (
	"context"
	"fmt"
)

// request is what the committer decides: an append or a deletion.
type request struct {
	ctx      context.Context //nolint:containedctx // the request is a call that travels to the committer
	kind     requestKind
	stream   string
	expected Expected
	events   []Event
	size     int
	answer   chan answer // of capacity 1: the committer never waits for anybody
}

type requestKind int

const (
	appendEvents requestKind = iota
	softDelete
	tombstone
)

type answer struct {
	written Written
	err     error
}

// Append writes events to a stream, all of them or none, and returns when they are synced.
//
// Writing the same events again (by id) is answered with Success and writes nothing, as far as EventStoreDB does so:
// always at an expected revision, and for Any and StreamExists as long as the ids are among the newest
// Options.RecentIDs. Errors: WrongRevisionError, StreamDeletedError, TooLargeError, ErrStreamName, ErrDiskFull,
// ErrClosed, ErrFailed, or the context's; after the last the append may still happen, so its events must not be
// changed.
func (s *Store) Append(ctx context.Context, stream string, expected Expected, events []Event) (Written, error) {
	wait, err := s.StartAppend(ctx, stream, expected, events)
	if err != nil {
		return Written{}, err
	}
	return wait()
}

// StartAppend is Append in two steps: appends are decided in the order in which StartAppend returned, and wait, to be
// called once, returns when they are synced.
func (s *Store) StartAppend(
	ctx context.Context, stream string, expected Expected, events []Event,
) (wait func() (Written, error), err error) {
	size := 0
	for i := range events {
		size += events[i].size()
	}
	if size > s.opts.MaxAppendBytes {
		return nil, &TooLargeError{Size: size, Max: s.opts.MaxAppendBytes}
	}
	r := &request{ctx: ctx, kind: appendEvents, stream: stream, expected: expected, events: events, size: size}
	if err := s.submit(r); err != nil {
		return nil, err
	}
	return func() (Written, error) { return s.await(r) }, nil
}

// Delete hides a stream's events; a later append makes it live again after its old revisions. A stream that was never
// written gives WrongRevisionError. Errors are those of Append.
func (s *Store) Delete(ctx context.Context, stream string, expected Expected) (Written, error) {
	return s.delete(&request{ctx: ctx, kind: softDelete, stream: stream, expected: expected})
}

// Tombstone deletes a stream for ever. Errors are those of Append.
func (s *Store) Tombstone(ctx context.Context, stream string, expected Expected) (Written, error) {
	return s.delete(&request{ctx: ctx, kind: tombstone, stream: stream, expected: expected})
}

func (s *Store) delete(r *request) (Written, error) {
	if err := s.submit(r); err != nil {
		return Written{}, err
	}
	return s.await(r)
}

// submit hands a request to the committer.
func (s *Store) submit(r *request) error {
	if err := checkStreamName(r.stream); err != nil {
		return err
	}
	if r.expected < 0 && r.expected != Any && r.expected != NoStream && r.expected != StreamExists {
		return fmt.Errorf("stream %q: invalid expected revision %d", r.stream, int64(r.expected))
	}
	r.answer = make(chan answer, 1)
	select {
	case <-s.stop:
		return ErrClosed
	default:
	}
	select {
	case s.requests <- r:
		return nil
	case <-s.stop:
		return ErrClosed
	case <-s.stopped:
		return s.stoppedError()
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// await waits for the committer's answer.
func (s *Store) await(r *request) (Written, error) {
	select {
	case a := <-r.answer:
		return a.written, a.err
	case <-r.ctx.Done():
		return Written{}, r.ctx.Err()
	case <-s.stopped:
		// The committer may have answered just before it ended.
		select {
		case a := <-r.answer:
			return a.written, a.err
		default:
			return Written{}, s.stoppedError()
		}
	}
}

func (s *Store) stoppedError() error {
	if err := s.fault.err(); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return ErrClosed
}

// MaxAppendBytes is the limit in force, see Options.
func (s *Store) MaxAppendBytes() int { return s.opts.MaxAppendBytes }
