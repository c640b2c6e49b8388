package broker

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/waypost/waypost/migrations"
)

const (
	// topicsLock keeps two programs that start at once from migrating together; any
	// number does that differs from the user's own.
	topicsLock     = 0x7761790003
	topicsVersions = "waypost_broker_version"

	// postgresBatch is how many commands one subscription locks at once. What is
	// locked is in nobody else's reach, so it is kept small: a batch takes some 100 ms.
	postgresBatch = 20
	// spareConns are those beside the subscriptions': publishing, upkeep, a ping.
	spareConns = 6

	postgresConnectTimeout = 10 * time.Second
	// shortestPoll and longestPoll are the pauses after finding nothing. Subscriptions
	// look one after the other, so that with sixteen of them a command waits some 15 ms
	// on average; there is no LISTEN (ThreeDotsLabs/watermill#126), and a NOTIFY in the
	// producer's transaction would make all producers' commits wait for one another.
	shortestPoll = 20 * time.Millisecond
	longestPoll  = 500 * time.Millisecond
	pauseOnError = time.Second
	// clearAtOnce bounds how many events one round of upkeep deletes.
	clearAtOnce = 20_000
)

// postgres is the user's Postgres as a broker, over watermill-sql.
//
// Its stock subscribers are not used as they come. The queue schema's loses the rest
// of a batch when a handler passes the deadline or the subscriber is closed, locks
// without SKIP LOCKED, and counts in 32 bits; the offset schema's slows down with a
// backlog and with any long transaction in the cluster (see the review of
// ThreeDotsLabs/watermill-sql#22, where acks are serial on purpose). What takes
// their place is [commandSchema] and [ackWhatWasAcked].
type postgres struct {
	url        string
	pool       *pgxpool.Pool
	redelivery time.Duration
	logger     watermill.LoggerAdapter
	migrated   bool
}

func newPostgres(url string, o Options) (*postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the broker's URL is no valid postgres:// URL") // err would quote it
	}
	config.MaxConns = int32(o.Subscriptions) + spareConns
	config.ConnConfig.ConnectTimeout = postgresConnectTimeout
	if params := config.ConnConfig.RuntimeParams; params["application_name"] == "" {
		params["application_name"] = "waypost-broker"
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config) //nolint:forbidigo // it connects later, with the contexts of its callers
	if err != nil {
		return nil, fmt.Errorf("open the pool of connections: %w", err)
	}
	return &postgres{
		url: url, pool: pool, redelivery: o.Redelivery,
		logger: newClientLogger(o.Logger, "Postgres"),
	}, nil
}

// prepare makes the tables. Watermill's own way, CREATE TABLE IF NOT EXISTS when a
// topic is first used, fails when several processes do it at once.
func (p *postgres) prepare(ctx context.Context) error {
	if p.migrated {
		return p.pool.Ping(ctx)
	}
	db := stdlib.OpenDBFromPool(p.pool)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(topicsLock))
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations.Broker, "broker")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(topicsVersions),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("make the topics' tables: %w", err)
	}
	p.migrated = true
	return nil
}

func (p *postgres) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s, err := wsql.NewSubscriber(wsql.BeginnerFromPgx(p.pool), wsql.SubscriberConfig{
		SchemaAdapter:  commandSchema{},
		OffsetsAdapter: ackWhatWasAcked{},
		AckDeadline:    &p.redelivery, // an open transaction holds back vacuum
		ResendInterval: shortestPoll,  // it sleeps it through, whatever happens
		BackoffManager: &polling{},
	}, p.logger)
	if err != nil {
		return nil, err
	}
	return s.Subscribe(ctx, topic) // it ends with ctx; Close would do no more
}

func (p *postgres) publish(ctx context.Context, topic string, messages []*message.Message) error {
	publisher, err := wsql.NewPublisher(wsql.BeginnerFromPgx(p.pool), wsql.PublisherConfig{SchemaAdapter: commandSchema{}}, p.logger)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		messages[0].SetContext(ctx) // it is the one that the publisher goes by
	}
	return publisher.Publish(topic, messages...)
}

// concurrency is one: a batch is one statement, and events must become visible in
// their order.
func (p *postgres) concurrency() int { return 1 }

func (p *postgres) maxMessage() int { return 0 }

// upkeep deletes the events that every consumer group has read. Watermill keeps them
// for ever, and reading gets slower with each. With no group nothing is deleted.
func (p *postgres) upkeep(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `
		DELETE FROM "watermill_waypost.events" WHERE "offset" IN (
			SELECT "offset" FROM "watermill_waypost.events"
			WHERE "offset" <= (SELECT min(offset_acked) FROM "watermill_offsets_waypost.events")
			ORDER BY "offset" LIMIT $1)`, clearAtOnce)
	return err
}

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

