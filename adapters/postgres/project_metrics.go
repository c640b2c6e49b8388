package postgres

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// figure is a column of the table metric.
type figure int

const (
	figQueued figure = iota
	figSent
	figDelivered
	figRead
	figFailed
	figDeadLettered
	figExpired
	figFaults
	figRetried
	figThrottled
	figAmbiguous
	figSettled
	figSentTwice
	figCalls
	figStatuses
	figLatency
	figLag
	figDueChange
	figDrained
	figScheduledChange
	figOverdue
	figSuppressed
	figures // the number of figures
)

// figureColumns are the names of the columns.
var figureColumns = [figures]string{
	"queued", "sent", "delivered", "read", "failed", "dead_lettered", "expired", "faults", "retried", "throttled",
	"ambiguous", "settled", "sent_twice", "calls", "statuses", "latency_us", "lag_us", "due_change", "drained",
	"scheduled_change", "overdue", "suppressed",
}

// Widths of the spans that metrics are stored for, in seconds.
const (
	widthAll    = 0 // all time
	widthSecond = 1
	widthMinute = 60
)

// allSenders is the name under which the metrics of all senders together are stored. No
// sender has it, because IDs are not empty.
const allSenders = ""

// metricTables returns the tables of metrics. They are written together with those of
// messages, because metrics count changes of messages, and only the row shows whether an
// event changes it.
func metricTables() []string {
	return []string{"metric", "metric_latency", "metric_cohort", "metric_error"}
}

// span is a time span of a sender. It is a map key, so its time is a number: equal instants
// can differ as values of time.Time.
type span struct {
	sender string
	width  int16
	at     int64 // Unix time, in seconds
}

// secondOf returns the second of a sender that contains an instant.
func secondOf(sender string, at time.Time) span { return span{sender, widthSecond, at.Unix()} }

type (
	latencyKey struct {
		span
		bucket int16
	}
	cohortKey struct {
		span
		recordedAt int64
	}
	errorKey struct {
		span
		class, category, code string
	}
)

// tally is what a batch adds to the metrics.
type tally struct {
	counts    map[span]*[figures]int64
	latencies map[latencyKey]int64
	cohorts   map[cohortKey]*[2]int64 // sent, delivered
	errors    map[errorKey]int64
	newest    time.Time
}

func newTally() *tally {
	return &tally{
		counts: make(map[span]*[figures]int64), latencies: make(map[latencyKey]int64),
		cohorts: make(map[cohortKey]*[2]int64), errors: make(map[errorKey]int64),
	}
}

// standing is the part of a message's state before an event that metrics depend on.
type standing struct {
	status                message.Status
	calls                 int
	sent, delivered, read bool
}

func (row *messageRow) standing() standing {
	return standing{
		status: row.Status, calls: row.Calls, sent: row.SentAt != nil,
		delivered: row.DeliveredAt != nil || row.ReadAt != nil, read: row.ReadAt != nil,
	}
}

// add counts the changes that an event makes to a message.
func (t *tally) add(r event.Recorded, e message.Event, before standing, row *messageRow) {
	at := r.Meta.RecordedAt
	if at.After(t.newest) {
		t.newest = at
	}
	count := func(f figure) { t.count(row.SenderID, at, f, 1) }
	switch e := e.(type) {
	case message.Queued:
		count(figQueued)
	case message.Sent:
		t.addSent(e, at, before, row)
	case message.Confirmed:
		t.addStatus(row.SenderID, at, e.At)
	case message.Delivered:
		t.addStatus(row.SenderID, at, e.At)
		if !before.delivered {
			t.addDelivery(row, at, e.At.Sub(e.CalledAt))
		}
	case message.Read:
		t.addStatus(row.SenderID, at, e.At)
		if !before.delivered {
			t.addDelivery(row, at, e.At.Sub(e.CalledAt))
		}
		if !before.read {
			count(figRead)
		}
	case message.DeliveryOverdue:
		count(figOverdue)
	case message.Failed:
		t.addFailure(row.SenderID, at, e.Failure.Class, string(e.Failure.Category), e.Failure.Code)
		if e.AfterAcceptance {
			t.addStatus(row.SenderID, at, e.At)
		} else if e.Call > 0 {
			count(figCalls)
			if e.Failure.Class == message.ClassThrottled {
				count(figThrottled)
			}
		}
	case message.RetryScheduled:
		count(figRetried)
	case message.Deferred:
		t.addDeferral(row.SenderID, at, e)
	case message.OutcomeUnknown:
		count(figCalls)
		count(figAmbiguous)
	case message.DeadLettered:
		if e.Failure.Category == message.CategoryUnsettled { // no Failed precedes it
			t.addFailure(row.SenderID, at, e.Failure.Class, string(e.Failure.Category), e.Failure.Code)
		}
	}
	t.addTransition(at, before, row)
	t.addFlow(r, e, before, row)
}

