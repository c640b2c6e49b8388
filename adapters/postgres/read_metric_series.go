package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
)

// MetricSeries returns the metrics of a sender, or of all, point by point: one for each step
// of the span, the last one ending with the span or before it. The caller has checked that
// the number of points is between one and the limit.
//
// Steps of whole minutes that start with a minute are read per minute, others per second.
// Data per second is not available for times more than query.SecondsKept back; a span of
// minutes that doesn't start with one is then cut at full minutes.
func (r *ReadModel) MetricSeries(
	ctx context.Context, senderID *string, from, to time.Time, step time.Duration, now time.Time,
) ([]query.Metrics, error) {
	points := make([]query.Metrics, to.Sub(from)/step)
	for i := range points {
		begin := from.Add(time.Duration(i) * step)
		points[i] = query.Metrics{From: begin, To: begin.Add(step), Latencies: query.LatencyHistogram{}}
	}
	to = from.Add(time.Duration(len(points)) * step) // the rest is no whole step
	width := int16(widthSecond)
	byMinute := step%time.Minute == 0 && (from.Equal(from.Truncate(time.Minute)) || from.Before(secondsSince(now)))
	if byMinute {
		width = widthMinute
	}
	// A span belongs to the point that it starts in. One that starts before the first point
	// and reaches into it belongs to that point.
	const place = `greatest(0, floor(extract(epoch FROM m.at - $3) / $5))::integer`
	const condition = ` m WHERE m.sender = $1 AND m.width = $2 AND m.at < $4
		AND m.at >= date_trunc(CASE $2 WHEN 60 THEN 'minute' ELSE 'second' END, $3::timestamptz) `
	known := to
	if now.Before(to) { // what becomes due later has not yet
		known = now
	}
	args := []any{orAll(senderID), width, from, known, step.Seconds()}

	var batch pgx.Batch
	batch.Queue(`SELECT `+place+`, `+sumFigures+` FROM metric`+condition+`GROUP BY 1`, args...).Query(func(rows pgx.Rows) error {
		var i int
		var sums [figures]int64
		return eachRow(rows, append([]any{&i}, targets(&sums)...), func() { points[i] = withFigures(points[i], sums) })
	})
	batch.Queue(`SELECT `+place+`, m.bucket, sum(m.count)::bigint FROM metric_latency`+condition+`GROUP BY 1, 2`, args...).
		Query(func(rows pgx.Rows) error {
			var i, bucket int
			var n int64
			return eachRow(rows, []any{&i, &bucket, &n}, func() { points[i].Latencies[bucket] = n })
		})
	// Deliveries after the point's end are not part of it, so a past point never changes.
	batch.Queue(`SELECT `+place+`, sum(m.sent)::bigint, sum(m.delivered)::bigint FROM metric_cohort`+condition+`
			AND floor(extract(epoch FROM m.recorded_at - $3) / $5) <= `+place+` GROUP BY 1`, args...).
		Query(func(rows pgx.Rows) error {
			var i int
			var sent, delivered int64
			return eachRow(rows, []any{&i, &sent, &delivered}, func() {
				points[i].CohortSent, points[i].CohortDelivered = sent, delivered
			})
		})
	batch.Queue(`SELECT `+place+`, m.class, m.category, m.code, sum(m.count)::bigint FROM metric_error`+condition+`
			GROUP BY 1, 2, 3, 4 ORDER BY 1, 5 DESC, 2, 3, 4`, args...).Query(func(rows pgx.Rows) error {
		var i int
		var f failureRow
		return eachRow(rows, append([]any{&i}, f.targets()...), func() { points[i].Failures = append(points[i].Failures, f.count()) })
	})
	if err := r.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read a series of metrics: %w", err)
	}
	return points, r.addLevels(ctx, points, senderID, now)
}

// addLevels computes levels from the changes of the queues, backward from the levels at now.
// Points that end later have the levels known now.
func (r *ReadModel) addLevels(ctx context.Context, points []query.Metrics, senderID *string, now time.Time) error {
	var level query.Metrics
	if err := r.addQueue(ctx, &level, senderID, now); err != nil {
		return err
	}
	depth, scheduled := level.QueueDepth, level.Scheduled
	if end := points[len(points)-1].To; end.Before(now) {
		since, err := r.metrics(ctx, []string{orAll(senderID)}, end, now)
		if err != nil {
			return err
		}
		m := since[orAll(senderID)]
		depth -= m.QueueChange
		scheduled -= m.ScheduledChange
	}
	for i := range slices.Backward(points) {
		p := &points[i]
		p.QueueDepth, p.Scheduled = depth, scheduled
		if p.From.Before(now) && now.Before(p.To) {
			p.OldestDueAge = level.OldestDueAge
		}
		depth -= p.QueueChange
		scheduled -= p.ScheduledChange
	}
	return nil
}
