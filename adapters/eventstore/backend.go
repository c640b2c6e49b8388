package eventstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

// A backend is the event store below a Log: a client of a store that a URL names, or an
// embedded store in this process. It moves encoded events and knows nothing of their
// content. Its errors are those of event.Log, so a Log treats all backends alike.
//
// After close, all methods return errClosed.
type backend interface {
	// append appends events atomically, as event.Log does. A repeated append of the same
	// events succeeds and writes nothing.
	append(ctx context.Context, stream string, expected event.Expected, events []proposal) (event.Appended, error)
	// read returns at most limit events of a stream, from a revision on. A stream that
	// does not exist has none.
	read(ctx context.Context, stream string, from event.Revision, limit int) ([]record, error)
	// readBackwards returns at most limit events of a stream, newest first.
	readBackwards(ctx context.Context, stream string, limit int) ([]record, error)
	// readAllBackwards returns at most limit events before a position, newest first. The
	// position 0 means the end of the log. The store's own events are included.
	readAllBackwards(ctx context.Context, before event.Position, limit int) ([]record, error)
	// subscribe passes the events after a position that match the filter to receive, first
	// those in the log and then each new one. It returns when ctx ends, when the store
	// drops the subscription, or when receive fails, and then returns receive's error
	// unchanged. The position must not be beyond the end of the log.
	subscribe(ctx context.Context, after event.Position, filter event.Filter, receive func(notice) error) error
	// end returns the position of the last event of the log, or 0 if the log is empty.
	end(ctx context.Context) (event.Position, error)
	// ping returns an error if the store does not respond immediately.
	ping(ctx context.Context) error
	// close rejects new calls and waits for those in progress, but cancels them when ctx
	// ends. It can be called more than once.
	close(ctx context.Context) error
}

// proposal is an encoded event to append. Its data and metadata are JSON and must not be
// changed afterwards.
type proposal struct {
	id        uuid.UUID
	eventType string
	data      []byte
	meta      []byte
}

// record is an event in the store, still encoded. Its data and metadata are shared and
// must not be changed.
type record struct {
	id        uuid.UUID
	stream    string
	eventType string
	revision  event.Revision
	position  event.Position
	created   time.Time // by the store's clock
	data      []byte
	meta      []byte
}

// notice is what a subscription receives: an event, or a position up to which it has
// received everything, or the fact that it has received all existing events.
type notice struct {
	event    *record
	position event.Position // of the event or the checkpoint
	caughtUp bool
}
