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

// MaxRefusals is the number of refusals that an operation stores. All are counted.
const MaxRefusals = 100

// A Refusal is why one message was not changed.
type Refusal struct {
	MessageID string      `json:"messageId"`
	Code      domain.Code `json:"code"`
	Message   string      `json:"message"`
}

// An Operation is the state that the events of one operation fold to. It is a value. The
// zero Operation has no events.
type Operation struct {
	Kind     Kind
	Reason   string
	Senders  []string
	Selected int
	// Through is the number of messages of the selection that have been processed, in its
	// order.
	Through int
	// Done counts messages that were changed, or already were as requested.
	Done         int
	RefusedCount int
	// Refused are the first MaxRefusals.
	Refused  []Refusal
	Finished bool
}

// Exists reports whether the operation has any events.
func (o Operation) Exists() bool { return o.Kind != "" }

// CoversSender reports whether the operation may change messages of the sender.
func (o Operation) CoversSender(sender string) bool {
	if o.Senders == nil {
		return true
	}
	return slices.Contains(o.Senders, sender)
}
