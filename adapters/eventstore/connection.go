package eventstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
)

// failureLogged is the format of the client's log message for a failed call. The client
// logs it on the goroutine of that call, before it requests a new discovery. It is the
// only place where that discovery can be prevented.
const failureLogged = "unexpected exception: %v"

// connection is one client, from its probe until its last call has returned.
type connection struct {
	client *esdb.Client

	// entry is held for reading from before a call until the call has the client's gRPC
	// connection, and for writing by retire. So when retire returns, no call will ask
	// the client for its gRPC connection, and none can trigger a discovery.
	entry   sync.RWMutex
	retired atomic.Bool

	calls int // guarded by pool.mu
}

// connect creates a client and verifies that the store responds to it. It takes at most
// the configuration's gossip timeout for each node, plus one discovery interval.
func connect(config esdb.Configuration) (*connection, error) {
	c := &connection{}
	config.MaxDiscoverAttempts = 1 // the pool retries, with a new client each time
	config.Logger = c.observef
	var err error
	if config.Address, err = dialTarget(config.Address); err != nil {
		return nil, err
	}
	client, err := esdb.NewClient(&config)
	if err != nil {
		return nil, err
	}
	c.client = client
	// The first request for the version runs the discovery.
	if _, err := client.GetServerVersion(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// observef is the client's logger. It logs nothing, because this package returns or
// logs every failure, but it retires the connection in time.
func (c *connection) observef(level esdb.LogLevel, format string, args ...any) {
	if level != esdb.LogError || format != failureLogged || len(args) != 1 {
		return
	}
	if err, ok := args[0].(error); ok && codeOf(err) == codes.Unavailable {
		c.retire()
	}
}

// enter begins a call. The returned context must be passed to the client unchanged, and
// leave must be called when the client's method has returned. The result is false if
// the connection was retired in the meantime.
func (c *connection) enter(ctx context.Context) (_ context.Context, leave func(), _ bool) {
	c.entry.RLock()
	if c.retired.Load() {
		c.entry.RUnlock()
		return nil, nil, false
	}
	entered := &enteringContext{Context: ctx, entered: sync.OnceFunc(c.entry.RUnlock)}
	return entered, entered.entered, true
}

// retire keeps new calls away from the client. Calls in progress continue.
func (c *connection) retire() {
	c.entry.Lock()
	defer c.entry.Unlock()
	c.retired.Store(true)
}

func (c *connection) close() {
	// Close only signals and never returns an error.
	_ = c.client.Close()
}

// enteringContext detects when the client has its gRPC connection: the next thing that
// the client does is to derive the call's context, which asks this one for its
// deadline.
type enteringContext struct {
	context.Context //nolint:containedctx // it is a context
	entered         func()
}

func (c *enteringContext) Deadline() (time.Time, bool) {
	c.entered()
	return c.Context.Deadline()
}
