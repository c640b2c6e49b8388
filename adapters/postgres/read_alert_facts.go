package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

const (
	// silenceLooksBack is the period in which the last status of a sender is searched for.
	// A rule's threshold is at most an hour.
	silenceLooksBack = 2 * time.Hour
	// explainedFailures is the number of failure types that an alert names.
	explainedFailures = 3
	// growthVolume is the number of due messages below which growth is not read.
	growthVolume = 10
)

// AlertFacts returns the facts about all senders at now that the read model has. The caller
// adds its lag, the disk, and the ledger.
func (r *ReadModel) AlertFacts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error) {
	f := alert.Facts{Senders: make(map[string]alert.SenderFacts), Rejected: make(map[time.Duration]int64)}
	var states []sender.Sender
	var limits []work.LimitUsage
	depths := make(map[string]query.QueueDepth)
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) {
		queueSenderStates(b, &states)
		queueDepths(b, depths, now, nil)
		queueLimits(b, &limits, now)
	}); err != nil {
		return f, fmt.Errorf("read senders, queues, and messaging limits of alerts: %w", err)
	}
	ids := []string{allSenders}
	facts := map[string]*alert.SenderFacts{allSenders: newSenderFacts()}
	for _, s := range states {
		ids = append(ids, s.ID)
		facts[s.ID] = newSenderFacts()
		addState(facts[s.ID], s, depths[s.ID])
	}
	if err := r.addOutages(ctx, facts, depths, now); err != nil {
		return f, err
	}
	addLimits(facts, limits)
	if err := r.addFlows(ctx, facts, needs, now); err != nil {
		return f, err
	}
	// The rest needs the senders.
	var batch pgx.Batch
	metrics := make(map[time.Duration]map[string]query.Metrics, len(needs.Windows))
	for window := range needs.Windows {
		metrics[window] = queueMetrics(&batch, ids, now.Add(-window), now)
	}
	queueSilence(&batch, facts, ids, now)
	for window := range needs.Rejected {
		batch.Queue(`SELECT coalesce(sum(count), 0)::bigint FROM waypost_run.webhook_rejection WHERE second >= $1`, now.Add(-window)).
			QueryRow(func(row pgx.Row) error {
				var n int64
				err := row.Scan(&n)
				f.Rejected[window] = n
				return err
			})
	}
	queueTemplates(&batch, &f, now)
	if err := r.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return f, fmt.Errorf("read metrics, statuses, rejected webhooks, and templates of alerts: %w", err)
	}
	for window, found := range metrics {
		for id, m := range found {
			facts[id].Windows[window] = windowFigures(m)
		}
	}
	for id, s := range facts {
		if id == allSenders {
			f.All = *s
			continue
		}
		f.Senders[id] = *s
	}
	return f, nil
}

// queueTemplates adds a statement to a batch that reads the paused templates and those with another category.
func queueTemplates(batch *pgx.Batch, f *alert.Facts, now time.Time) {
	batch.Queue(`SELECT state FROM template WHERE status IN ('PAUSED', 'DISABLED')
		OR changed_at IS NOT NULL OR state ->> 'Announced' <> '' ORDER BY account, name, language`).
		Query(func(rows pgx.Rows) error {
			var state []byte
			_, err := pgx.ForEachRow(rows, []any{&state}, func() error {
				var t template.Template
				if err := json.Unmarshal(state, &t); err != nil {
					return err
				}
				addTemplate(f, t, now)
				return nil
			})
			return err
		})
}

func addTemplate(f *alert.Facts, t template.Template, now time.Time) {
	if t.Stopped(now) {
		f.Paused = append(f.Paused, alert.PausedTemplate{
			Account: t.BusinessAccountID, Name: t.Name, Language: t.Language, Status: t.Status.Value, Reason: cmp.Or(t.ReasonDetail, t.Reason),
		})
	}
	if !t.Recategorized(now) {
		return
	}
	change := alert.RecategorizedTemplate{
		Account: t.BusinessAccountID, Name: t.Name, Language: t.Language, From: t.PreviousCategory, To: t.Category.Value,
	}
	if t.Announced != "" {
		change.From, change.To, change.Announced = t.Category.Value, t.Announced, true
	}
	f.Recategorized = append(f.Recategorized, change)
}

func newSenderFacts() *alert.SenderFacts {
	return &alert.SenderFacts{Windows: make(map[time.Duration]alert.Figures), Minutes: make(map[time.Duration][]alert.Flow)}
}

func addState(f *alert.SenderFacts, s sender.Sender, d query.QueueDepth) {
	f.Rate, f.Due = s.Rate, d.Depth
	if s.Hold != nil {
		f.Held = s.Hold.Message
	}
	f.QualityLow = s.Quality == sender.QualityRed
	for _, r := range s.Restrictions {
		f.Restrictions = append(f.Restrictions, r.Describe())
	}
	for _, l := range d.Lanes {
		if l.OldestDueAge == nil {
			continue
		}
		f.OldestDue = max(f.OldestDue, *l.OldestDueAge)
		if !s.Paused(string(l.Priority)) {
			f.OldestUnpaused = max(f.OldestUnpaused, *l.OldestDueAge)
		}
	}
}

// addLimits adds the use of messaging limits.
func addLimits(facts map[string]*alert.SenderFacts, limits []work.LimitUsage) {
	for id, l := range limitsBySender(limits) {
		f := facts[id]
		if f == nil {
			continue
		}
		f.Limit = &alert.Limit{Used: l.Used, People: l.People}
		if l.RefusedUntil != nil && l.RefusedCode != nil {
			f.Limit.Refused = strconv.Itoa(*l.RefusedCode)
		}
	}
}

