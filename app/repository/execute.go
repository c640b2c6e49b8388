package repository

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
)

// maxConflicts is the number of times that Execute decides before it gives up. Writers
// of one stream are few: a lane, a status, and an operator for a message.
const maxConflicts = 10

// Stream is an aggregate's stream as Execute sees it. S is the aggregate's state at a
// revision, and E is the type of its events.
type Stream[S, E any] struct {
	// Name names the aggregate in errors, for example "sender acme".
	Name string
	// Cached returns a state that can be behind the stream, or false if none is cached.
	// If Cached is nil, Execute always loads the stream.
	Cached func() (S, bool)
	// Load reads and folds the stream.
	Load func(context.Context) (S, error)
	// Append appends events at the revision of the state, under new event IDs, and
	// updates the state. It returns a *event.WrongRevisionError if another writer
	// appended first.
	Append func(context.Context, *S, []E) error

	// turn waits for the aggregate's turn in this process, see turns. If nil, Execute takes
	// none.
	turn func(context.Context) (end func(), err error)
}

// Execute loads the state of a stream, decides on it, and appends the events that decide
// returns at the revision of that state. It returns the state after them. If decide
// returns no events, nothing is appended.
//
// If another writer appended first, Execute starts over from the stream. A decision to
// refuse that was made on a cached state is also made again from the stream. After
// maxConflicts decisions, Execute fails with domain.CodeUnavailable. It repeats nothing
// after other errors: an append with an unknown outcome might have been recorded.
//
// If the stream has turns, Execute first waits until no other goroutine of this process
// decides on the aggregate, so only other processes can append in between. decide must not
// call Execute.
func Execute[S, E any](ctx context.Context, s Stream[S, E], decide func(S) ([]E, error)) (S, error) {
	var none, state S
	if s.turn != nil {
		end, err := s.turn(ctx)
		if err != nil {
			// The change before it waits for the event store.
			return none, fmt.Errorf("wait for other changes to %s: %w: %w", s.Name, event.ErrUnavailable, err)
		}
		defer end()
	}
	cached := false
	if s.Cached != nil {
		state, cached = s.Cached()
	}
	for range maxConflicts {
		if !cached {
			var err error
			if state, err = s.Load(ctx); err != nil {
				return none, err
			}
		}
		events, err := decide(state)
		switch {
		case err != nil && cached:
			cached = false
			continue
		case err != nil:
			return none, err
		case len(events) == 0:
			return state, nil
		}
		if err := s.Append(ctx, &state, events); err == nil {
			return state, nil
		} else if !IsConflict(err) {
			return none, err
		}
		cached = false
	}
	return none, domain.Unavailable("too many concurrent changes to %s; try again", s.Name)
}

// IsConflict reports whether an append failed because another writer appended first.
func IsConflict(err error) bool {
	var wrong *event.WrongRevisionError
	return errors.As(err, &wrong)
}

// GrowStack gives a new goroutine the stack that a change of a message takes. Otherwise it
// is doubled two or three times on the way, and all frames are copied each time: measured,
// 3% of all CPU in dispatch, and 5% in webhooks and accepting.
//
//go:noinline
func GrowStack() {
	var room [9 << 10]byte
	runtime.KeepAlive(&room)
}

// streamPage is the number of events of a stream to read at a time.
const streamPage = 10_000

// readStream reads all events of a stream, however many they are.
func readStream(ctx context.Context, log event.Log, stream string) ([]event.Recorded, error) {
	var events []event.Recorded
	for {
		page, err := log.Read(ctx, stream, revisionAfter(events), streamPage)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", stream, err)
		}
		events = append(events, page...)
		if len(page) < streamPage {
			return events, nil
		}
	}
}

// revisionAfter returns the revision that follows the events of a stream.
func revisionAfter(events []event.Recorded) event.Revision {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Revision + 1
}
