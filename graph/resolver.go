package graph

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/domain/message"
)

// Options are the dependencies of the API. All except Logger and Origins are required.
type Options struct {
	Log event.Log
	// LogID is the identity of the event log, which cursors contain.
	LogID uuid.UUID

	// Commands and Queries are everything that the API can do and return.
	Commands app.Commands
	Queries  app.Queries
	// IdempotencySecret is the secret of the installation for the hashes that callers
	// use as idempotency keys.
	IdempotencySecret []byte
	// CategoryOf returns the category of a WhatsApp error code, or false for an unknown
	// code. It can be nil.
	CategoryOf func(code int) (message.Category, bool)

	// Readings are the latest measurements behind alerts. They can be nil.
	Readings *alerts.Readings

	Authenticator Authenticator
	// Person returns the person who signed in with the browser that sent a request without a
	// token. Without a session, or if the request comes from a page of another origin, it returns
	// a *domain.Error. If nil, people can't sign in.
	Person func(r *http.Request) (access.Person, error)
	// KeyNames contains the names of keys that are not in the event log, by ID.
	KeyNames map[string]string
	Clock    event.Clock
	IDs      event.IDs
	// Trace traces the mutations. If nil, they are not traced.
	Trace *trace.Tracer
	// Logger receives internal errors, each with the ID that its caller received. If
	// nil, nothing is logged.
	Logger *slog.Logger
	// Origins are the patterns of additional origins whose pages can open a WebSocket,
	// such as https://*.example.com. The API's own origin always can.
	Origins []string
	// Recheck is how often the key of an open stream is checked again. If zero, 250 ms.
	Recheck time.Duration
	// SlowAfter is how long a subscriber can take to read an update before its stream
	// is ended. If zero, 10 s.
	SlowAfter time.Duration
}

// Resolver resolves the fields of the schema.
type Resolver struct {
	opts    Options
	errors  errorPresenter
	feed    *feed   // of messages
	streams streams // the goroutines of subscriptions

	alertFeed   *feed
	inboundFeed *feed
	transitions *transitions
	figures     *figures
}

// cause returns the caller as the cause of a change.
func (r *Resolver) cause(ctx context.Context) event.Cause {
	c := callerOf(ctx)
	return event.Cause{By: c.actor(), CausationID: r.opts.IDs().String(), Traceparent: traceparentOf(ctx)}
}

// streams are the goroutines of subscriptions. One of gqlgen's goroutines can outlive its
// request and begin a subscription while the API closes.
type streams struct {
	mu      sync.Mutex // guards all fields below
	closed  bool
	running sync.WaitGroup
}

// run calls follow in a goroutine. Once the streams are closed, it calls follow itself:
// the context of the subscription has ended, so follow returns at once.
func (s *streams) run(follow func()) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.running.Go(follow)
	}
	s.mu.Unlock()
	if closed {
		follow()
	}
}

// close waits for all goroutines. The requests that started them must have ended.
func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}
