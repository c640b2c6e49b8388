package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// reach is a sequence of spans of one width.
type reach struct {
	width        int16
	since, until time.Time
}

// reaches returns the spans that cover the time from the second of from until to: whole
// minutes as minutes, the rest per second. So a window of any length is about 120 rows plus
// its minutes. Before oldest, only minutes are available.
func reaches(from, to, oldest time.Time) []reach {
	from = from.Truncate(time.Second)
	if from.Before(oldest) {
		from = from.Truncate(time.Minute)
	}
	first, last := ceil(from, time.Minute), to.Truncate(time.Minute)
	if !first.Before(last) {
		return []reach{{widthSecond, from, to}}
	}
	return []reach{{widthSecond, from, first}, {widthMinute, first, last}, {widthSecond, last, to}}
}

func ceil(t time.Time, d time.Duration) time.Time {
	if floor := t.Truncate(d); floor.Before(t) {
		return floor.Add(d)
	}
	return t
}

func reachArgs(list []reach) []any {
	return []any{
		column(list, func(r reach) int16 { return r.width }),
		column(list, func(r reach) time.Time { return r.since }),
		column(list, func(r reach) time.Time { return r.until }),
	}
}

// within selects the spans of some senders within reaches: $1 has the senders, $2 to $4 the
// reaches. OFFSET keeps each to its range of the key. Otherwise the planner, which doesn't
// know how short the ranges are, would read the whole table.
func within(table string) string {
	return ` FROM unnest($1::text[]) AS s (id) CROSS JOIN unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[])
			AS r (width, since, until)
		CROSS JOIN LATERAL (SELECT * FROM ` + table + ` t
			WHERE t.sender = s.id AND t.width = r.width AND t.at >= r.since AND t.at < r.until OFFSET 0) m `
}

// sumFigures sums the columns of the table metric, in their order.
var sumFigures = func() string {
	sums := make([]string, figures)
	for f, name := range figureColumns {
		sums[f] = "coalesce(sum(m." + name + "), 0)::bigint"
	}
	return strings.Join(sums, ", ")
}()

// Metrics returns the metrics of the window that ends now, of a sender or of all.
func (r *ReadModel) Metrics(ctx context.Context, senderID *string, window time.Duration, now time.Time) (query.Metrics, error) {
	found, err := r.metrics(ctx, []string{orAll(senderID)}, now.Add(-window), now)
	if err != nil {
		return query.Metrics{}, err
	}
	m := found[orAll(senderID)]
	if err := r.addQueue(ctx, &m, senderID, now); err != nil {
		return query.Metrics{}, err
	}
	return m, nil
}

// SenderMetrics returns the metrics of the window that ends now for each of the senders,
// without the contents of their queues.
func (r *ReadModel) SenderMetrics(
	ctx context.Context, senderIDs []string, window time.Duration, now time.Time,
) (map[string]query.Metrics, error) {
	return r.metrics(ctx, senderIDs, now.Add(-window), now)
}

func orAll(senderID *string) string {
	if senderID == nil {
		return allSenders
	}
	return *senderID
}

// addQueue adds the contents of the queues at now.
func (r *ReadModel) addQueue(ctx context.Context, m *query.Metrics, senderID *string, now time.Time) error {
	var ids []string
	if senderID != nil {
		ids = []string{*senderID}
	}
	depths, err := r.QueueDepths(ctx, now, ids)
	if err != nil {
		return err
	}
	for _, d := range depths {
		m.QueueDepth += d.Depth
		m.Scheduled += d.Scheduled
		if d.OldestDueAge != nil && (m.OldestDueAge == nil || *d.OldestDueAge > *m.OldestDueAge) {
			m.OldestDueAge = d.OldestDueAge
		}
	}
	return nil
}

// metrics reads the metrics of a time span for some senders, in one round trip.
func (r *ReadModel) metrics(ctx context.Context, ids []string, from, to time.Time) (map[string]query.Metrics, error) {
	var batch pgx.Batch
	found := queueMetrics(&batch, ids, from, to)
	if err := r.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return found, nil
}

