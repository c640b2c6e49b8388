package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
)

const (
	freshSchema = ReadModelSchema + "_fresh"
	oldSchema   = ReadModelSchema + "_old"
)

// RebuildOptions say what a rebuild reads.
type RebuildOptions struct {
	// URL is that of the Postgres, Log and LogID are those of the log.
	URL    string
	Log    event.Log
	LogID  string
	Logger *slog.Logger
}

// ErrRebuilding says that another rebuild is under way.
var ErrRebuilding = errors.New("another rebuild of the read model is under way: wait until it has ended")

// rebuildLock is as arbitrary as the locks of migrations.
const rebuildLock = 0x7761790003

// Rebuild projects the whole log into a fresh schema beside the live one and then puts
// it in the place of that, in one transaction: queries never see a half-built model.
// Projectors of the live model are fenced by the swap and have to be run again; what
// they had projected beyond the fresh position, they project again from there.
func Rebuild(ctx context.Context, o RebuildOptions) error {
	pool, err := Open(ctx, o.URL)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	// The lock goes with the connection, which is closed with the pool.
	defer conn.Release()
	var alone bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(rebuildLock)).Scan(&alone); err != nil {
		return fmt.Errorf("lock the rebuild: %w", err)
	}
	if !alone {
		return ErrRebuilding
	}
	// What an earlier rebuild left that was cut short.
	if err := dropSchemas(ctx, pool, freshSchema, oldSchema); err != nil {
		return err
	}
	if err := buildFresh(ctx, o); err != nil {
		return errors.Join(fmt.Errorf("rebuild the read model: %w", err), dropSchemas(context.WithoutCancel(ctx), pool, freshSchema))
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `ALTER SCHEMA `+ReadModelSchema+` RENAME TO `+oldSchema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `ALTER SCHEMA `+freshSchema+` RENAME TO `+ReadModelSchema)
		return err
	})
	if err != nil {
		return fmt.Errorf("put the rebuilt read model in place: %w", err)
	}
	// Apart from the swap: it waits for whoever still reads the old tables, and they
	// may wait for nothing that the swap holds.
	return dropSchemas(ctx, pool, oldSchema)
}

func dropSchemas(ctx context.Context, pool *pgxpool.Pool, schemas ...string) error {
	for _, schema := range schemas {
		if _, err := pool.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{schema}.Sanitize()+` CASCADE`); err != nil {
			return fmt.Errorf("drop the schema %s: %w", schema, err)
		}
	}
	return nil
}

func buildFresh(ctx context.Context, o RebuildOptions) error {
	if err := migrateReadModel(ctx, o.URL, freshSchema); err != nil {
		return err
	}
	pool, err := open(ctx, o.URL, freshSchema)
	if err != nil {
		return err
	}
	defer pool.Close()
	for _, g := range Groups() {
		p, err := NewProjector(ProjectorOptions{Group: g, Log: o.Log, Pool: pool, LogID: o.LogID, Logger: o.Logger})
		if err != nil {
			return err
		}
		if err := p.catchUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// errCaughtUp ends a subscription that has seen all that stood in the log.
var errCaughtUp = errors.New("caught up")

// catchUp projects what stands in the log and returns.
func (p *Projector) catchUp(ctx context.Context) error {
	position, err := p.Prepare(ctx)
	if err != nil {
		return err
	}
	err = p.options.Log.Subscribe(ctx, event.Subscription{
		After: position, Filter: event.Filter{Types: p.types}, MaxBatch: maxBatch,
	}, func(ctx context.Context, b event.Batch) error {
		if err := p.Apply(ctx, b); err != nil {
			return err
		}
		if b.Live {
			return errCaughtUp
		}
		return nil
	})
	if errors.Is(err, errCaughtUp) {
		return nil
	}
	return err
}

// Digest is a sum over all rows of a table, whatever their order.
type Digest struct {
	Table string
	Rows  int64
	Sum   string
}

// Digests answers the digest of each table of the read model but for positions: two
// models built from the same events have the same. They are of one snapshot.
func Digests(ctx context.Context, pool *pgxpool.Pool) ([]Digest, error) {
	var list []Digest
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		list = nil
		for _, table := range tables() {
			d := Digest{Table: table}
			// Numbers that no batching changes: a counter that went back to 0 is as none.
			sql := `SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM ` + pgx.Identifier{table}.Sanitize() + ` t`
			if table == "message_count" {
				sql += ` WHERE t.count <> 0`
			}
			if err := tx.QueryRow(ctx, sql).Scan(&d.Rows, &d.Sum); err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("digest the read model: %w", err)
	}
	return list, nil
}

func tables() []string {
	var names []string
	for _, f := range []fold{worklistFold(nil), messagesFold(), sendersFold()} {
		names = append(names, f.tables...)
	}
	return names
}
