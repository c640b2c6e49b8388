package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
)

// placeOrder does what the README shows. It inserts the program's own row and publishes a
// command to Waypost in one transaction, with Watermill's stock publisher.
func placeOrder(ctx context.Context, pool *pgxpool.Pool, id string, command []byte) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO orders (id) VALUES ($1)`, id); err != nil {
			return err
		}
		publisher, err := wsql.NewPublisher(wsql.TxFromPgx(tx), wsql.PublisherConfig{SchemaAdapter: wsql.PostgreSQLQueueSchema{}}, nil)
		if err != nil {
			return err
		}
		m := wm.NewMessage(id, command)
		m.SetContext(ctx)
		return publisher.Publish("waypost.commands", m)
	})
}

// userPostgres makes a user's Postgres with a table of orders the broker.
func userPostgres(t *testing.T, s *stores) *pgxpool.Pool {
	t.Helper()
	s.settings.Broker = postgrestest.New(t)
	pool, err := pgxpool.New(s.ctx, s.settings.Broker)
	must(t, err)
	t.Cleanup(pool.Close)
	_, err = pool.Exec(s.ctx, `CREATE TABLE orders (id text PRIMARY KEY)`)
	must(t, err)
	return pool
}

func TestProducerPublishesInItsOwnTransaction(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	pool := userPostgres(t, s)
	s.run()
	must(t, s.connect(1).Ping(s.ctx)) // the tables exist now

	must(t, placeOrder(s.ctx, pool, "1", commandOf("order-1", 1)))
	if err := placeOrder(s.ctx, pool, "1", commandOf("order-2", 2)); err == nil {
		t.Fatal("the same order was placed twice")
	}
	err := pgx.BeginFunc(s.ctx, pool, func(tx pgx.Tx) error {
		publisher, err := wsql.NewPublisher(wsql.TxFromPgx(tx), wsql.PublisherConfig{SchemaAdapter: wsql.PostgreSQLQueueSchema{}}, nil)
		must(t, err)
		must(t, publisher.Publish(broker.Commands, wm.NewMessage("3", commandOf("order-3", 3))))
		return errors.New("changed its mind")
	})
	if err == nil {
		t.Fatal("the transaction was committed")
	}
	_, err = pool.Exec(s.ctx, `INSERT INTO "watermill_waypost.commands" (payload) VALUES ($1)`, string(commandOf("order-4", 4)))
	must(t, err)
	polltest.Until(t, "both commands are recorded", func() bool { return len(s.queuedKeys()) == 2 })
	if keys := s.queuedKeys(); keys["order-1"] != 1 || keys["order-4"] != 1 {
		t.Errorf("recorded messages by key: %v", keys)
	}
}

// TestStockSubscribersReadEvents checks that a program that uses only Watermill can read
// the events from Postgres. Each group reads all events. Events that all groups have read
// are deleted.
func TestStockSubscribersReadEvents(t *testing.T) {
	t.Parallel()
	s := openStores(t)
	pool := userPostgres(t, s)
	must(t, s.connect(1).Ping(s.ctx))
	fillLog(s, 150)
	s.run()
	for _, group := range []string{"billing", "support"} {
		subscriber, err := wsql.NewSubscriber(wsql.BeginnerFromPgx(pool), wsql.SubscriberConfig{
			ConsumerGroup: group, PollInterval: 50 * time.Millisecond,
			SchemaAdapter: wsql.DefaultPostgreSQLSchema{}, OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{}, InitializeSchema: true,
		}, nil)
		must(t, err)
		messages, err := subscriber.Subscribe(s.ctx, broker.Events)
		must(t, err)
		seen := map[string]bool{}
		for len(seen) < 150 {
			select {
			case m := <-messages:
				seen[m.UUID] = true
				m.Ack()
			case <-s.ctx.Done():
				t.Fatalf("%s read %d events", group, len(seen))
			}
		}
		t.Cleanup(func() { must(t, subscriber.Close()) })
	}
	polltest.Until(t, "events that all groups have read are deleted", func() bool {
		var left int
		must(t, pool.QueryRow(s.ctx, `SELECT count(*) FROM "watermill_waypost.events"`).Scan(&left))
		return left <= 1 // the subscribers save their offset at the end of a batch
	})
}