// queueMetrics adds the statements that read metrics to a batch. The result is complete once the
// batch was sent.
func queueMetrics(batch *pgx.Batch, ids []string, from, to time.Time) map[string]query.Metrics {
	found := make(map[string]query.Metrics, len(ids))
	for _, id := range ids {
		found[id] = query.Metrics{From: from, To: to, Latencies: query.LatencyHistogram{}}
	}
	args := append([]any{ids}, reachArgs(reaches(from, to, secondsSince(to)))...)
	batch.Queue(`SELECT m.sender, `+sumFigures+within("metric")+`GROUP BY m.sender`, args...).
		Query(func(rows pgx.Rows) error {
			var id string
			var sums [figures]int64
			return eachRow(rows, append([]any{&id}, targets(&sums)...), func() {
				found[id] = withFigures(found[id], sums)
			})
		})
	batch.Queue(`SELECT m.sender, m.bucket, sum(m.count)::bigint`+within("metric_latency")+`GROUP BY m.sender, m.bucket`, args...).
		Query(func(rows pgx.Rows) error {
			var id string
			var bucket int
			var n int64
			return eachRow(rows, []any{&id, &bucket, &n}, func() { found[id].Latencies[bucket] = n })
		})
	batch.Queue(`SELECT m.sender, sum(m.sent)::bigint, sum(m.delivered)::bigint`+within("metric_cohort")+`GROUP BY m.sender`, args...).
		Query(func(rows pgx.Rows) error {
			var id string
			var sent, delivered int64
			return eachRow(rows, []any{&id, &sent, &delivered}, func() {
				m := found[id]
				m.CohortSent, m.CohortDelivered = sent, delivered
				found[id] = m
			})
		})
	batch.Queue(`SELECT m.sender, m.class, m.category, m.code, sum(m.count)::bigint`+within("metric_error")+`
			GROUP BY m.sender, m.class, m.category, m.code ORDER BY 5 DESC, m.class, m.category, m.code`, args...).
		Query(func(rows pgx.Rows) error {
			var id string
			var f failureRow
			return eachRow(rows, append([]any{&id}, f.targets()...), func() {
				m := found[id]
				m.Failures = append(m.Failures, f.count())
				found[id] = m
			})
		})
	return found
}

// failureRow is a row of sums of the table metric_error.
type failureRow struct {
	class, category, code string
	n                     int64
}

func (f *failureRow) targets() []any { return []any{&f.class, &f.category, &f.code, &f.n} }

func (f *failureRow) count() query.FailureCount {
	c := query.FailureCount{Class: message.Class(f.class), Category: message.Category(f.category), Count: f.n}
	if code, err := strconv.Atoi(f.code); err == nil {
		c.Code = &code
	}
	return c
}

func targets(sums *[figures]int64) []any {
	list := make([]any, figures)
	for f := range sums {
		list[f] = &sums[f]
	}
	return list
}

func eachRow(rows pgx.Rows, into []any, do func()) error {
	_, err := pgx.ForEachRow(rows, into, func() error {
		do()
		return nil
	})
	return err
}

func withFigures(m query.Metrics, n [figures]int64) query.Metrics {
	m.Queued, m.Sent, m.Delivered, m.Read = n[figQueued], n[figSent], n[figDelivered], n[figRead]
	m.Failed, m.DeadLettered, m.Expired, m.Faults = n[figFailed], n[figDeadLettered], n[figExpired], n[figFaults]
	m.Overdue, m.Suppressed = n[figOverdue], n[figSuppressed]
	m.Retried, m.Throttled = n[figRetried], n[figThrottled]
	m.Ambiguous, m.Settled, m.SentTwice = n[figAmbiguous], n[figSettled], n[figSentTwice]
	m.Calls, m.Statuses = n[figCalls], n[figStatuses]
	m.LatencySum = time.Duration(n[figLatency]) * time.Microsecond
	m.LagSum = time.Duration(n[figLag]) * time.Microsecond
	m.QueueChange, m.Drained = n[figDueChange], n[figDrained]
	m.ScheduledChange = n[figScheduledChange]
	return m
}
