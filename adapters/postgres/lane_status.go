package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
)

// laneStatusTTL is how long a lane status is valid. Owners publish it every second.
const laneStatusTTL = 5 * time.Second

// PublishLaneStatus publishes the status of this process's lanes.
func (l *Leases) PublishLaneStatus(ctx context.Context, lanes map[string]query.LaneStatus) error {
	if len(lanes) == 0 {
		return nil
	}
	senders := sortedKeys(lanes, func(a, b string) int {
		if a < b {
			return -1
		}
		return 1
	})
	_, err := l.pool.Exec(ctx, `INSERT INTO waypost_run.lane_status (sender, effective_rate, throttled_until, next_probe_at, breaker, updated_at)
		SELECT s, rate, until, probe, breaker, clock_timestamp()
		FROM unnest($1::text[], $2::double precision[], $3::timestamptz[], $4::timestamptz[], $5::jsonb[]) AS u (s, rate, until, probe, breaker)
		ON CONFLICT (sender) DO UPDATE SET effective_rate = excluded.effective_rate, throttled_until = excluded.throttled_until,
			next_probe_at = excluded.next_probe_at, breaker = excluded.breaker, updated_at = excluded.updated_at`,
		senders,
		column(senders, func(s string) float64 { return lanes[s].EffectiveRate }),
		column(senders, func(s string) *time.Time { return lanes[s].ThrottledUntil }),
		column(senders, func(s string) *time.Time { return lanes[s].NextProbeAt }),
		column(senders, func(s string) *query.Breaker { return lanes[s].Breaker }))
	if err != nil {
		return fmt.Errorf("publish the lane status: %w", err)
	}
	return nil
}

// Lanes returns the status of the lanes whose owner published it recently.
func (r *ReadModel) Lanes(ctx context.Context) (map[string]query.LaneStatus, error) {
	rows, err := r.pool.Query(ctx, `SELECT sender, effective_rate, throttled_until, next_probe_at, breaker FROM waypost_run.lane_status
		WHERE updated_at > clock_timestamp() - $1::interval`, laneStatusTTL)
	if err != nil {
		return nil, fmt.Errorf("read the lane status: %w", err)
	}
	lanes := make(map[string]query.LaneStatus)
	var id string
	var s query.LaneStatus
	if _, err := pgx.ForEachRow(rows, []any{&id, &s.EffectiveRate, &s.ThrottledUntil, &s.NextProbeAt, &s.Breaker}, func() error {
		lanes[id] = s
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the lane status: %w", err)
	}
	return lanes, nil
}
