// Package event defines how the application sees the event log: recorded events, events to
// append, and the few operations that an event store must provide.
//
// The event log is the only source of truth. Everything else, including the read models and
// the work list, can be dropped and rebuilt from it.
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

// Position is a position in the global order of the event log. Positions grow strictly and
// have gaps. Zero is before the first event.
type Position uint64

// MaxPosition is after every event.
const MaxPosition Position = math.MaxInt64

// Revision is the number of an event within its stream, starting at 0.
type Revision uint64

// Expected is the state that a stream must be in for an append.
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

// Any expects nothing. Use it only for streams whose events need no order among writers
// (orphans, inbound, parked).
func Any() Expected { return Expected{kind: expectedAny} }

// NoStream expects that the stream does not exist.
func NoStream() Expected { return Expected{kind: expectedNoStream} }

// ExactRevision expects that the last event of the stream has this revision.
func ExactRevision(r Revision) Expected { return Expected{kind: expectedExact, revision: r} }

// IsAny reports whether nothing is expected.
func (e Expected) IsAny() bool { return e.kind == expectedAny }

// IsNoStream reports whether the stream must not exist.
func (e Expected) IsNoStream() bool { return e.kind == expectedNoStream }

// Revision returns the revision of the stream's last event, or false if none is expected.
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

// Meta is the metadata of an event. It contains no personal data.
type Meta struct {
	// V is the version of the event's shape.
	V int `json:"v"`
	// RecordedAt is when Waypost recorded the event, by its own clock. A copy of the log
	// keeps this time, while the store's own timestamp would change.
	RecordedAt time.Time `json:"recordedAt"`
	// OccurredAt is when the event happened, if that is another time.
	OccurredAt time.Time `json:"occurredAt,omitzero"`
	// Sender is the ID of the sender that the event is about, if any.
	Sender string `json:"sender,omitempty"`
	// CorrelationID is the message that the event belongs to. CausationID is the event,
	// request, or webhook delivery that led to it.
	CorrelationID string       `json:"$correlationId,omitempty"`
	CausationID   string       `json:"$causationId,omitempty"`
	By            domain.Actor `json:"by"`
	OnBehalfOf    string       `json:"onBehalfOf,omitempty"`
	Traceparent   string       `json:"traceparent,omitempty"`
}

// Actor returns who caused the event, and for whom.
func (m Meta) Actor() domain.Actor {
	by := m.By
	by.OnBehalfOf = m.OnBehalfOf
	return by
}

// Proposed is an event to append.
type Proposed struct {
	// ID is a new UUIDv7 for every decision. The event store treats an append of IDs that
	// it already has at that revision as a repeat and returns success. So an ID must only
	// be reused to repeat the very same append.
	ID    uuid.UUID
	Event domain.Event
	Meta  Meta
	// Subject is whom the event's personal data is about, if it has any.
	Subject Subject
}

// Recorded is an event in the event log.
type Recorded struct {
	ID       uuid.UUID
	Stream   string
	Revision Revision
	Position Position
	Type     string
	// Event is nil if this version does not know the type.
	Event domain.Event
	// Data is the event's JSON. Its member "personal" is plain text if it can be read,
	// otherwise null. If it was not to be read, it is sealed as in the event log.
	Data []byte
	Meta Meta
	// Key is the data key that seals the event's personal data, if it is sealed.
	Key KeyID
	// Personal reports whether the personal data could be read. ErasedAt is the time since
	// which it cannot be.
	Personal Personal
	ErasedAt time.Time
}

// Appended is the result of an append.
type Appended struct {
	// Revision and Position are those of the last appended event.
	Revision Revision
	Position Position
	// Key is the data key that seals the first event with personal data.
	Key KeyID
}

// Filter selects events of the global order by the names of their streams or of their
// types. At most one of the two is set. If neither is, all of Waypost's events pass, and
// the store's own ("$…") do not.
type Filter struct {
	StreamPrefixes []string
	Types          []string
}