// commandSchema is the form of a topic's table: that of migrations/broker.
type commandSchema struct{}

func table(topic string) string { return pgx.Identifier{"watermill_" + topic}.Sanitize() }

// InsertQuery inserts any number of messages by one prepared statement; Watermill's
// own makes a new one for each number, and at most 65,535 parameters.
func (commandSchema) InsertQuery(params wsql.InsertQueryParams) (wsql.Query, error) {
	ids, payloads, metadata := make([]string, len(params.Msgs)), make([]string, len(params.Msgs)), make([]string, len(params.Msgs))
	for i, m := range params.Msgs {
		encoded, err := json.Marshal(m.Metadata)
		if err != nil {
			return wsql.Query{}, fmt.Errorf("encode the metadata of message %s: %w", m.UUID, err)
		}
		ids[i], payloads[i], metadata[i] = m.UUID, string(m.Payload), string(encoded)
	}
	payload := "payload"
	if params.Topic == Events {
		payload = "payload::json"
	}
	return wsql.Query{
		Query: `INSERT INTO ` + table(params.Topic) + ` (uuid, payload, metadata)
			SELECT uuid, ` + payload + `, metadata::json
			FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS t (uuid, payload, metadata, n) ORDER BY n`,
		Args: []any{ids, payloads, metadata},
	}, nil
}

// SelectQuery locks the oldest messages that nobody else has in hand.
func (commandSchema) SelectQuery(params wsql.SelectQueryParams) (wsql.Query, error) {
	return wsql.Query{
		Query: `SELECT "offset", uuid, payload, metadata::text FROM ` + table(params.Topic) + `
			ORDER BY "offset" LIMIT $1 FOR UPDATE SKIP LOCKED`,
		Args: []any{postgresBatch},
	}, nil
}

// UnmarshalMessage reads a row and takes whatever stands in it: an error here would
// end the batch, and the row would be in front again for ever.
func (commandSchema) UnmarshalMessage(params wsql.UnmarshalMessageParams) (wsql.Row, error) {
	var (
		r                 wsql.Row
		id                string
		payload, metadata *string
	)
	if err := params.Row.Scan(&r.Offset, &id, &payload, &metadata); err != nil {
		return r, fmt.Errorf("read a message: %w", err)
	}
	if payload == nil {
		payload = new(string)
	}
	r.UUID, r.Payload = []byte(id), []byte(*payload)
	r.Msg = message.NewMessage(id, r.Payload)
	if metadata != nil && json.Unmarshal([]byte(*metadata), &r.Msg.Metadata) != nil {
		r.Msg.Metadata = message.Metadata{}
	}
	return r, nil
}

// SchemaInitializingQueries has none: migrations make the tables.
func (commandSchema) SchemaInitializingQueries(wsql.SchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// SubscribeIsolationLevel is read committed: rows are locked as they are read, and
// nothing can fail to serialize.
func (commandSchema) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelReadCommitted }

// ackWhatWasAcked deletes the messages up to the last one that was acknowledged. The
// stock adapter deletes all that were read, so that those behind a message that was
// not acknowledged are lost.
type ackWhatWasAcked struct{}

// AckMessageQuery deletes the rows up to the last that was acknowledged.
func (ackWhatWasAcked) AckMessageQuery(params wsql.AckMessageQueryParams) (wsql.Query, error) {
	var acked []int64
	for _, r := range params.Rows {
		if r.Offset <= params.LastRow.Offset {
			acked = append(acked, r.Offset)
		}
	}
	return wsql.Query{Query: `DELETE FROM ` + table(params.Topic) + ` WHERE "offset" = ANY($1::bigint[])`, Args: []any{acked}}, nil
}

// ConsumedMessageQuery has none.
func (ackWhatWasAcked) ConsumedMessageQuery(wsql.ConsumedMessageQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

// NextOffsetQuery has none: a message that stands in the table is yet to be read.
func (ackWhatWasAcked) NextOffsetQuery(wsql.NextOffsetQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

// SchemaInitializingQueries has none: migrations make the tables.
func (ackWhatWasAcked) SchemaInitializingQueries(wsql.OffsetsSchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// BeforeSubscribingQueries has none.
func (ackWhatWasAcked) BeforeSubscribingQueries(wsql.BeforeSubscribingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// polling is how long one subscription pauses: longer each time it finds nothing.
type polling struct{ pause time.Duration }

// HandleError answers the pause after a look at the table.
func (p *polling) HandleError(logger watermill.LoggerAdapter, noMsg bool, err error) time.Duration {
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		logger.Error("cannot read from the topic", err, nil)
		return pauseOnError
	case noMsg || err != nil:
		p.pause = min(max(2*p.pause, shortestPoll), longestPoll)
		return p.pause/2 + rand.N(p.pause) // subscriptions look at different times
	default:
		p.pause = 0
		return 0
	}
}