func (t *tally) addSent(e message.Sent, at time.Time, before standing, row *messageRow) {
	last := e.Call == before.calls // of the calls so far
	lost := before.status == message.StatusAmbiguous && last
	switch {
	case e.By == message.ByAnswer && last && !lost, // a response after the deadline was counted as lost
		e.By == message.ByStatus && before.status == message.StatusSending && last:
		t.count(row.SenderID, at, figCalls, 1)
	case e.By == message.ByStatus && (!before.sent || e.Again):
		t.count(row.SenderID, at, figSettled, 1)
	}
	if e.Again {
		t.count(row.SenderID, at, figSentTwice, 1)
	}
	if before.sent {
		return
	}
	t.count(row.SenderID, at, figSent, 1)
	t.cohort(row.SenderID, e.At, at)[0]++
}

func (t *tally) addStatus(sender string, at, reportedAt time.Time) {
	t.count(sender, at, figStatuses, 1)
	if !reportedAt.IsZero() {
		t.count(sender, at, figLag, min(max(0, at.Sub(reportedAt)), maxLatency).Microseconds())
	}
}

func (t *tally) addDelivery(row *messageRow, at time.Time, latency time.Duration) {
	latency = min(max(0, latency), maxLatency) // WhatsApp's times are whole seconds
	t.count(row.SenderID, at, figDelivered, 1)
	t.count(row.SenderID, at, figLatency, latency.Microseconds())
	t.latencies[latencyKey{secondOf(row.SenderID, at), int16(query.LatencyBucket(latency))}]++
	if row.SentAt != nil {
		t.cohort(row.SenderID, *row.SentAt, at)[1]++
	}
}

func (t *tally) addDeferral(sender string, at time.Time, e message.Deferred) {
	class, category := message.Class(""), message.Category("")
	switch e.Reason {
	case message.DeferNotCalled, message.DeferWindowUncertain, message.DeferCampaignPaused:
		return
	case message.DeferThrottled:
		class, category = message.ClassThrottled, message.CategoryRateLimit
	case message.DeferPair:
		class, category = message.ClassThrottled, message.CategoryPairRateLimit
	case message.DeferSenderHeld:
		class, category = message.ClassSender, message.CategoryAuth
	case message.DeferProbeFailed:
		class, category = message.ClassTransient, message.CategoryNetwork
	case message.DeferMessagingLimit:
		if e.Code == nil {
			return // no call was made
		}
		class, category = message.ClassThrottled, message.CategoryPolicy
	case message.DeferTemplateHeld:
		if e.Code == nil {
			return // no call was made
		}
		class, category = message.ClassPermanent, message.CategoryTemplate
	}
	if e.Code != nil {
		category = "" // the code determines it
	}
	t.count(sender, at, figCalls, 1)
	if class == message.ClassThrottled {
		t.count(sender, at, figThrottled, 1)
	}
	t.addFailure(sender, at, class, string(category), e.Code)
}

func (t *tally) addFailure(sender string, at time.Time, class message.Class, category string, code *int) {
	key := errorKey{span: secondOf(sender, at), class: string(class), category: category}
	if code != nil {
		key.code = strconv.Itoa(*code)
	}
	t.errors[key]++
}

// addTransition counts the ends of messages.
func (t *tally) addTransition(at time.Time, before standing, row *messageRow) {
	if row.Status == before.status {
		return
	}
	fault := row.Failure == nil || !row.Failure.PolicyCap()
	switch row.Status {
	case message.StatusFailed:
		t.count(row.SenderID, at, figFailed, 1)
	case message.StatusDeadLettered:
		t.count(row.SenderID, at, figDeadLettered, 1)
	case message.StatusExpired:
		t.count(row.SenderID, at, figExpired, 1)
		return
	case message.StatusSuppressed:
		t.count(row.SenderID, at, figSuppressed, 1)
		return
	default:
		return
	}
	if fault {
		t.count(row.SenderID, at, figFaults, 1)
	}
}

