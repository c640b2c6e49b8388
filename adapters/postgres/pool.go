package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/waypost/waypost/app/fair"
)

// ReadModelSchema is the schema of the live read model.
const ReadModelSchema = "waypost"

const (
	// maxConns is enough for two projectors, the fetch loop, the heartbeat and a few
	// queries at once; more connections than cores only add memory.
	maxConns = 16

	connectTimeout = 10 * time.Second

	// maxConnIdle is how long a connection is kept without use. Each takes some MiB of Postgres.
	maxConnIdle = time.Minute
)

// Open connects to the Postgres that url names, with the live read model first in
// the search path. It fails if Postgres doesn't answer. The caller closes the pool.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return open(ctx, url, ReadModelSchema)
}

const (
	// queryConns is how many queries of callers run at a time. With more, each takes
	// longer, and so does Waypost's own work.
	queryConns = 8
	// queryConnsPerCaller is the maximum number of them for one caller.
	queryConnsPerCaller = 4
	// queriesWaiting is how many queries of one caller can wait: two pages of messages that
	// each need a query.
	queriesWaiting = 1_000
	// queryTimeout bounds a statement of a caller, and selectTimeout one that selects the
	// messages of a bulk operation while it records them.
	queryTimeout, selectTimeout = 15 * time.Second, 10 * time.Minute
)

// OpenQueries connects to the same Postgres for queries of callers: read-only, with a
// timeout for each statement, and with connections of its own, so that no query takes one
// from dispatch, the projections, or the vault. The caller closes it.
func OpenQueries(ctx context.Context, url string) (*Queries, error) {
	pool, err := openWith(ctx, url, ReadModelSchema, func(c *pgxpool.Config) {
		c.MaxConns = queryConns
		params := c.ConnConfig.RuntimeParams
		params["application_name"] = "waypost-queries"
		params["default_transaction_read_only"] = "on"
		params["statement_timeout"] = strconv.FormatInt(queryTimeout.Milliseconds(), 10)
	})
	if err != nil {
		return nil, err
	}
	return newQueries(pool, fair.Limits{Total: queryConns, PerKey: queryConnsPerCaller, Waiting: queriesWaiting}), nil
}

func open(ctx context.Context, url, schema string) (*pgxpool.Pool, error) {
	return openWith(ctx, url, schema, func(*pgxpool.Config) {})
}

func openWith(ctx context.Context, url, schema string, change func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the postgres url: %w", err)
	}
	config.MaxConns = maxConns
	config.MaxConnIdleTime = maxConnIdle
	config.ConnConfig.ConnectTimeout = connectTimeout
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{schema}.Sanitize()
	params["synchronous_commit"] = "off"
	params["timezone"] = "UTC"
	if params["application_name"] == "" {
		params["application_name"] = "waypost"
	}
	change(config)
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		pgxuuid.Register(c.TypeMap()) // without it each id travels through its text
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to postgres: %w", err)
	}
	return pool, nil
}
