package eventstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
)

// failureLogged is the format of what the client logs when a call failed, on the
// goroutine of that call and before it asks for a new discovery. It is the only
// place where that discovery can be forestalled.
const failureLogged = "unexpected exception: %v"

// connection is one client, from its probe until its last call has returned.
type connection struct {
	client *esdb.Client

	// entry is held for reading from before a call until it has got the client's
	// gRPC connection, and for writing to retire. Thus, when retire returns, no
	// call will ask the client for its gRPC connection any more, and none can
	// set off a discovery.
	entry   sync.RWMutex
	retired atomic.Bool

	calls int // guarded by pool.mu
}

// connect makes a client and proves that the store answers it. It takes at most
// the configuration's gossip timeout for each node, plus one discovery interval.
func connect(config esdb.Configuration) (*connection, error) {
	c := &connection{}
	config.MaxDiscoverAttempts = 1 // the pool repeats, with a new client each time
	config.Logger = c.observef
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

// observef is the client's logger. It logs nothing, since every failure is
// returned or logged by this package, but retires the connection in time.
func (c *connection) observef(level esdb.LogLevel, format string, args ...any) {
	if level != esdb.LogError || format != failureLogged || len(args) != 1 {
		return
	}
	if err, ok := args[0].(error); ok && codeOf(err) == codes.Unavailable {
		c.retire()
	}
}

// enter begins a call. The context it gives must go to the client as it is, and
// leave must be called when the client's method has returned. It is false if the
// connection was retired meanwhile.
func (c *connection) enter(ctx context.Context) (_ context.Context, leave func(), _ bool) {
	c.entry.RLock()
	if c.retired.Load() {
		c.entry.RUnlock()
		return nil, nil, false
	}
	entered := &enteringContext{Context: ctx, entered: sync.OnceFunc(c.entry.RUnlock)}
	return entered, entered.entered, true
}

// retire keeps new calls away from the client. Calls under way go on.
func (c *connection) retire() {
	c.entry.Lock()
	defer c.entry.Unlock()
	c.retired.Store(true)
}

func (c *connection) close() {
	// Close only signals; it has no error to give.
	_ = c.client.Close()
}

// enteringContext tells when the client has its gRPC connection: the next thing
// it does is to derive the call's context, which asks this one for its deadline.
type enteringContext struct {
	context.Context //nolint:containedctx // it is a context
	entered         func()
}

func (c *enteringContext) Deadline() (time.Time, bool) {
	c.entered()
	return c.Context.Deadline()
}
