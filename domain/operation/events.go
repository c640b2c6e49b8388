package operation

import (
	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// An Event is an event of an operation's stream. The structs are the wire form.
type Event interface {
	domain.Event
	apply(o *Operation)
}

// Types lists the event types of operations, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[Selected](), domain.TypeOf[Started](), domain.TypeOf[Progressed](), domain.TypeOf[Finished](),
		domain.TypeOf[Opened](), domain.TypeOf[Closed](),
	}
}

// Selected records messages that an operation is about. A large selection takes
// several, each with the next messages in their order.
type Selected struct {
	Messages []uuid.UUID `json:"messages"`
}

// Started records that an operation begins. Its selection is already recorded. The event's
// metadata names who started it.
type Started struct {
	Kind     Kind `json:"kind"`
	Selected int  `json:"selected"`
	// Reason is the operator's reason. It is copied to the messages' events.
	Reason string `json:"reason,omitempty"`
	// Senders are the senders that the caller's key was limited to, or nil for all.
	Senders []string `json:"senders,omitzero"`
}

// Progressed records the progress of an operation. The counts are totals. Refused has the
// refusals since the previous event, up to the number that is stored.
type Progressed struct {
	Through      int       `json:"through"`
	Done         int       `json:"done"`
	RefusedCount int       `json:"refusedCount"`
	Refused      []Refusal `json:"refused,omitempty"`
}

// Finished records that an operation has ended.
type Finished struct{}

// Opened records, in the one stream of all operations, that an operation began. It lets a
// process find operations that others left unfinished.
type Opened struct {
	Operation uuid.UUID `json:"operation"`
}

// Closed records in that stream that it has ended.
type Closed struct {
	Operation uuid.UUID `json:"operation"`
}

func (Selected) EventType() string   { return "OperationSelected" }
func (Started) EventType() string    { return "OperationStarted" }
func (Progressed) EventType() string { return "OperationProgressed" }
func (Finished) EventType() string   { return "OperationFinished" }
func (Opened) EventType() string     { return "OperationOpened" }
func (Closed) EventType() string     { return "OperationClosed" }
