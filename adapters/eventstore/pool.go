package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"

	"github.com/waypost/waypost/app/event"
)

// pool provides the current connection and replaces it when it was retired.
type pool struct {
	config esdb.Configuration
	turns  turns

	*lifetime // of calls and attempts; its mu also guards the fields below

	current *connection
	attempt *attempt
}

// attempt is a connection being opened. Its fields are set before done closes.
type attempt struct {
	done chan struct{}
	err  error
}

func newPool(config esdb.Configuration) *pool {
	return &pool{config: config, turns: newTurns(), lifetime: newLifetime()}
}

// do runs one call on a verified connection. call receives a context that ends with ctx
// or with the pool, and can use the connection until it returns. do returns the
// client's errors unchanged and adds errors of connecting and of waiting.
func (p *pool) do(ctx context.Context, call func(context.Context, *connection) error) error {
	ctx, cancel := p.bind(ctx)
	defer cancel(nil)
	release, err := p.turns.take(ctx)
	if err != nil {
		return err
	}
	defer release()
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
	// The next call gets another connection if the store or the network to it may be
	// down. A caller's short deadline proves nothing.
	reason := context.Cause(ctx)
	switch {
	case hasCode(err, esdb.ErrorCodeNotLeader):
		// The client is already connecting to the leader, and calls that enter now
		// would wait for that. This connection must not be used for them.
		c.retired.Store(true)
	case codeOf(err) == codes.Unavailable, errors.Is(err, errNoAnswer), errors.Is(reason, errNoAnswer),
		codeOf(err) == codes.Canceled && reason == nil: // by the client, which is connecting to a leader
		c.retire()
	}
	if errors.Is(reason, errClosed) || errors.Is(reason, errNoAnswer) {
		return reason
	}
	return err
}

// take returns the current connection, or waits for the one being opened. The caller
// must release it.
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

// connect opens the next connection. No other goroutine uses the client until then.
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
		p.current = c // the previous one was retired; its last call closes it
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

// close rejects new calls and waits for those in progress, but cancels them when ctx
// ends. It can be called more than once.
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
	return p.lifetime.close(ctx)
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