// addFlow tracks due and scheduled messages. A message that waits for its sendAt becomes due
// without an event, so that change is counted in advance, in the span of its sendAt, and
// undone there if the message ends before.
func (t *tally) addFlow(r event.Recorded, e message.Event, before standing, row *messageRow) {
	at := r.Meta.RecordedAt
	waits := row.SendAt != nil && row.SendAt.After(at) && row.Calls == 0
	if _, queued := e.(message.Queued); queued && waits {
		t.count(row.SenderID, at, figScheduledChange, 1)
		t.count(row.SenderID, *row.SendAt, figScheduledChange, -1)
		t.count(row.SenderID, *row.SendAt, figDueChange, 1)
		return
	}
	open := row.Status.Open()
	switch {
	case open == before.status.Open():
	case open:
		t.count(row.SenderID, at, figDueChange, 1)
	case waits:
		t.count(row.SenderID, at, figScheduledChange, -1)
		t.count(row.SenderID, *row.SendAt, figScheduledChange, 1)
		t.count(row.SenderID, *row.SendAt, figDueChange, -1)
	default:
		t.count(row.SenderID, at, figDueChange, -1)
		t.count(row.SenderID, at, figDrained, 1)
	}
}

func (t *tally) count(sender string, at time.Time, f figure, n int64) {
	key := secondOf(sender, at)
	row := t.counts[key]
	if row == nil {
		row = new([figures]int64)
		t.counts[key] = row
	}
	row[f] += n
}

func (t *tally) cohort(sender string, sentAt, recordedAt time.Time) *[2]int64 {
	key := cohortKey{secondOf(sender, sentAt), recordedAt.Unix()}
	c := t.cohorts[key]
	if c == nil {
		c = new([2]int64)
		t.cohorts[key] = c
	}
	return c
}

// spans returns the spans that a second of a sender contributes to.
func (s span) spans() [5]span {
	minute := s.at - s.at%widthMinute
	return [5]span{
		s,
		{allSenders, widthSecond, s.at},
		{s.sender, widthMinute, minute},
		{allSenders, widthMinute, minute},
		{s.sender, widthAll, 0},
	}
}

func (s span) compare(o span) int {
	return cmp.Or(cmp.Compare(s.width, o.width), cmp.Compare(s.sender, o.sender), cmp.Compare(s.at, o.at))
}

// kept reports whether a span is stored at the time of an event: seconds are stored for the
// last hours only.
func (s span) kept(now int64) bool {
	return s.width != widthSecond || s.at >= secondsSince(time.Unix(now, 0)).Unix()
}

// secondsSince returns the time since which metrics are stored per second, given the time of
// the newest event.
func secondsSince(now time.Time) time.Time { return now.Truncate(time.Minute).Add(-query.SecondsKept) }

// write adds the tally to the metrics.
func (t *tally) write(writes *pgx.Batch) {
	t.writeCounts(writes)
	t.writeLatencies(writes)
	t.writeCohorts(writes)
	t.writeErrors(writes)
}

func (t *tally) writeCounts(writes *pgx.Batch) {
	if len(t.counts) == 0 {
		return
	}
	sums := make(map[span]*[figures]int64, 3*len(t.counts))
	for second, counts := range t.counts {
		for _, s := range second.spans() {
			sum := sums[s]
			if sum == nil {
				sum = new([figures]int64)
				sums[s] = sum
			}
			for f, n := range counts {
				sum[f] += n
			}
		}
	}
	keys := sortedKeys(sums, span.compare)
	args := spanColumns(keys, func(s span) span { return s })
	for f := range figures {
		args = append(args, column(keys, func(s span) int64 { return sums[s][f] }))
	}
	writes.Queue(addFigures, args...)
}

// addFigures is the statement that adds to the table metric.
var addFigures = func() string {
	names, arrays, sums := "sender, width, at", "$1::text[], $2::smallint[], $3::timestamptz[]", ""
	for f, name := range figureColumns {
		names += ", " + name
		arrays += ", $" + strconv.Itoa(f+4) + "::bigint[]"
		if f > 0 {
			sums += ", "
		}
		sums += name + " = m." + name + " + excluded." + name
	}
	return `INSERT INTO metric AS m (` + names + `) SELECT ` + names + ` FROM unnest(` + arrays + `) AS u (` + names + `)
		ON CONFLICT (sender, width, at) DO UPDATE SET ` + sums
}()

