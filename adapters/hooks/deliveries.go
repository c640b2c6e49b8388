package hooks

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/query"
)

// keptFor is the retention period of deliveries.
const keptFor = 7 * 24 * time.Hour

// clearedAtOnce is the maximum number of deliveries that one statement deletes.
const clearedAtOnce = 10_000

// Deliveries stores the delivery log in Waypost's own Postgres.
type Deliveries struct {
	DeliveryReader

	pool *pgxpool.Pool
}

// NewDeliveries returns the delivery log in the database of pool. The caller owns pool.
func NewDeliveries(pool *pgxpool.Pool) *Deliveries { return &Deliveries{DeliveryReader{pool}, pool} }

// Add records a delivery. It ignores e.ID because the database assigns the ID.
func (d *Deliveries) Add(ctx context.Context, e query.HookDelivery) error {
	_, err := d.pool.Exec(ctx, `
		INSERT INTO waypost_egress.hook_delivery (hook, event, event_type, message, attempt, at, took_us, status, error, outcome)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.HookID, e.EventID, e.EventType, e.MessageID, e.Attempt, e.At, e.Took.Microseconds(), e.Status, e.Error, string(e.Outcome))
	if err != nil {
		return fmt.Errorf("record the delivery to outgoing webhook %s: %w", e.HookID, err)
	}
	return nil
}

// A DeliveryReader reads the delivery log.
type DeliveryReader struct{ from querier }

// A querier runs queries, for example a connection pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// NewDeliveryReader returns a reader that uses from. The caller owns from.
func NewDeliveryReader(from querier) *DeliveryReader { return &DeliveryReader{from} }

// HookDeliveries returns a page of up to first deliveries to a webhook, newest first. If
// before is not zero, only deliveries with a lower ID are returned. If failed is true, only
// failed deliveries are returned.
func (d *DeliveryReader) HookDeliveries(ctx context.Context, hookID string, failed bool, first int, before int64) (query.HookDeliveryPage, error) {
	rows, err := d.from.Query(ctx, `
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

// Clear deletes deliveries that are older than a week, up to clearedAtOnce of them. It
// returns whether there can be more.
func (d *Deliveries) Clear(ctx context.Context, now time.Time) (more bool, err error) {
	deleted, err := d.pool.Exec(ctx, `
		DELETE FROM waypost_egress.hook_delivery WHERE id IN (
			SELECT id FROM waypost_egress.hook_delivery WHERE at < $1 ORDER BY at LIMIT $2)`, now.Add(-keptFor), clearedAtOnce)
	if err != nil {
		return false, fmt.Errorf("delete old deliveries: %w", err)
	}
	return deleted.RowsAffected() == clearedAtOnce, nil
}
