package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/egress"
	"github.com/waypost/waypost/ports/ingest"
)

// patience limits each test, so that a hanging test is reported. A test takes seconds.
const patience = 10 * time.Minute

// TestMain runs the tests, or the edge if a test started this process to kill it.
func TestMain(m *testing.M) {
	if os.Getenv(edgeSettings) != "" {
		os.Exit(runEdge())
	}
	os.Exit(postgrestest.Main(m))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// stores are Waypost's own event store and Postgres. The tests of brokers never kill them.
type stores struct {
	tb       testing.TB
	ctx      context.Context
	settings settings
	log      *eventstore.Log
}

// settings are the settings of the edge. An edge in its own process receives them as JSON.
type settings struct {
	Broker, Eventstore, Postgres, Key string
	Personal                          bool
}

func openStores(tb testing.TB) *stores {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	server, err := eventstored.Open(ctx, eventstored.Options{Dir: tb.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	must(tb, err)
	closing(tb, server)
	s := &stores{tb: tb, ctx: ctx, settings: settings{
		Eventstore: server.URL(), Postgres: postgrestest.Migrated(tb), Key: filepath.Join(tb.TempDir(), "secret.key"),
	}}
	e := s.edge()
	s.log = e.log
	_, err = e.senders.Register(ctx, sender.Registration{
		ID: "shop", Name: "Shop", PhoneNumberID: "100200300400500", BusinessAccountID: "500400300200100", Rate: 80,
	}, "", event.Cause{By: domain.Platform("test")})
	must(tb, err)
	return s
}

// edge opens the edge in this process. It is closed when the test ends.
func (s *stores) edge() *edge {
	s.tb.Helper()
	e, err := openEdge(s.ctx, s.settings)
	must(s.tb, err)
	s.tb.Cleanup(e.close)
	return e
}

// run runs the edge in this process until stop is called.
func (s *stores) run() (stop func()) {
	s.tb.Helper()
	e := s.edge()
	return s.runPart(func(ctx context.Context) error { e.run(ctx); return nil })
}

// runPart runs a part of the edge until stop is called.
func (s *stores) runPart(part func(context.Context) error) (stop func()) {
	s.tb.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = part(ctx) }) // the error is ctx's
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); running.Wait() }) }
	s.tb.Cleanup(stop)
	return stop
}

// connect returns a connection to the broker for the producers and consumers of a test,
// separate from the edge's connection.
func (s *stores) connect(subscriptions int) *broker.Broker {
	s.tb.Helper()
	b, err := broker.Open(s.settings.Broker, broker.Options{Subscriptions: subscriptions, Redelivery: redelivery})
	must(s.tb, err)
	s.tb.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			s.tb.Log(err) // closing can fail if the server was killed
		}
	})
	return b
}

// queuedKeys returns the number of messages in the event log for each idempotency key.
func (s *stores) queuedKeys() map[string]int {
	s.tb.Helper()
	end, err := s.log.End(s.ctx)
	must(s.tb, err)
	keys := map[string]int{}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	err = s.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				if q, ok := e.Event.(message.Queued); ok {
					keys[q.Personal.IdempotencyKey]++
				}
			}
			if b.Position >= end || b.Live {
				cancel()
			}
			return nil
		})
	if ctx.Err() == nil {
		must(s.tb, err)
	}
	return keys
}

// counting counts the message events in the event log until the test ends.
func (s *stores) counting() *atomic.Int64 {
	s.tb.Helper()
	var n atomic.Int64
	s.tb.Cleanup(s.runPart(func(ctx context.Context) error {
		return s.log.Subscribe(ctx, event.Subscription{Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}}},
			func(_ context.Context, b event.Batch) error {
				n.Add(int64(len(b.Events)))
				return nil
			})
	}))
	return &n
}

