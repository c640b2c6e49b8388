package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// AcquireLeaderLease makes the process the one that does a duty, or extends its lease, until
// ttl from now by Postgres's clock. It returns false while another process holds the lease.
func (l *Leases) AcquireLeaderLease(ctx context.Context, duty string, process uuid.UUID, ttl time.Duration) (bool, error) {
	var mine bool
	err := l.durably(ctx, func(b *pgx.Batch) {
		b.Queue(`INSERT INTO waypost_run.duty AS d (name, owner, expires_at) VALUES ($1, $2, clock_timestamp() + $3::interval)
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
			WHERE d.owner = excluded.owner OR d.expires_at <= clock_timestamp()`, duty, process, ttl).
			Exec(func(tag pgconn.CommandTag) error {
				mine = tag.RowsAffected() == 1
				return nil
			})
	})
	if err != nil {
		return false, fmt.Errorf("acquire the duty %s: %w", duty, err)
	}
	return mine, nil
}

// ReleaseLeaderLease lets another process take a duty immediately.
func (l *Leases) ReleaseLeaderLease(ctx context.Context, duty string, process uuid.UUID) error {
	_, err := l.pool.Exec(ctx, `UPDATE waypost_run.duty SET expires_at = clock_timestamp() WHERE name = $1 AND owner = $2`, duty, process)
	if err != nil {
		return fmt.Errorf("release the duty %s: %w", duty, err)
	}
	return nil
}