// addOutages adds the open circuit breakers of senders with waiting messages. Without any, a breaker delays nothing.
func (r *ReadModel) addOutages(
	ctx context.Context, facts map[string]*alert.SenderFacts, depths map[string]query.QueueDepth, now time.Time,
) error {
	waiting := func(q query.QueueDepth) bool { return q.Depth+q.Scheduled > 0 }
	if !slices.ContainsFunc(slices.Collect(maps.Values(depths)), waiting) {
		return nil
	}
	lanes, err := r.Lanes(ctx)
	if err != nil {
		return err
	}
	for id, l := range lanes {
		if f := facts[id]; f != nil && l.Breaker != nil && waiting(depths[id]) {
			f.Outage = &alert.Outage{For: now.Sub(l.Breaker.Since), Failures: l.Breaker.Failures, LastFailure: l.Breaker.LastFailure}
		}
	}
	return nil
}

func windowFigures(m query.Metrics) alert.Figures {
	f := alert.Figures{Sent: m.Sent, Faults: m.Faults, Delivered: m.Delivered, Left: m.Drained - m.Expired}
	f.Average, _ = m.AverageLatency()
	f.P50, _ = m.Latencies.Percentile(0.50)
	f.P95, _ = m.Latencies.Percentile(0.95)
	f.Failures = explainFailures(m.Failures)
	return f
}

// explainFailures describes the most frequent failures, each code once.
func explainFailures(failures []query.FailureCount) []string {
	counts := make(map[string]int64)
	var codes []string // in the order of the failures, the most frequent first
	for _, failure := range failures {
		code := "without a code"
		if failure.Code != nil {
			code = "with code " + strconv.Itoa(*failure.Code)
		}
		if counts[code] == 0 {
			codes = append(codes, code)
		}
		counts[code] += failure.Count
	}
	lines := make([]string, min(len(codes), explainedFailures))
	for i := range lines {
		lines[i] = fmt.Sprintf("%d failed calls or statuses %s", counts[codes[i]], codes[i])
	}
	return lines
}

// addFlows reads how queues grew in each minute, for senders with a message that has waited
// for more than one. Usually there is none.
func (r *ReadModel) addFlows(ctx context.Context, facts map[string]*alert.SenderFacts, needs alert.Needs, now time.Time) error {
	var ids []string
	for id, s := range facts {
		if s.Due >= growthVolume && s.OldestDue > time.Minute {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	for window := range needs.Minutes {
		n := int(window / time.Minute)
		for _, id := range ids {
			facts[id].Minutes[window] = make([]alert.Flow, n)
		}
		end := now.Truncate(time.Second)
		rows, err := r.pool.Query(ctx, `SELECT m.sender, floor(extract(epoch FROM m.at - $2::timestamptz) / 60)::integer,
				sum(m.due_change + m.drained)::bigint, sum(m.drained)::bigint
			FROM unnest($1::text[]) AS s (id) JOIN metric m ON m.sender = s.id AND m.width = 1 AND m.at >= $2 AND m.at < $3
			GROUP BY 1, 2`, ids, end.Add(-window), end)
		if err != nil {
			return fmt.Errorf("read how queues grew: %w", err)
		}
		var id string
		var minute int
		var arrived, drained int64
		if err := eachRow(rows, []any{&id, &minute, &arrived, &drained}, func() {
			facts[id].Minutes[window][minute] = alert.Flow{Arrived: arrived, Drained: drained}
		}); err != nil {
			return fmt.Errorf("read how queues grew: %w", err)
		}
	}
	return nil
}

// queueSilence adds a statement to a batch that reads what was sent since the last status. The
// primary key leads backward from now to that: a few rows for a sender that receives statuses.
func queueSilence(batch *pgx.Batch, facts map[string]*alert.SenderFacts, ids []string, now time.Time) {
	batch.Queue(`SELECT s.id, coalesce(sum(m.sent), 0)::bigint, min(m.at)
		FROM unnest($1::text[]) AS s (id)
		CROSS JOIN LATERAL (SELECT coalesce((SELECT l.at FROM metric l
			WHERE l.sender = s.id AND l.width = 1 AND l.at >= $2 AND l.at <= $3 AND l.statuses > 0 ORDER BY l.at DESC LIMIT 1), $2) AS at) AS last
		JOIN metric m ON m.sender = s.id AND m.width = 1 AND m.at > last.at AND m.at <= $3 AND m.sent > 0
		GROUP BY s.id`, ids, now.Add(-silenceLooksBack), now).
		Query(func(rows pgx.Rows) error {
			var id string
			var sent int64
			var since *time.Time
			return eachRow(rows, []any{&id, &sent, &since}, func() {
				facts[id].Unanswered = sent
				if since != nil {
					facts[id].UnansweredFor = max(0, now.Sub(*since))
				}
			})
		})
}

// AddRejections counts webhooks received without a valid signature in the second of at, and
// deletes old counts.
func (l *Leases) AddRejections(ctx context.Context, at time.Time, n int) error {
	var batch pgx.Batch
	batch.Queue(`INSERT INTO waypost_run.webhook_rejection AS w (second, count) VALUES (date_trunc('second', $1::timestamptz), $2)
		ON CONFLICT (second) DO UPDATE SET count = w.count + excluded.count`, at, n)
	batch.Queue(`DELETE FROM waypost_run.webhook_rejection WHERE second < $1`, at.Add(-query.SecondsKept-time.Hour))
	if err := l.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("count rejected webhooks: %w", err)
	}
	return nil
}