// queuedEvent returns the Queued event of the n-th message.
func queuedEvent(n int) event.Proposed {
	return event.Proposed{
		ID: newID(), Event: message.Queued{
			Sender: "shop", Kind: message.KindText, Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
			Personal: message.QueuedPersonal{
				To: fmt.Sprintf("+1415555%04d", n%10_000), Content: json.RawMessage(`{"body":"Hello"}`), IdempotencyKey: fmt.Sprint("order-", n),
			},
		},
		Meta: event.Meta{RecordedAt: time.Now(), Sender: "shop", By: domain.Platform("test")},
	}
}

func closing(tb testing.TB, what interface{ Close(context.Context) error }) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, what.Close(ctx))
	})
}

// An edge is the part of Waypost that consumes from and publishes to a broker.
type edge struct {
	log     *eventstore.Log
	pool    *pgxpool.Pool
	senders *command.Senders
	broker  *broker.Broker
	intake  *ingest.Consumer
	egress  *egress.Publisher
}

// redelivery is short, so that the messages of a killed process are soon redelivered.
const redelivery = 2 * time.Second

func openEdge(ctx context.Context, s settings) (*edge, error) {
	codec, err := event.NewCodec(event.Types(), message.Types(), sender.Types())
	if err != nil {
		return nil, err
	}
	e := &edge{}
	if e.log, err = eventstore.Open(ctx, eventstore.Options{URL: s.Eventstore, Codec: codec}); err != nil {
		return nil, err
	}
	logID, err := e.log.EnsureOpened(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	if e.pool, err = postgres.Open(ctx, s.Postgres); err != nil {
		return nil, err
	}
	keys, err := vault.LoadOrMakeKeys(s.Key)
	if err != nil {
		return nil, err
	}
	messages := command.NewMessages(e.log, time.Now, newID, 1000)
	e.senders = command.NewSenders(e.log, time.Now, newID, vault.NewTokens(e.pool, keys, newID))
	if s.Broker == "" {
		return e, nil
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if os.Getenv("WAYPOST_TEST_VERBOSE") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if e.broker, err = broker.Open(s.Broker, broker.Options{Redelivery: redelivery, Logger: logger}); err != nil {
		return nil, err
	}
	e.intake = ingest.New(ingest.Options{
		Broker: e.broker, Commands: broker.Commands, Rejected: broker.Rejected, Parse: graph.NewCommandParser().Parse,
		Queue: command.NewQueueMessage(messages, e.senders, keys), Ping: e.log.Ping, IDs: newID, Logger: logger,
	})
	e.egress = egress.New(egress.Options{
		Broker: e.broker, Topic: broker.Events, Log: e.log, LogID: logID, Places: postgres.NewCheckpoints(e.pool), Name: "events",
		Start: egress.Start{Beginning: true}, Personal: s.Personal, MaxMessage: e.broker.MaxMessage(), Process: newID(), GroupKey: broker.GroupKey, Logger: logger,
	})
	return e, nil
}

func (e *edge) run(ctx context.Context) {
	var parts sync.WaitGroup
	for _, part := range []func(context.Context) error{e.intake.Run, e.egress.Run, e.broker.Run} {
		parts.Go(func() { _ = part(ctx) }) // the error is ctx's
	}
	parts.Wait()
}

func (e *edge) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if e.broker != nil {
		_ = e.broker.Close(ctx)
	}
	e.pool.Close()
	_ = e.log.Close(ctx)
}

// commandOf returns a command for the n-th recipient with an idempotency key.
func commandOf(key string, n int) []byte {
	raw, err := json.Marshal(map[string]any{
		"v": 1, "senderId": "shop", "to": fmt.Sprintf("+1415555%04d", n%10_000), "idempotencyKey": key,
		"content": map[string]any{"text": map[string]any{"body": "Hello " + key}},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

// largeCommand returns a valid command of a megabyte.
func largeCommand(key string) []byte {
	return append(commandOf(key, 1), []byte(strings.Repeat(" ", 1<<20))...)
}
