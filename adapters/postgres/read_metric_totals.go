package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
)

// MetricTotals returns the metrics of each sender since the start of the log.
func (r *ReadModel) MetricTotals(ctx context.Context, now time.Time) (map[string]query.Metrics, error) {
	epoch := time.Unix(0, 0).UTC()
	ids, err := collect[string](ctx, r.pool, `SELECT id FROM sender`)
	if err != nil {
		return nil, fmt.Errorf("read totals: %w", err)
	}
	totals := make(map[string]query.Metrics, len(ids))
	for _, id := range ids {
		totals[id] = query.Metrics{From: epoch, To: now, Latencies: query.LatencyHistogram{}}
	}
	var batch pgx.Batch
	batch.Queue(`SELECT m.sender, `+sumFigures+` FROM metric m WHERE m.width = 0 AND m.sender = ANY ($1)
			GROUP BY m.sender`, ids).Query(func(rows pgx.Rows) error {
		var id string
		var sums [figures]int64
		return eachRow(rows, append([]any{&id}, targets(&sums)...), func() {
			totals[id] = withFigures(totals[id], sums)
		})
	})
	batch.Queue(`SELECT m.sender, m.bucket, m.count FROM metric_latency m WHERE m.width = 0 AND m.sender = ANY ($1)`, ids).
		Query(func(rows pgx.Rows) error {
			var id string
			var bucket int
			var n int64
			return eachRow(rows, []any{&id, &bucket, &n}, func() { totals[id].Latencies[bucket] = n })
		})
	batch.Queue(`SELECT m.sender, m.class, m.category, m.code, m.count FROM metric_error m WHERE m.width = 0 AND m.sender = ANY ($1)`, ids).
		Query(func(rows pgx.Rows) error {
			var id string
			var f failureRow
			return eachRow(rows, append([]any{&id}, f.targets()...), func() {
				m := totals[id]
				m.Failures = append(m.Failures, f.count())
				totals[id] = m
			})
		})
	if err := r.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read totals: %w", err)
	}
	return totals, nil
}
