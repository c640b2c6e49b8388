package store

import (
	"context"
	"fmt"
)

// request is an append or a deletion for the committer to decide.
type request struct {
	ctx      context.Context //nolint:containedctx // the request is a call that travels to the committer
	kind     requestKind
	stream   string
	expected Expected
	events   []Event
	size     int // of events and name; maxGroupBytes limits their sum
	tag      uint64
	answer   chan<- Answer // has room, so the committer never waits for a caller
}

type requestKind int

const (
	appendEvents requestKind = iota
	softDelete
	tombstone
)

// Answer is the outcome of an append.
type Answer struct {
	Tag     uint64 // the tag that it was submitted with
	Written Written
	Err     error
}

// Append writes events to a stream, all of them or none, and returns when they are synced.
//
// Writing the same events (by ID) again succeeds and writes nothing, in the same cases as in EventStoreDB: always at an
// expected revision, and for Any and StreamExists as long as the IDs are among the newest Options.RecentIDs.
//
// Errors: WrongRevisionError, StreamDeletedError, TooLargeError, ErrStreamName, ErrEventType, ErrDiskFull, ErrClosed,
// ErrFailed, or the context's error. After the last one, the append can still happen, so its events must not be changed.
func (s *Store) Append(ctx context.Context, stream string, expected Expected, events []Event) (Written, error) {
	return s.AppendUntil(ctx, nil, stream, expected, events)
}

// AppendUntil is like Append. It also stops waiting for the response when abandoned is closed, and then returns ErrAbandoned.
// That is cheaper than a context of the append's own.
func (s *Store) AppendUntil(
	ctx context.Context, abandoned <-chan struct{}, stream string, expected Expected, events []Event,
) (Written, error) {
	answer := make(chan Answer, 1)
	if err := s.Submit(ctx, stream, expected, events, 0, answer); err != nil {
		return Written{}, err
	}
	return s.await(ctx, abandoned, answer)
}

// Submit is like Append without the wait: it sends the response to answers, with the tag. Appends are decided in the
// order in which Submit returned. answers must have room for all appends submitted with it whose responses have not
// been received yet. After Done is closed, nothing more is sent. An append without a response by then may or may not
// have been written.
func (s *Store) Submit(
	ctx context.Context, stream string, expected Expected, events []Event, tag uint64, answers chan<- Answer,
) error {
	size := 0
	for i := range events {
		if events[i].Type == "" {
			return fmt.Errorf("event %d for stream %q: %w", i, stream, ErrEventType)
		}
		size += events[i].size()
	}
	if size > s.opts.MaxAppendBytes {
		return &TooLargeError{Size: size, Max: s.opts.MaxAppendBytes}
	}
	return s.submit(&request{
		ctx: ctx, kind: appendEvents, stream: stream, expected: expected, events: events, size: size, tag: tag, answer: answers,
	})
}

// Done returns a channel that is closed once the store commits nothing further, because it was closed or has failed.
func (s *Store) Done() <-chan struct{} { return s.stopped }

// Delete hides a stream's events. A later append makes the stream live again after its old revisions. For a stream that
// was never written, it returns WrongRevisionError. The other errors are those of Append.
func (s *Store) Delete(ctx context.Context, stream string, expected Expected) (Written, error) {
	return s.delete(&request{ctx: ctx, kind: softDelete, stream: stream, expected: expected})
}

// Tombstone permanently deletes a stream. Its errors are those of Append.
func (s *Store) Tombstone(ctx context.Context, stream string, expected Expected) (Written, error) {
	return s.delete(&request{ctx: ctx, kind: tombstone, stream: stream, expected: expected})
}

func (s *Store) delete(r *request) (Written, error) {
	answer := make(chan Answer, 1)
	r.answer = answer
	if err := s.submit(r); err != nil {
		return Written{}, err
	}
	return s.await(r.ctx, nil, answer)
}

// submit passes a request to the committer.
func (s *Store) submit(r *request) error {
	if err := checkStreamName(r.stream); err != nil {
		return err
	}
	r.size += len(r.stream)
	if r.expected < 0 && r.expected != Any && r.expected != NoStream && r.expected != StreamExists {
		return fmt.Errorf("stream %q: invalid expected revision %d", r.stream, int64(r.expected))
	}
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

// await waits for the committer's response.
func (s *Store) await(ctx context.Context, abandoned <-chan struct{}, answer <-chan Answer) (Written, error) {
	select {
	case a := <-answer:
		return a.Written, a.Err
	case <-ctx.Done():
		return Written{}, ctx.Err()
	case <-abandoned:
		return Written{}, ErrAbandoned
	case <-s.stopped:
		// The committer may have responded just before it ended.
		select {
		case a := <-answer:
			return a.Written, a.Err
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

// MaxAppendBytes returns the limit in effect (see Options).
func (s *Store) MaxAppendBytes() int { return s.opts.MaxAppendBytes }
