package operation

import (
	"slices"

	"github.com/waypost/waypost/domain"
)

// Fold returns the operation that its events, oldest first, lead to. It skips events of
// other aggregates.
func Fold(events ...domain.Event) Operation { return Operation{}.Apply(events...) }

// Apply returns the operation after further events. The receiver doesn't change.
func (o Operation) Apply(events ...domain.Event) Operation {
	for _, e := range events {
		if e, ok := e.(Event); ok {
			e.apply(&o)
		}
	}
	return o
}

func (e Started) apply(o *Operation) {
	*o = Operation{Kind: e.Kind, Selected: e.Selected, Reason: e.Reason, Senders: e.Senders}
}

func (e Progressed) apply(o *Operation) {
	o.Through, o.Done, o.RefusedCount = e.Through, e.Done, e.RefusedCount
	// A new array, because the receiver of Apply can share the old one.
	o.Refused = slices.Concat(o.Refused, e.Refused)
}

func (Finished) apply(o *Operation) { o.Finished = true }
