package guard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// lookupGap is the pause after a question. It combines the questions about
// messages that are due together.
const lookupGap = 20 * time.Millisecond

// errStopped is the answer to questions when no one answers them any longer.
var errStopped = errors.New("the guard has stopped")

// lookups asks about many people at once. While a question is in progress, callers join the next
// one. Its size is bounded by the number of messages that dispatch works on at a time.
type lookups[Q, A any] struct {
	source func(context.Context, []Q) ([]A, error)
	wake   chan struct{} // has room for one

	mu      sync.Mutex      // guards all fields below
	next    *question[Q, A] // nil if no one waits
	stopped bool
}

// A question is about several people. answers and err are set when done is closed.
type question[Q, A any] struct {
	of      []Q
	done    chan struct{}
	answers []A
	err     error
}

func newLookups[Q, A any](source func(context.Context, []Q) ([]A, error)) *lookups[Q, A] {
	return &lookups[Q, A]{source: source, wake: make(chan struct{}, 1)}
}

// about returns the answer of the next question about one person.
func (l *lookups[Q, A]) about(ctx context.Context, of Q) (answer A, err error) {
	q, place, err := l.add(of)
	if err != nil {
		return answer, err
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.done:
		if q.err != nil {
			return answer, q.err
		}
		return q.answers[place], nil
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// add adds a person to the next question, and returns their place in it.
func (l *lookups[Q, A]) add(of Q) (q *question[Q, A], place int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return nil, 0, errStopped
	}
	if l.next == nil {
		l.next = &question[Q, A]{done: make(chan struct{})}
	}
	l.next.of = append(l.next.of, of)
	return l.next, len(l.next.of) - 1, nil
}

// take returns the next question, or nil if no one waits.
func (l *lookups[Q, A]) take() *question[Q, A] {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.next
	l.next = nil
	return q
}

// run asks until ctx ends. Then nothing can be asked any longer. Run it once.
func (l *lookups[Q, A]) run(ctx context.Context) {
	defer l.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		if q := l.take(); q != nil {
			l.ask(ctx, q)
			if retry.Sleep(ctx, lookupGap) != nil {
				return
			}
		}
	}
}

func (l *lookups[Q, A]) ask(ctx context.Context, q *question[Q, A]) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	q.answers, q.err = l.source(ctx, q.of)
	close(q.done)
}

func (l *lookups[Q, A]) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	if l.next != nil {
		l.next.err = errStopped
		close(l.next.done)
		l.next = nil
	}
}
