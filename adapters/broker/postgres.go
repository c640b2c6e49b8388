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
	// topicsLock is the ID of the lock that keeps two processes that start at the same
	// time from migrating concurrently. Any number works that the user doesn't use.
	topicsLock     = 0x7761790003
	topicsVersions = "waypost_broker_version"

	// postgresBatch is the number of commands that a subscription locks at a time. No
	// other subscription can read locked commands, so batches are small. One takes
	// about 100 ms.
	postgresBatch = 20
	// spareConns is the number of connections in addition to those of subscriptions. They
	// are used for publishing, maintenance, and pings.
	spareConns = 6

	postgresConnectTimeout = 10 * time.Second
	// shortestPoll and longestPoll limit the pause after a poll that found nothing.
	// Subscriptions poll at different times, so with 16 of them a command waits about
	// 15 ms on average. Watermill doesn't support LISTEN (ThreeDotsLabs/watermill#126),
	// and a NOTIFY in the producer's transaction would serialize the commits of all
	// producers.
	shortestPoll = 20 * time.Millisecond
	longestPoll  = 500 * time.Millisecond
	pauseOnError = time.Second
	// clearAtOnce is the maximum number of events that one maintain call deletes.
	clearAtOnce = 20_000
)

// postgres uses the user's Postgres as a broker, through watermill-sql.
//
// The stock subscribers are not used unchanged. The subscriber of the queue schema loses
// the rest of a batch when a handler exceeds the deadline or the subscriber is closed. It
// locks without SKIP LOCKED and counts in 32 bits. The subscriber of the offset schema
// slows down with a backlog and with any long transaction in the cluster (see the review
// of ThreeDotsLabs/watermill-sql#22, where acks are serial on purpose). [commandSchema]
// and [ackWhatWasAcked] replace their schemas.
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
		return nil, errors.New("invalid broker URL; use one like postgres://user:password@host:5432/database") // err would quote it
	}
	config.MaxConns = int32(o.Subscriptions) + spareConns
	config.ConnConfig.ConnectTimeout = postgresConnectTimeout
	if params := config.ConnConfig.RuntimeParams; params["application_name"] == "" {
		params["application_name"] = "waypost-broker"
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config) //nolint:forbidigo // it connects later, with the callers' contexts
	if err != nil {
		return nil, fmt.Errorf("create the connection pool: %w", err)
	}
	return &postgres{
		url: url, pool: pool, redelivery: o.Redelivery,
		logger: newClientLogger(o.Logger, "Postgres"),
	}, nil
}

// prepare creates the tables. Watermill would run CREATE TABLE IF NOT EXISTS when a topic
// is first used, which fails if several processes do so at the same time.
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
		return fmt.Errorf("create the topic tables: %w", err)
	}
	p.migrated = true
	return nil
}

func (p *postgres) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s, err := wsql.NewSubscriber(wsql.BeginnerFromPgx(p.pool), wsql.SubscriberConfig{
		SchemaAdapter:  commandSchema{},
		OffsetsAdapter: ackWhatWasAcked{},
		AckDeadline:    &p.redelivery, // an open transaction holds back vacuum
		ResendInterval: shortestPoll,  // the subscriber always sleeps for all of it
		BackoffManager: &polling{},
	}, p.logger)
	if err != nil {
		return nil, err
	}
	return s.Subscribe(ctx, topic) // it ends with ctx; Close has no further effect
}

func (p *postgres) publish(ctx context.Context, topic string, messages []*message.Message) error {
	publisher, err := wsql.NewPublisher(wsql.BeginnerFromPgx(p.pool), wsql.PublisherConfig{SchemaAdapter: commandSchema{}}, p.logger)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		messages[0].SetContext(ctx) // the publisher uses the context of the first message
	}
	return publisher.Publish(topic, messages...)
}

// concurrency returns 1 because a batch is one statement and events must become visible
// in order.
func (p *postgres) concurrency() int { return 1 }

