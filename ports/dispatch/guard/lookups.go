package guard

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
)

// lookupGap is the pause after a question to the read model. It combines the questions about
// messages that are due together.
const lookupGap = 20 * time.Millisecond

// errStopped is the answer to questions when no one answers them any longer.
var errStopped = errors.New("the guard has stopped")

// lookups asks the read model about many recipients at once. While a question is in progress,
// callers join the next one. Its size is bounded by the number of messages that dispatch works on
// at a time.
type lookups struct {
	source work.Conversations
	wake   chan struct{} // has room for one

	mu      sync.Mutex // guards all fields below
	next    *question  // nil if no one waits
	stopped bool
}

// A question is about several recipients. known and the rest are set when done is closed.
type question struct {
	of    []work.Recipient
	done  chan struct{}
	known []conversation.Conversation
	at    event.Position
	err   error
}

func newLookups(source work.Conversations) *lookups {
	return &lookups{source: source, wake: make(chan struct{}, 1)}
}

// about returns what is known about a recipient, and the position up to which.
func (l *lookups) about(ctx context.Context, r work.Recipient) (conversation.Conversation, event.Position, error) {
	q, place, err := l.add(r)
	if err != nil {
		return conversation.Conversation{}, 0, err
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.done:
		if q.err != nil {
			return conversation.Conversation{}, 0, q.err
		}
		return q.known[place], q.at, nil
	case <-ctx.Done():
		return conversation.Conversation{}, 0, ctx.Err()
	}
}

// add adds a recipient to the next question, and returns their place in it.
func (l *lookups) add(r work.Recipient) (q *question, place int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return nil, 0, errStopped
	}
	if l.next == nil {
		l.next = &question{done: make(chan struct{})}
	}
	l.next.of = append(l.next.of, r)
	return l.next, len(l.next.of) - 1, nil
}

// take returns the next question, or nil if no one waits.
func (l *lookups) take() *question {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.next
	l.next = nil
	return q
}

// run asks until ctx ends. Then nothing can be asked any longer. Run it once.
func (l *lookups) run(ctx context.Context) {
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

func (l *lookups) ask(ctx context.Context, q *question) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	q.known, q.at, q.err = l.source.Conversations(ctx, q.of)
	close(q.done)
}

func (l *lookups) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	if l.next != nil {
		l.next.err = errStopped
		close(l.next.done)
		l.next = nil
	}
}