// Batch is a run of events in the order of the event log.
type Batch struct {
	Events []Recorded
	// Position is the position of the last event, or of a later checkpoint. A subscription
	// that resumes after it misses nothing and repeats nothing.
	Position Position
	// Live is set once the subscription has delivered all existing events.
	Live bool
}

// BusyBatch is the number of events from which on a subscription's BusyInterval applies.
const BusyBatch = 50

// Subscription describes where a subscription starts, which events it delivers, and how it
// batches them.
type Subscription struct {
	// After is the position after which it starts. FromEnd delivers only new events.
	After   Position
	FromEnd bool
	Filter  Filter
	// MaxBatch is the maximum number of events in a batch, 1,000 if zero. A batch is
	// delivered as soon as no further event waits.
	MaxBatch int
	// BatchInterval is the minimum time between two batches. Events in that time are
	// delivered together, unless one of them has an Urgent type. A consumer that writes one
	// row for many events then writes it less often. An event after a longer pause is
	// delivered immediately.
	BatchInterval time.Duration
	Urgent        []string
	// BusyInterval replaces BatchInterval while batches have at least BusyBatch events. If zero,
	// BatchInterval always applies.
	BusyInterval time.Duration
	// Sealed leaves personal data unread, so that it is Locked. Otherwise, a batch waits
	// while its data keys are unavailable.
	Sealed bool
	// Consumer names a consumer whose After was a position of this log: it kept After when the
	// process ended, or read it with Log.End. If After is beyond the end of the log, the
	// subscription then ends with a *ShorterError, see Log.Subscribe.
	Consumer string
}

// Log is the event store.
type Log interface {
	// Append appends the events atomically, adjacent in the log. It returns a
	// *WrongRevisionError if the stream is not as expected. It returns ErrUnavailable if
	// the outcome is unknown or the store is unavailable. The same events, with the same
	// IDs, can then be appended again.
	Append(ctx context.Context, stream string, expected Expected, events ...Proposed) (Appended, error)
	// Read reads a stream forward from a revision, at most limit events. A stream that does
	// not exist has no events. Read returns ErrUndecodable if one of the events cannot be
	// decoded.
	Read(ctx context.Context, stream string, from Revision, limit int) ([]Recorded, error)
	// ReadBackwards reads a stream backward from its end, at most limit events.
	ReadBackwards(ctx context.Context, stream string, limit int) ([]Recorded, error)
	// Subscribe passes batches of the global order to handle until ctx ends or handle
	// fails, and returns that error. It survives restarts of the store. Before it starts
	// for a Consumer, and before any subscription resumes, it compares the position with
	// the end of the log. If the log has become shorter, it fails with a *ShorterError. The
	// exception is a subscription without a position of its own, which starts again where
	// it started.
	Subscribe(ctx context.Context, sub Subscription, handle func(context.Context, Batch) error) error
	// End returns the position of the last event of the log.
	End(ctx context.Context) (Position, error)
	// Ping returns an error if the store does not respond.
	Ping(ctx context.Context) error
}

// ErrDiskFull means that the event store's disk is full. The store rejects appends until
// there is space, and still serves reads. The error also wraps ErrUnavailable.
var ErrDiskFull = errors.New("the event store's disk is full")

// ErrUnavailable means that the event store is unavailable or that the outcome of an append
// is unknown.
var ErrUnavailable = errors.New("event store unavailable")

// ErrTooLarge means that an append exceeds the maximum size of the event store.
var ErrTooLarge = errors.New("append exceeds the event store's maximum size")

// ErrUndecodable means that this version cannot decode an event.
var ErrUndecodable = errors.New("the event cannot be decoded")

// WrongRevisionError means that a stream was not as the writer expected: another writer
// appended first.
type WrongRevisionError struct {
	Stream   string
	Expected Expected
}

func (e *WrongRevisionError) Error() string {
	return fmt.Sprintf("stream %s is not at %s", e.Stream, e.Expected)
}
