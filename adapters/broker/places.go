package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/place"
)

// Places keeps the places of what leaves, in the platform's own Postgres. Leases go
// by that Postgres's clock alone.
type Places struct{ pool *pgxpool.Pool }

// NewPlaces keeps them in the database of pool, which belongs to the caller.
func NewPlaces(pool *pgxpool.Pool) *Places { return &Places{pool: pool} }

// Lease takes or renews the lease on a name for owner; false if another has it.
func (p *Places) Lease(ctx context.Context, name string, owner uuid.UUID, lasts time.Duration) (bool, error) {
	tag, err := p.pool.Exec(ctx, `
		INSERT INTO waypost_egress.place AS p (name, owner, leased_till)
		VALUES ($1, $2, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET owner = $2, leased_till = clock_timestamp() + $3
		WHERE p.owner IS NULL OR p.owner = $2 OR p.leased_till < clock_timestamp()`, name, owner, lasts)
	if err != nil {
		return false, fmt.Errorf("lease the place of %s: %w", name, err)
	}
	return tag.RowsAffected() == 1, nil
}

// Release gives the lease back, so that another need not wait for its end.
func (p *Places) Release(ctx context.Context, name string, owner uuid.UUID) error {
	_, err := p.pool.Exec(ctx, `UPDATE waypost_egress.place SET owner = NULL, leased_till = NULL WHERE name = $1 AND owner = $2`, name, owner)
	if err != nil {
		return fmt.Errorf("release the place of %s: %w", name, err)
	}
	return nil
}

// Place is where the work stands; the zero Place if it never began.
func (p *Places) Place(ctx context.Context, name string) (place.Place, error) {
	var (
		at       place.Place
		position int64
		recorded *time.Time
	)
	err := p.pool.QueryRow(ctx, `SELECT log_id, position, recorded_at FROM waypost_egress.place WHERE name = $1`, name).
		Scan(&at.LogID, &position, &recorded)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the place of %s: %w", name, err)
	}
	at.Position = event.Position(position)
	if recorded != nil {
		at.RecordedAt = *recorded
	}
	return at, nil
}

// Save moves the place. It fails with place.ErrLeaseLost if owner has no lease.
func (p *Places) Save(ctx context.Context, name string, owner uuid.UUID, at place.Place) error {
	var recorded *time.Time
	if !at.RecordedAt.IsZero() {
		recorded = &at.RecordedAt
	}
	tag, err := p.pool.Exec(ctx, `
		UPDATE waypost_egress.place SET log_id = $3, position = $4, recorded_at = $5
		WHERE name = $1 AND owner = $2 AND leased_till > clock_timestamp()`,
		name, owner, at.LogID, int64(at.Position), recorded)
	if err != nil {
		return fmt.Errorf("save the place of %s: %w", name, err)
	}
	if tag.RowsAffected() == 0 {
		return place.ErrLeaseLost
	}
	return nil
}
