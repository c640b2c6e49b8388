package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
)

// Consumers of the log that store their position in Postgres are the groups of projections
// and the publishers to other systems (waypost_egress.place). The seeds of data keys also
// name a position; they can be newer than the end of the log, and have then sealed nothing
// in it.

// Consumer is a consumer of the log and the position that it has reached.
type Consumer struct {
	Name     string
	Position event.Position
	// RecordedAt is when the last event that it has seen was recorded, or zero if it has
	// seen none.
	RecordedAt time.Time
}

// consumerOf returns the name of a group of projections as a consumer of the log.
func consumerOf(g Group) string { return "projection " + string(g) }

// Consumers returns the consumers of a log that store their position in Postgres.
func Consumers(ctx context.Context, pool *pgxpool.Pool, logID string) ([]Consumer, error) {
	rows, err := pool.Query(ctx, `SELECT 'projection ' || name, position, recorded_at FROM `+ReadModelSchema+`.projection WHERE log_id = $1
		UNION ALL SELECT 'egress ' || name, position, recorded_at FROM waypost_egress.place WHERE log_id = $1 ORDER BY 1`, logID)
	if err != nil {
		return nil, fmt.Errorf("read the positions of the log's consumers: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Consumer, err error) {
		var recorded *time.Time
		if err = row.Scan(&c.Name, &c.Position, &recorded); recorded != nil {
			c.RecordedAt = *recorded
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the positions of the log's consumers: %w", err)
	}
	return list, nil
}

// LostMessages counts the messages that the read model knows and a log that ends at a
// position doesn't (gone), and those with part of their history missing from that log
// (rolledBack).
func LostMessages(ctx context.Context, pool *pgxpool.Pool, end event.Position) (gone, rolledBack int64, err error) {
	err = pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE queued_position > $1), count(*) FILTER (WHERE queued_position <= $1)
		FROM `+ReadModelSchema+`.message WHERE position > $1`, end).Scan(&gone, &rolledBack)
	if err != nil {
		return 0, 0, fmt.Errorf("count the messages that were lost: %w", err)
	}
	return gone, rolledBack, nil
}

// MoveConsumers moves the publishers to other systems from a log to the same log under
// another identity, which ends at a position. What was not published yet still will be. It
// moves the seeds of data keys too.
func MoveConsumers(ctx context.Context, pool *pgxpool.Pool, from, to string, end event.Position) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE waypost_egress.place SET log_id = $2, position = least(position, $3) WHERE log_id = $1`,
			from, to, end); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE waypost_vault.key_seed SET from_position = least(from_position, $1)`, end)
		return err
	})
	if err != nil {
		return fmt.Errorf("move the positions of the log's consumers: %w", err)
	}
	return nil
}

// Running returns the number of live processes of the installation.
func Running(ctx context.Context, pool *pgxpool.Pool) (n int, err error) {
	err = pool.QueryRow(ctx, `SELECT count(*) FROM waypost_run.process WHERE expires_at > clock_timestamp()`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the running processes: %w", err)
	}
	return n, nil
}
