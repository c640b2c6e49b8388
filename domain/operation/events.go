package operation

import (
	"slices"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Event is an event of an operation's stream. The structs are the wire form.
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

// Started records that an operation begins. Its selection stands already. Who
// began it is in the event's metadata.
type Started struct {
	Kind     Kind `json:"kind"`
	Selected int  `json:"selected"`
	// Reason is what the operator said; it goes into the messages' events.
	Reason string `json:"reason,omitempty"`
	// Senders are those that the caller's key was limited to; nil for all.
	Senders []string `json:"senders,omitzero"`
}

// Progressed records how far an operation has come. The counts are totals,
// Refused are the refusals since the event before, of those that are kept.
type Progressed struct {
	Through      int       `json:"through"`
	Done         int       `json:"done"`
	RefusedCount int       `json:"refusedCount"`
	Refused      []Refusal `json:"refused,omitempty"`
}

// Finished records that an operation is over.
type Finished struct{}

// Opened records, in the one stream of all operations, that an operation began:
// by it a process finds what others left behind.
type Opened struct {
	Operation uuid.UUID `json:"operation"`
}

// Closed records in that stream that it is over.
type Closed struct {
	Operation uuid.UUID `json:"operation"`
}

func (Selected) EventType() string   { return "OperationSelected" }
func (Started) EventType() string    { return "OperationStarted" }
func (Progressed) EventType() string { return "OperationProgressed" }
func (Finished) EventType() string   { return "OperationFinished" }
func (Opened) EventType() string     { return "OperationOpened" }
func (Closed) EventType() string     { return "OperationClosed" }

func (e Started) apply(o *Operation) {
	*o = Operation{Kind: e.Kind, Selected: e.Selected, Reason: e.Reason, Senders: e.Senders}
}

func (e Progressed) apply(o *Operation) {
	o.Through, o.Done, o.RefusedCount = e.Through, e.Done, e.RefusedCount
	// A fresh array: the receiver of With may share the old one.
	o.Refused = slices.Concat(o.Refused, e.Refused)
}

func (Finished) apply(o *Operation) { o.Finished = true }
