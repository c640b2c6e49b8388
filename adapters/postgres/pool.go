package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// ReadModelSchema is the schema of the live read model.
const ReadModelSchema = "waypost"

const (
	// maxConns is enough for two projectors, the fetch loop, the heartbeat and a few
	// queries at once; more connections than cores only add memory.
	maxConns = 16

	connectTimeout = 10 * time.Second
)

// Open connects to the Postgres that url names, with the live read model first in
// the search path. It fails if Postgres doesn't answer. The caller closes the pool.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	return open(ctx, url, ReadModelSchema)
}

func open(ctx context.Context, url, schema string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse the postgres url: %w", err)
	}
	config.MaxConns = maxConns
	config.ConnConfig.ConnectTimeout = connectTimeout
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{schema}.Sanitize()
	params["synchronous_commit"] = "off"
	params["timezone"] = "UTC"
	if params["application_name"] == "" {
		params["application_name"] = "waypost"
	}
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
