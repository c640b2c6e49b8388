package store

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by calls on a store that is closed or closing.
	ErrClosed = errors.New("event store is closed")
	// ErrAbandoned is returned by AppendUntil if its caller stopped waiting. The append can still happen.
	ErrAbandoned = errors.New("caller stopped waiting for the event store")
	// ErrFailed is wrapped by errors of a store that met a fault it cannot recover from. Fault returns the fault.
	ErrFailed = errors.New("event store has failed and must be restarted")
	// ErrDiskFull is wrapped by errors of appends while the disk has less free space than Options.MinFreeBytes. Nothing
	// was written. Appends succeed again as soon as there is space.
	ErrDiskFull = errors.New("disk is full")
	// ErrStreamName is wrapped if a stream's name is empty, "$$", or too long.
	ErrStreamName = errors.New("invalid stream name")
	// ErrEventType is wrapped if an event has no type.
	ErrEventType = errors.New("event type is empty; give each event a type")
	// ErrLocked is wrapped by Open if another process holds the data directory.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrCorrupted is wrapped if data on disk is not readable as it was written.
	ErrCorrupted = errors.New("data is corrupted")
)

// WrongRevisionError reports that a stream was not at the revision that the writer expected. Nothing was written.
type WrongRevisionError struct {
	Stream   string
	Expected Expected
	// Current is the stream's last revision, or -1 if it has none.
	Current int64
}

func (e *WrongRevisionError) Error() string {
	return fmt.Sprintf("stream %q: expected revision %s, current revision %d", e.Stream, e.Expected, e.Current)
}

// StreamDeletedError reports that a stream was tombstoned. It can no longer be read or written.
type StreamDeletedError struct{ Stream string }

func (e *StreamDeletedError) Error() string { return fmt.Sprintf("stream %q is deleted", e.Stream) }

// TooLargeError reports that an append is larger than Options.MaxAppendBytes. Nothing was written.
type TooLargeError struct{ Size, Max int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("append of %d bytes exceeds the maximum of %d bytes", e.Size, e.Max)
}
