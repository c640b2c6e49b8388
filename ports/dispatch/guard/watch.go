package guard

import (
	"context"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/conversation"
)

// Watch returns a log of which the guard knows every opt-out before it is appended, so that no
// call of this process begins once it is in the event log.
func (g *Guard) Watch(log event.Log) event.Log { return watched{log, g.choices} }

type watched struct {
	event.Log

	choices *choices
}

// Append implements event.Log.
func (w watched) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	for _, p := range events {
		if e, ok := p.Event.(conversation.OptedOut); ok {
			defer w.choices.begin(e.Choice)()
		}
	}
	done, err := w.Log.Append(ctx, stream, expected, events...)
	if err != nil {
		return done, err // if it is in the log, the subscription has it
	}
	for i, p := range events {
		at := done.Position - event.Position(len(events)-1-i) // in their order; the subscription has the true ones
		switch e := p.Event.(type) {
		case conversation.OptedOut:
			w.choices.add(e.Choice, true, at)
		case conversation.OptedIn:
			w.choices.add(e.Choice, false, at)
		}
	}
	return done, nil
}
