package eventstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"

	"github.com/waypost/waypost/app/event"
)

// maxCalls bounds the calls at a time on one connection. EventStoreDB takes 100;
// above that, calls wait in the transport.
const maxCalls = 80

// pool hands out the current connection and replaces it when it was retired.
type pool struct {
	config esdb.Configuration
	slots  chan struct{}

	// life ends when calls must be given up.
	life context.Context //nolint:containedctx // the pool's own life, not a call's
	end  context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	current *connection
	attempt *attempt
	running sync.WaitGroup // calls and attempts; grows only under mu while not closed
}

// attempt is a connection in the making. Its fields are set before done closes.
type attempt struct {
	done chan struct{}
	err  error
}

func newPool(config esdb.Configuration) *pool {
	p := &pool{config: config, slots: make(chan struct{}, maxCalls)}
	p.life, p.end = context.WithCancelCause(context.Background()) //nolint:forbidigo // the pool's life is the Log's, which Close ends
	return p
}

// do runs one call on a proven connection. call gets a context that ends with
// ctx or with the pool, and may use the connection until it returns. Its errors
// are as the client gives them; do adds those of connecting and of waiting.
func (p *pool) do(ctx context.Context, call func(context.Context, *connection) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.life, func() { cancel(errClosed) })()

	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		c, err := p.take(ctx)
		if err != nil {
			return err
		}
		err = p.run(ctx, c, call)
		if !errors.Is(err, errRetired) {
			return err
		}
	}
}

func (p *pool) run(ctx context.Context, c *connection, call func(context.Context, *connection) error) error {
	defer p.release(c)
	err := call(ctx, c)
	if err == nil {
		return nil
	}
	// The next call gets another connection if the store or the way to it may be
	// gone. A caller that was in a hurry proves nothing.
	reason := context.Cause(ctx)
	switch {
	case hasCode(err, esdb.ErrorCodeNotLeader):
		// The client is on its way to the leader by itself, whom calls that enter now
		// wait for; so must not this one.
		c.retired.Store(true)
	case codeOf(err) == codes.Unavailable, errors.Is(err, errNoAnswer), errors.Is(reason, errNoAnswer),
		codeOf(err) == codes.Canceled && reason == nil: // by the client, on its way to a leader
		c.retire()
	}
	if errors.Is(reason, errClosed) || errors.Is(reason, errNoAnswer) {
		return reason
	}
	return err
}

// take gives the current connection, or waits for the one in the making. Every
// connection taken must be released.
func (p *pool) take(ctx context.Context) (*connection, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		if c := p.current; c != nil && !c.retired.Load() {
			c.calls++
			p.running.Add(1)
			p.mu.Unlock()
			return c, nil
		}
		if p.attempt == nil {
			p.attempt = &attempt{done: make(chan struct{})}
			p.running.Add(1)
			go p.connect(p.attempt)
		}
		a := p.attempt
		p.mu.Unlock()

		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if a.err != nil {
			return nil, fmt.Errorf("%w: connect to %s: %w", event.ErrUnavailable, address(p.config), a.err)
		}
	}
}

// connect makes the next connection. It alone talks to the client until then.
func (p *pool) connect(a *attempt) {
	defer p.running.Done()
	c, err := connect(p.config)

	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(a.done)
	p.attempt = nil
	a.err = err
	switch {
	case err != nil:
	case p.closed:
		c.close()
	default:
		p.current = c // the one before was retired; its last call closes it
	}
}

// release ends a call. The last call of a retired connection closes it.
func (p *pool) release(c *connection) {
	p.mu.Lock()
	c.calls--
	last := c.calls == 0 && (c.retired.Load() || p.closed)
	if last && p.current == c {
		p.current = nil
	}
	p.mu.Unlock()
	if last {
		c.close()
	}
	p.running.Done()
}

// close refuses new calls and waits for those under way, but gives them up when
// ctx ends. It may be called again.
func (p *pool) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	idle := p.current
	if idle != nil && idle.calls > 0 {
		idle = nil // its last call closes it
	} else {
		p.current = nil
	}
	p.mu.Unlock()
	if idle != nil {
		idle.close()
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		p.running.Wait()
	}()
	defer p.end(errClosed)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close event store client: calls were given up: %w", context.Cause(ctx))
	}
}

func address(config esdb.Configuration) string {
	if config.Address != "" {
		return config.Address
	}
	nodes := make([]string, 0, len(config.GossipSeeds))
	for _, seed := range config.GossipSeeds {
		nodes = append(nodes, seed.String())
	}
	return fmt.Sprint(nodes)
}