func (t *tally) writeLatencies(writes *pgx.Batch) {
	if len(t.latencies) == 0 {
		return
	}
	sums := make(map[latencyKey]int64, 3*len(t.latencies))
	for key, n := range t.latencies {
		for _, s := range key.spans() {
			sums[latencyKey{s, key.bucket}] += n
		}
	}
	keys := sortedKeys(sums, func(a, b latencyKey) int {
		return cmp.Or(a.compare(b.span), cmp.Compare(a.bucket, b.bucket))
	})
	writes.Queue(`INSERT INTO metric_latency AS m (sender, width, at, bucket, count)
		SELECT * FROM unnest($1::text[], $2::smallint[], $3::timestamptz[], $4::smallint[], $5::bigint[])
		ON CONFLICT (sender, width, at, bucket) DO UPDATE SET count = m.count + excluded.count`,
		append(spanColumns(keys, func(k latencyKey) span { return k.span }),
			column(keys, func(k latencyKey) int16 { return k.bucket }),
			column(keys, func(k latencyKey) int64 { return sums[k] }))...)
}

func (t *tally) writeCohorts(writes *pgx.Batch) {
	sums := make(map[cohortKey]*[2]int64, 3*len(t.cohorts))
	for key, n := range t.cohorts {
		for _, s := range key.spans() {
			k := cohortKey{s, key.recordedAt}
			switch {
			case s.width == widthAll || !s.kept(key.recordedAt):
				continue
			case s.width == widthMinute:
				k.recordedAt -= k.recordedAt % widthMinute
			}
			sum := sums[k]
			if sum == nil {
				sum = new([2]int64)
				sums[k] = sum
			}
			sum[0] += n[0]
			sum[1] += n[1]
		}
	}
	if len(sums) == 0 {
		return
	}
	keys := sortedKeys(sums, func(a, b cohortKey) int {
		return cmp.Or(a.compare(b.span), cmp.Compare(a.recordedAt, b.recordedAt))
	})
	writes.Queue(`INSERT INTO metric_cohort AS m (sender, width, at, recorded_at, sent, delivered)
		SELECT * FROM unnest($1::text[], $2::smallint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[])
		ON CONFLICT (sender, width, at, recorded_at) DO UPDATE SET sent = m.sent + excluded.sent,
			delivered = m.delivered + excluded.delivered`,
		append(spanColumns(keys, func(k cohortKey) span { return k.span }),
			column(keys, func(k cohortKey) time.Time { return time.Unix(k.recordedAt, 0) }),
			column(keys, func(k cohortKey) int64 { return sums[k][0] }),
			column(keys, func(k cohortKey) int64 { return sums[k][1] }))...)
}

func (t *tally) writeErrors(writes *pgx.Batch) {
	if len(t.errors) == 0 {
		return
	}
	sums := make(map[errorKey]int64, 3*len(t.errors))
	for key, n := range t.errors {
		for _, s := range key.spans() {
			sums[errorKey{s, key.class, key.category, key.code}] += n
		}
	}
	keys := sortedKeys(sums, func(a, b errorKey) int {
		return cmp.Or(a.compare(b.span), cmp.Compare(a.class, b.class), cmp.Compare(a.category, b.category), cmp.Compare(a.code, b.code))
	})
	writes.Queue(`INSERT INTO metric_error AS m (sender, width, at, class, category, code, count)
		SELECT * FROM unnest($1::text[], $2::smallint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bigint[])
		ON CONFLICT (sender, width, at, class, category, code) DO UPDATE SET count = m.count + excluded.count`,
		append(spanColumns(keys, func(k errorKey) span { return k.span }),
			column(keys, func(k errorKey) string { return k.class }),
			column(keys, func(k errorKey) string { return k.category }),
			column(keys, func(k errorKey) string { return k.code }),
			column(keys, func(k errorKey) int64 { return sums[k] }))...)
}

// secondsSweep deletes the seconds that are no longer stored, once per minute of the log.
type secondsSweep struct{ done time.Time }

// run adds its statements after the batch's own writes, so that the remaining rows do not
// depend on where batches end.
func (w *secondsSweep) run(newest time.Time, writes *pgx.Batch) {
	since := secondsSince(newest)
	if newest.IsZero() || !since.After(w.done) {
		return
	}
	w.done = since
	for _, table := range metricTables() {
		// Selected by sender, so that the primary key leads to the oldest rows of each.
		writes.Queue(`DELETE FROM `+table+` WHERE width = 1 AND at < $1
			AND sender = ANY (ARRAY(SELECT sender FROM metric WHERE width = 0) || ''::text)`, since)
	}
}

func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

func spanColumns[K any](keys []K, of func(K) span) []any {
	return []any{
		column(keys, func(k K) string { return of(k).sender }),
		column(keys, func(k K) int16 { return of(k).width }),
		column(keys, func(k K) time.Time { return time.Unix(of(k).at, 0) }),
	}
}
