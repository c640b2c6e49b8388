package eventstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/request"
)

// lifetime counts what is in progress, so that close can wait for it.
type lifetime struct {
	// ctx ends when everything in progress must end.
	ctx context.Context //nolint:containedctx // it is the owner's own life, not a call's
	end context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // grows only under mu while not closed
}

func newLifetime() *lifetime {
	l := &lifetime{}
	l.ctx, l.end = context.WithCancelCause(context.Background()) //nolint:forbidigo // it is the Log's, which Close ends
	return l
}

// begin registers something in progress. It returns false if the lifetime is closed.
// Otherwise, the caller must call running.Done.
func (l *lifetime) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}

// bind returns a context that ends with ctx or with the lifetime. The caller must call
// cancel.
func (l *lifetime) bind(ctx context.Context) (_ context.Context, cancel context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(ctx)
	unbind := context.AfterFunc(l.ctx, func() { end(errClosed) })
	return ctx, func(cause error) {
		unbind()
		end(cause)
	}
}

// close registers nothing more and waits for everything in progress, but cancels it when
// ctx ends. It can be called more than once.
func (l *lifetime) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.running.Wait()
	}()
	defer l.end(errClosed)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close event log: calls were cancelled: %w", context.Cause(ctx))
	}
}

const (
	// maxCalls limits concurrent calls. EventStoreDB accepts 100 on one connection. Above
	// that, calls wait in the transport.
	maxCalls = 80
	// callersCalls is the maximum number of them for callers of the API (see
	// request.Caller). The others are reserved for dispatch, the projections, and keys.
	// One caller can have callerCalls of them, and callerWaiting more can wait.
	callersCalls, callerCalls, callerWaiting = 48, 24, 10_000
)

// turns limits concurrent calls, and shares them among the callers of the API.
type turns struct {
	slots  chan struct{}
	shared *fair.Places // of slots, for callers
}

func newTurns() turns {
	return turns{
		slots:  make(chan struct{}, maxCalls),
		shared: fair.NewPlaces(fair.Limits{Total: callersCalls, PerKey: callerCalls, Waiting: callerWaiting}),
	}
}

// take waits for a turn until ctx ends. The caller must call release once.
func (t turns) take(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	leave := func() {}
	if caller := request.Caller(ctx); caller != "" {
		if leave, err = t.shared.Take(ctx, caller); err != nil {
			return nil, err
		}
	}
	select {
	case t.slots <- struct{}{}:
		return func() { <-t.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
