package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/checkpoint"
	"github.com/waypost/waypost/app/event"
)

// Checkpoints stores the checkpoints of publishers in Waypost's own Postgres. Leases use
// only the clock of that Postgres.
type Checkpoints struct{ pool *pgxpool.Pool }

// NewCheckpoints returns Checkpoints in the database of pool. The caller owns pool.
func NewCheckpoints(pool *pgxpool.Pool) *Checkpoints { return &Checkpoints{pool: pool} }

// AcquireLease acquires or renews the lease on name for owner. It returns false if
// another owner holds the lease.
func (p *Checkpoints) AcquireLease(ctx context.Context, name string, owner uuid.UUID, lasts time.Duration) (bool, error) {
	tag, err := p.pool.Exec(ctx, `
		INSERT INTO waypost_egress.place AS p (name, owner, leased_till)
		VALUES ($1, $2, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET owner = $2, leased_till = clock_timestamp() + $3
		WHERE p.owner IS NULL OR p.owner = $2 OR p.leased_till < clock_timestamp()`, name, owner, lasts)
	if err != nil {
		return false, fmt.Errorf("acquire the lease on checkpoint %s: %w", name, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Release releases the lease, so that another owner doesn't have to wait until it expires.
func (p *Checkpoints) Release(ctx context.Context, name string, owner uuid.UUID) error {
	_, err := p.pool.Exec(ctx, `UPDATE waypost_egress.place SET owner = NULL, leased_till = NULL WHERE name = $1 AND owner = $2`, name, owner)
	if err != nil {
		return fmt.Errorf("release the lease on checkpoint %s: %w", name, err)
	}
	return nil
}

// Load returns the checkpoint of name, or the zero Checkpoint if none was saved yet.
func (p *Checkpoints) Load(ctx context.Context, name string) (checkpoint.Checkpoint, error) {
	var (
		at       checkpoint.Checkpoint
		position int64
		recorded *time.Time
	)
	err := p.pool.QueryRow(ctx, `SELECT log_id, position, recorded_at FROM waypost_egress.place WHERE name = $1`, name).
		Scan(&at.LogID, &position, &recorded)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("load checkpoint %s: %w", name, err)
	}
	at.Position = event.Position(position)
	if recorded != nil {
		at.RecordedAt = *recorded
	}
	return at, nil
}

// Save stores the checkpoint. It returns checkpoint.ErrLeaseLost if owner doesn't hold the lease.
func (p *Checkpoints) Save(ctx context.Context, name string, owner uuid.UUID, at checkpoint.Checkpoint) error {
	var recorded *time.Time
	if !at.RecordedAt.IsZero() {
		recorded = &at.RecordedAt
	}
	tag, err := p.pool.Exec(ctx, `
		UPDATE waypost_egress.place SET log_id = $3, position = $4, recorded_at = $5
		WHERE name = $1 AND owner = $2 AND leased_till > clock_timestamp()`,
		name, owner, at.LogID, int64(at.Position), recorded)
	if err != nil {
		return fmt.Errorf("save checkpoint %s: %w", name, err)
	}
	if tag.RowsAffected() == 0 {
		return checkpoint.ErrLeaseLost
	}
	return nil
}
