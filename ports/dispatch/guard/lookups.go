package guard

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/conversation"
)

// lookupGap is the shortest time between the starts of two questions to the read model. It
// combines those of messages that are due together.
const lookupGap = 20 * time.Millisecond

// lookups asks the read model about many recipients at once. While a question is in progress,
// callers join the next one. Its size is bounded by the number of messages that dispatch works on
// at a time.
type lookups struct {
	source work.Conversations

	mu      sync.Mutex // guards all fields below
	next    *question  // nil if no one waits
	running bool
	last    time.Time // start of the last question
}

// A question is about several recipients. known and the rest are set when done is closed.
type question struct {
	of    []work.Recipient
	done  chan struct{}
	known []conversation.Conversation
	at    event.Position
	err   error
}

// about returns what is known about a recipient, and the position up to which.
func (l *lookups) about(ctx context.Context, r work.Recipient) (conversation.Conversation, event.Position, error) {
	l.mu.Lock()
	q := l.next
	if q == nil {
		q = &question{done: make(chan struct{})}
		l.next = q
	}
	place := len(q.of)
	q.of = append(q.of, r)
	if !l.running {
		l.running = true
		go l.run(context.WithoutCancel(ctx))
	}
	l.mu.Unlock()
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

// run asks until no one waits.
func (l *lookups) run(ctx context.Context) {
	for {
		l.mu.Lock()
		gap := lookupGap - time.Since(l.last)
		l.mu.Unlock()
		_ = retry.Sleep(ctx, gap) // ctx never ends
		l.mu.Lock()
		q := l.next
		l.next, l.last = nil, time.Now()
		l.running = q != nil
		l.mu.Unlock()
		if q == nil {
			return
		}
		asking, cancel := context.WithTimeout(ctx, lookupTimeout)
		q.known, q.at, q.err = l.source.Conversations(asking, q.of)
		cancel()
		close(q.done)
	}
}
