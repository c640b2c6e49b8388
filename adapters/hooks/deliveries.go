package hooks

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/query"
)

// keptFor is how long deliveries are kept.
const keptFor = 7 * 24 * time.Hour

// clearedAtOnce bounds how many one statement deletes.
const clearedAtOnce = 10_000

// Deliveries is the log of deliveries, in the platform's own Postgres.
type Deliveries struct{ pool *pgxpool.Pool }

// NewDeliveries keeps it in the database of pool, which belongs to the caller.
func NewDeliveries(pool *pgxpool.Pool) *Deliveries { return &Deliveries{pool: pool} }

// Add keeps a delivery; its ID is given here.
func (d *Deliveries) Add(ctx context.Context, e query.HookDelivery) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO waypost_egress.hook_delivery (hook, event, event_type, message, attempt, at, took_us, status, error, outcome)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.HookID, e.EventID, e.EventType, e.MessageID, e.Attempt, e.At, e.Took.Microseconds(), e.Status, e.Error, string(e.Outcome))
	if err != nil {
		return fmt.Errorf("keep the delivery to outgoing webhook %s: %w", e.HookID, err)
	}
	return nil
}

// HookDeliveries answers a page of deliveries, the latest first, before an id if one
// is given, and only those that failed if failed is set.
func (d *Deliveries) HookDeliveries(ctx context.Context, hookID string, failed bool, first int, before int64) (query.HookDeliveryPage, error) {
	rows, err := d.pool.Query(ctx, `
		SELECT id, hook, event, event_type, message, attempt, at, took_us, status, error, outcome
		FROM waypost_egress.hook_delivery
		WHERE hook = $1 AND ($2 = 0 OR id < $2) AND (NOT $3 OR outcome <> 'DELIVERED')
		ORDER BY id DESC LIMIT $4`, hookID, before, failed, first+1)
	if err != nil {
		return query.HookDeliveryPage{}, fmt.Errorf("read the deliveries to outgoing webhook %s: %w", hookID, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e query.HookDelivery, err error) {
		var took int64
		err = row.Scan(&e.ID, &e.HookID, &e.EventID, &e.EventType, &e.MessageID, &e.Attempt, &e.At, &took, &e.Status, &e.Error, &e.Outcome)
		e.Took = time.Duration(took) * time.Microsecond
		return e, err
	})
	if err != nil {
		return query.HookDeliveryPage{}, fmt.Errorf("read the deliveries to outgoing webhook %s: %w", hookID, err)
	}
	page := query.HookDeliveryPage{Deliveries: all}
	if page.HasNextPage = len(all) > first; page.HasNextPage {
		page.Deliveries = all[:first]
	}
	return page, nil
}

// Clear deletes what is older than a week.
func (d *Deliveries) Clear(ctx context.Context, now time.Time) error {
	_, err := d.pool.Exec(ctx, `
		DELETE FROM waypost_egress.hook_delivery WHERE id IN (
			SELECT id FROM waypost_egress.hook_delivery WHERE at < $1 ORDER BY at LIMIT $2)`, now.Add(-keptFor), clearedAtOnce)
	if err != nil {
		return fmt.Errorf("clear old deliveries: %w", err)
	}
	return nil
}
