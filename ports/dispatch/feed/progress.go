package feed

import (
	"context"
	"sync"
)

// progress counts what a Subscriber has in progress: the messages with the handler, and
// the loops that emit more.
type progress struct {
	mu      sync.Mutex // guards all fields below
	n       int
	stopped bool
	idle    chan struct{} // closed when n becomes 0; nil if no one waits
}

// enter counts a loop that emits messages, until leave. It returns false if the
// subscriber is draining: then nothing more can be emitted.
func (p *progress) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.n++
	return true
}

// add counts a message until leave. The caller has entered.
func (p *progress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
}

func (p *progress) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n--
	if p.n == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

func (p *progress) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

func (p *progress) draining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// wait waits until nothing is in progress, or until ctx ends.
func (p *progress) wait(ctx context.Context) {
	for {
		p.mu.Lock()
		if p.n == 0 {
			p.mu.Unlock()
			return
		}
		if p.idle == nil {
			p.idle = make(chan struct{})
		}
		idle := p.idle
		p.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return
		}
	}
}
