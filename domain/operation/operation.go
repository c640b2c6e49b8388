package operation

import (
	"slices"

	"github.com/waypost/waypost/domain"
)

// Kind is what an operation does with each of its messages.
type Kind string

// The kinds of operations.
const (
	KindCancel  Kind = "CANCEL"
	KindRequeue Kind = "REQUEUE"
	KindDiscard Kind = "DISCARD"
)

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return k == KindCancel || k == KindRequeue || k == KindDiscard }

// MaxRefusals is how many refusals an operation keeps; all are counted.
const MaxRefusals = 100

// Refusal says why one message was not changed.
type Refusal struct {
	MessageID string      `json:"messageId"`
	Code      domain.Code `json:"code"`
	Message   string      `json:"message"`
}

// Operation is what the events of one operation fold to. It is a value. The zero
// Operation is one of which nothing is recorded.
type Operation struct {
	Kind     Kind
	Reason   string
	Senders  []string
	Selected int
	// Through is how many messages of the selection are dealt with, in its order.
	Through int
	// Done counts those that were changed, or stood as asked for already.
	Done         int
	RefusedCount int
	// Refused are the first MaxRefusals.
	Refused  []Refusal
	Finished bool
}

// Fold makes the operation of its events, oldest first. Events of other
// aggregates are passed over.
func Fold(events ...domain.Event) Operation { return Operation{}.With(events...) }

// With is the operation after further events. The receiver stays as it is.
func (o Operation) With(events ...domain.Event) Operation {
	for _, e := range events {
		if e, ok := e.(Event); ok {
			e.apply(&o)
		}
	}
	return o
}

// Exists reports whether anything is recorded of the operation.
func (o Operation) Exists() bool { return o.Kind != "" }

// Reaches reports whether the operation may change messages of the sender.
func (o Operation) Reaches(sender string) bool {
	if o.Senders == nil {
		return true
	}
	return slices.Contains(o.Senders, sender)
}

// Progress is what came of the next messages of the selection.
type Progress struct {
	Done    int
	Refused []Refusal
}

// Advance records the progress, and the end once the whole selection is dealt
// with.
func Advance(o Operation, p Progress) []Event {
	if o.Finished {
		return nil
	}
	var events []Event
	if n := p.Done + len(p.Refused); n > 0 {
		kept := p.Refused[:min(len(p.Refused), max(MaxRefusals-len(o.Refused), 0))]
		events = append(events, Progressed{
			Through: o.Through + n, Done: o.Done + p.Done, RefusedCount: o.RefusedCount + len(p.Refused), Refused: kept,
		})
		o.Through += n
	}
	if o.Through >= o.Selected {
		events = append(events, Finished{})
	}
	return events
}