func (p *postgres) maxMessage() int { return 0 }

// maintain deletes events that all consumer groups have read. Watermill keeps them
// forever, and each of them slows down reading. If there is no group, maintain deletes
// nothing.
func (p *postgres) maintain(ctx context.Context) error {
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

// commandSchema is the schema of a topic's table, as created by migrations/broker.
type commandSchema struct{}

func table(topic string) string { return pgx.Identifier{"watermill_" + topic}.Sanitize() }

// InsertQuery returns one prepared statement that inserts any number of messages.
// Watermill's own query needs a statement for each number of messages and is limited to
// 65,535 parameters.
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

// SelectQuery returns a query that locks the oldest messages that aren't locked yet.
func (commandSchema) SelectQuery(params wsql.SelectQueryParams) (wsql.Query, error) {
	return wsql.Query{
		Query: `SELECT "offset", uuid, payload, metadata::text FROM ` + table(params.Topic) + `
			ORDER BY "offset" LIMIT $1 FOR UPDATE SKIP LOCKED`,
		Args: []any{postgresBatch},
	}, nil
}

// UnmarshalMessage reads a row and accepts any content. An error would end the batch,
// and the row would be the first one of every later batch.
func (commandSchema) UnmarshalMessage(params wsql.UnmarshalMessageParams) (wsql.Row, error) {
	var (
		r                 wsql.Row
		id                string
		payload, metadata *string
	)
	if err := params.Row.Scan(&r.Offset, &id, &payload, &metadata); err != nil {
		return r, fmt.Errorf("read a message row: %w", err)
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

// SchemaInitializingQueries returns no queries because migrations create the tables.
func (commandSchema) SchemaInitializingQueries(wsql.SchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// SubscribeIsolationLevel returns read committed. Rows are locked when they are read, so
// there are no serialization failures.
func (commandSchema) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelReadCommitted }

// ackWhatWasAcked deletes messages up to the last acknowledged one. The stock adapter
// deletes all messages that were read, so it loses those after an unacknowledged message.
type ackWhatWasAcked struct{}

// AckMessageQuery returns a query that deletes the rows up to the last acknowledged one.
func (ackWhatWasAcked) AckMessageQuery(params wsql.AckMessageQueryParams) (wsql.Query, error) {
	var acked []int64
	for _, r := range params.Rows {
		if r.Offset <= params.LastRow.Offset {
			acked = append(acked, r.Offset)
		}
	}
	return wsql.Query{Query: `DELETE FROM ` + table(params.Topic) + ` WHERE "offset" = ANY($1::bigint[])`, Args: []any{acked}}, nil
}

// ConsumedMessageQuery returns no query.
func (ackWhatWasAcked) ConsumedMessageQuery(wsql.ConsumedMessageQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

// NextOffsetQuery returns no query because every message in the table is still unread.
func (ackWhatWasAcked) NextOffsetQuery(wsql.NextOffsetQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

// SchemaInitializingQueries returns no queries because migrations create the tables.
func (ackWhatWasAcked) SchemaInitializingQueries(wsql.OffsetsSchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// BeforeSubscribingQueries returns no queries.
func (ackWhatWasAcked) BeforeSubscribingQueries(wsql.BeforeSubscribingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// polling computes the pauses of one subscription. They grow with each poll that finds
// nothing.
type polling struct{ pause time.Duration }

// HandleError returns the pause after a poll.
func (p *polling) HandleError(logger watermill.LoggerAdapter, noMsg bool, err error) time.Duration {
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		logger.Error("failed to read from the topic", err, nil)
		return pauseOnError
	case noMsg || err != nil:
		p.pause = min(max(2*p.pause, shortestPoll), longestPoll)
		return p.pause/2 + rand.N(p.pause) // so that subscriptions poll at different times
	default:
		p.pause = 0
		return 0
	}
}
