package store

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by calls on a store that is closed or closing.
	ErrClosed = errors.New("event store is closed")
	// ErrFailed is wrapped by the refusals of a store that met a fault it cannot go on from; Fault tells which.
	ErrFailed = errors.New("event store has failed and must be restarted")
	// ErrDiskFull is wrapped by the refusals of appends while the disk has less room than Options.MinFreeBytes.
	// Nothing was written; appends go on as soon as there is room.
	ErrDiskFull = errors.New("disk is full")
	// ErrStreamName is wrapped when a stream's name is empty, "$$" or too long.
	ErrStreamName = errors.New("invalid stream name")
	// ErrLocked is wrapped by Open when another process holds the data folder.
	ErrLocked = errors.New("data folder is in use by another process")
	// ErrCorrupted is wrapped when data on disk cannot be read as what was written.
	ErrCorrupted = errors.New("data is corrupted")
)

// WrongRevisionError tells that a stream was not as the writer expected; nothing was written.
type WrongRevisionError struct {
	Stream   string
	Expected Expected
	// Current is the stream's last revision, -1 when it has none.
	Current int64
}

func (e *WrongRevisionError) Error() string {
	return fmt.Sprintf("stream %q: expected revision %s, current revision %d", e.Stream, e.Expected, e.Current)
}

// StreamDeletedError tells that a stream was tombstoned: it can be neither read nor written any more.
type StreamDeletedError struct{ Stream string }

func (e *StreamDeletedError) Error() string { return fmt.Sprintf("stream %q is deleted", e.Stream) }

// TooLargeError tells that an append is larger than Options.MaxAppendBytes; nothing was written.
type TooLargeError struct{ Size, Max int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("append of %d bytes is larger than the maximum of %d", e.Size, e.Max)
}
