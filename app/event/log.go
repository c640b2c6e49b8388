// Package event is how the application sees the log: what is recorded, what is
// to be recorded, and the few operations the event store must offer.
//
// The log is the only truth of the platform. Everything else, the read models
// and the send work-list among them, can be dropped and built again from it.
package event

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Position is a place in the log's global order. Positions grow strictly and
// have gaps. Zero is before the first event.
type Position uint64

// Last is behind every event.
const Last Position = math.MaxInt64

// Revision is the number of an event within its stream, from 0.
type Revision uint64

// Expected is what the writer of an append holds the stream to be.
type Expected struct {
	kind     expectedKind
	revision Revision
}

type expectedKind uint8

const (
	expectedAny expectedKind = iota
	expectedNoStream
	expectedExact
)

// Any appends whatever stands in the stream. Only for streams whose events need
// no order among writers (orphans, inbound, parked).
func Any() Expected { return Expected{kind: expectedAny} }

// NoStream appends the first events of a stream.
func NoStream() Expected { return Expected{kind: expectedNoStream} }

// At appends right after the event of this revision.
func At(r Revision) Expected { return Expected{kind: expectedExact, revision: r} }

// IsAny reports whether anything may stand in the stream.
func (e Expected) IsAny() bool { return e.kind == expectedAny }

// IsNoStream reports whether the stream must not exist.
func (e Expected) IsNoStream() bool { return e.kind == expectedNoStream }

// Revision is the revision the stream must end with; false if none is asked for.
func (e Expected) Revision() (Revision, bool) { return e.revision, e.kind == expectedExact }

func (e Expected) String() string {
	switch e.kind {
	case expectedNoStream:
		return "no stream"
	case expectedExact:
		return fmt.Sprintf("revision %d", e.revision)
	case expectedAny:
	}
	return "any revision"
}

// Meta is the metadata of an event. It holds nothing personal.
type Meta struct {
	// V is the version of the event's shape.
	V int `json:"v"`
	// RecordedAt is when the platform recorded it, by the platform's own clock:
	// a copy of the log keeps it, where the store's stamp would change.
	RecordedAt time.Time `json:"recordedAt"`
	// OccurredAt is when it happened, where that is another time.
	OccurredAt time.Time `json:"occurredAt,omitzero"`
	// Sender is the id of the sender it is about, if any.
	Sender string `json:"sender,omitempty"`
	// CorrelationID is the message it belongs to, CausationID the event, request
	// or webhook delivery behind it.
	CorrelationID string       `json:"$correlationId,omitempty"`
	CausationID   string       `json:"$causationId,omitempty"`
	By            domain.Actor `json:"by"`
	OnBehalfOf    string       `json:"onBehalfOf,omitempty"`
	Traceparent   string       `json:"traceparent,omitempty"`
}

// New is an event to be recorded.
type New struct {
	// ID is fresh (UUIDv7) for every decision. The store takes an append of ids
	// it already has at that revision for a repeat and answers success, so an id
	// may be used again only to repeat the very same append.
	ID    uuid.UUID
	Event domain.Event
	Meta  Meta
	// Subject is whom its personal data are about, if it has any.
	Subject Subject
}

// Recorded is an event of the log.
type Recorded struct {
	ID       uuid.UUID
	Stream   string
	Revision Revision
	Position Position
	Type     string
	// Event is nil if its type is not known to this program.
	Event domain.Event
	// Data is the event's JSON. Its member "personal" is in the clear as far as it
	// can be read, otherwise null; sealed as in the log if it was not to be read.
	Data []byte
	Meta Meta
	// Key is the data key that its personal data are sealed under, if they are.
	Key KeyID
	// Personal says whether they could be read, ErasedAt since when they cannot be.
	Personal Personal
	ErasedAt time.Time
}

// Appended is the answer to an append.
type Appended struct {
	// Revision and Position are those of the last event written.
	Revision Revision
	Position Position
	// Key is the data key that the first event with personal data was sealed under.
	Key KeyID
}

// Filter chooses events of the global order by the name of their stream or of
// their type. At most one of the two is given; with none, all events of the
// platform pass and the store's own ("$…") do not.
type Filter struct {
	StreamPrefixes []string
	Types          []string
}

// Batch is a run of the log in its order.
type Batch struct {
	Events []Recorded
	// Position is how far the log has been considered: that of the last event,
	// or of a checkpoint behind it. A subscription resumes after it exactly.
	Position Position
	// Live is set once the subscription has seen all that stood in the log.
	Live bool
}

// Subscription is where a subscription starts, what it wants and how it batches.
type Subscription struct {
	// After is the position behind which it starts; FromEnd wants only new events.
	After   Position
	FromEnd bool
	Filter  Filter
	// MaxBatch bounds a batch, 1,000 if zero. A batch is handed over as soon as
	// nothing more waits.
	MaxBatch int
	// Gather is the least time from one batch to the next: what comes meanwhile is
	// handed over together, unless an event of an Urgent type is among it. Whoever
	// writes a row for many events writes it less often then. An event that comes
	// after a longer quiet waits for nothing.
	Gather time.Duration
	Urgent []string
	// Sealed leaves personal data unread: they are Locked. Otherwise a batch waits
	// for as long as its data keys cannot be had.
	Sealed bool
}

// Log is the event store.
type Log interface {
	// Append records the events as one: all of them or none, adjacent in the
	// log. It answers *WrongRevisionError if the stream is not as expected and
	// ErrUnavailable if the outcome is not known or the store is away; the same
	// events (same ids) may then be appended again.
	Append(ctx context.Context, stream string, expected Expected, events ...New) (Appended, error)
	// Read reads a stream forwards from a revision, at most limit events. A
	// stream that does not exist has none.
	Read(ctx context.Context, stream string, from Revision, limit int) ([]Recorded, error)
	// ReadBackwards reads a stream backwards from its end, at most limit events.
	ReadBackwards(ctx context.Context, stream string, limit int) ([]Recorded, error)
	// Subscribe hands batches of the global order to handle until ctx ends or
	// handle fails, and answers that error. It survives restarts of the store.
	Subscribe(ctx context.Context, sub Subscription, handle func(context.Context, Batch) error) error
	// End is the position of the last event of the log.
	End(ctx context.Context) (Position, error)
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
}

// ErrNoRoom says that the event store's disk is full: it takes no appends until
// there is room, and answers reads. It comes with ErrUnavailable.
var ErrNoRoom = errors.New("the event store's disk is full")

// ErrUnavailable says that the event store is away or that an append's outcome
// is not known.
var ErrUnavailable = errors.New("event store unavailable")

// ErrTooLarge says that an append is larger than the store takes.
var ErrTooLarge = errors.New("append exceeds the event store's maximum size")

// WrongRevisionError says that a stream did not stand where the writer held it
// to be: someone else appended first.
type WrongRevisionError struct {
	Stream   string
	Expected Expected
}

func (e *WrongRevisionError) Error() string {
	return fmt.Sprintf("stream %s is not at %s", e.Stream, e.Expected)
}
