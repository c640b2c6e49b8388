package postgres_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// statements records the statements sent to a pool.
type statements struct{ list []statement }

type statement struct {
	sql  string
	args []any
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.list = append(s.list, statement{d.SQL, d.Args})
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		s.list = append(s.list, statement{q.SQL, q.Arguments})
	}
	return ctx
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// planned is a node of an executed plan, as EXPLAIN returns it.
type planned struct {
	Type     string    `json:"Node Type"`
	Relation string    `json:"Relation Name"`
	Rows     float64   `json:"Actual Rows"`
	Removed  float64   `json:"Rows Removed by Filter"`
	Loops    float64   `json:"Actual Loops"`
	Plans    []planned `json:"Plans"`
}

const (
	// manyRows is the number of rows from which a table is large.
	manyRows = 20_000
	// fewRows is the maximum number of rows that a page or a metric may read.
	fewRows = 5_000
)

// touched returns the number of rows that were read from tables, and the large tables that
// were read completely.
func (p planned) touched(large map[string]bool) (rows float64, whole []string) {
	if p.Relation != "" {
		rows = (p.Rows + p.Removed) * p.Loops
	}
	if p.Type == "Seq Scan" && large[p.Relation] {
		whole = append(whole, p.Relation)
	}
	for _, inner := range p.Plans {
		n, more := inner.touched(large)
		rows, whole = rows+n, append(whole, more...)
	}
	return rows, whole
}

// fillTables inserts rows of 80,000 messages of ten senders, some of them still open, as
// the projections would have written them.
func (b *bundle) fillTables() {
	b.tb.Helper()
	for _, sql := range []string{
		`INSERT INTO message (id, queued_position, revision, position, sender, kind, priority, on_ambiguous, template, queued_at, status,
				attempts, calls, sent_twice, data_key, idempotency_hash, label_hashes)
			SELECT md5(n::text)::uuid, 10 * n, 5, 10 * n + 5, 'sender-' || n % 10, CASE WHEN n % 1000 = 7 THEN 'LOCATION' WHEN n % 3 = 0 THEN 'TEMPLATE' ELSE 'TEXT' END,
				n % 3, 'RESEND', CASE WHEN n % 3 = 0 THEN 'offer-' || n / 1600 END, timestamptz '2026-03-01' + n * interval '3 seconds',
				CASE WHEN n > 79900 THEN 'QUEUED' WHEN n % 100 = 1 THEN 'DEAD_LETTERED' WHEN n % 100 = 2 THEN 'FAILED' WHEN n % 500 = 3 THEN 'SENT' ELSE 'READ' END,
				1, 1, false, 'key-' || n / 5, decode(md5('key ' || n), 'hex'), ARRAY[decode(md5('label ' || n / 1600), 'hex')]
			FROM generate_series(1, 80000) n`,
		`INSERT INTO message_exception SELECT id, sender, status, queued_position, CASE status WHEN 'SENT' THEN NULL WHEN 'FAILED' THEN 'recipient' ELSE 'server' END,
				CASE status WHEN 'SENT' THEN NULL WHEN 'FAILED' THEN 131026 ELSE 131000 END, CASE status WHEN 'DEAD_LETTERED' THEN queued_at END, label_hashes
			FROM message WHERE status IN ('SENT', 'FAILED', 'DEAD_LETTERED')`,
		`UPDATE message_exception SET deliver_by = timestamptz '2026-03-01' + queued_position * interval '1 second' WHERE status = 'SENT'`,
		`UPDATE message_exception SET deliver_by = NULL, overdue_since = deliver_by WHERE status = 'SENT' AND queued_position % 20000 < 4000`,
		`INSERT INTO message_label SELECT h, queued_position, sender FROM message, unnest(label_hashes) h`,
		`INSERT INTO message_time SELECT date_bin('10 seconds', queued_at, 'epoch'), min(queued_position), max(queued_position) FROM message GROUP BY 1`,
		`INSERT INTO message_wamid SELECT md5('wamid ' || n)::uuid, md5(n::text)::uuid, 1 FROM generate_series(1, 80000) n`,
		`INSERT INTO work_item (message_id, sender, priority, state, fresh, due_at, recipient, attempt, call, on_ambiguous, template, revision, position, queued_position)
			SELECT id, sender, priority, 0, true, queued_at, data_key, 0, 0, 'RESEND', '', 0, queued_position, queued_position FROM message WHERE status = 'QUEUED'`,
		`INSERT INTO metric SELECT 'sender-' || s, 60, timestamptz '2026-03-01' + n * interval '1 minute', 1,1,1,1,0,0,0,0,0,0,0,0,0,1,1,1,1,0,1,0
			FROM generate_series(0, 9) s, generate_series(1, 2500) n`,
		`INSERT INTO metric_latency SELECT sender, width, at, 7, 1 FROM metric`,
		`INSERT INTO metric_cohort SELECT sender, width, at, at + interval '1 second', 1, 1 FROM metric`,
		`INSERT INTO metric_error SELECT sender, width, at, 'PERMANENT', '', '131026', 1 FROM metric`,
		`ANALYZE`,
	} {
		_, err := b.pool.Exec(b.ctx, sql)
		must(b.tb, err)
	}
}

// TestPagesAndFiguresReadNoLargeTableWhole checks that the cost of the plans for lists and
// metrics doesn't grow with the messages.
func TestPagesAndFiguresReadNoLargeTableWhole(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	b := setupSealed(t)
	b.fillTables()
	large := map[string]bool{}
	for _, table := range []string{"message", "message_label", "message_time", "message_wamid", "metric", "metric_latency", "metric_cohort", "metric_error"} {
		var n int64
		must(t, b.pool.QueryRow(b.ctx, `SELECT count(*) FROM `+table).Scan(&n))
		if large[table] = n >= manyRows; !large[table] {
			t.Fatalf("%s has only %d rows", table, n)
		}
	}
	var queries statements
	config := b.pool.Config()
	config.ConnConfig.Tracer = &queries
	pool, err := pgxpool.NewWithConfig(b.ctx, config)
	must(t, err)
	t.Cleanup(pool.Close)
	model := postgres.NewReadModel(pool).WithVault(b.vault)

	text := func(s string) *string { return &s }
	code, kind, priority, category := 131000, message.KindLocation, message.PriorityOTP, message.CategoryServer
	overdue := true
	long, early := start.Add(24*time.Hour), start.Add(-24*time.Hour)
	filters := map[string]query.MessageFilter{
		"none":           {},
		"QUEUED":         {Status: []message.Status{message.StatusQueued}},
		"SENDING":        {Status: []message.Status{message.StatusSending}},
		"SENT":           {Status: []message.Status{message.StatusSent}},
		"READ":           {Status: []message.Status{message.StatusRead}},
		"FAILED":         {Status: []message.Status{message.StatusFailed}},
		"SENT, FAILED":   {Status: []message.Status{message.StatusSent, message.StatusFailed}},
		"to":             {To: text("+14155550101")},
		"idempotencyKey": {IdempotencyKey: text("order-1")},
		"whatsappId":     {WhatsAppID: text("wamid.1")},
		"label":          {Labels: []message.Label{{Name: "campaign", Value: "spring"}}},
		"type":           {Type: &kind},
		"priority":       {Priority: &priority},
		"template":       {Template: text("offer-3")},
		"errorCategory":  {ErrorCategory: &category},
		"errorCode":      {ErrorCode: &code},
		"queuedAfter":    {QueuedAfter: &long},
		"queuedBefore":   {QueuedBefore: &early},
		"overdue":        {Overdue: &overdue},
		"not overdue":    {Overdue: new(bool)},
	}
	page := query.Page{First: 50}
	calls := map[string]func() error{
		"metrics": func() error { _, err := model.Metrics(b.ctx, nil, 5*time.Minute, long); return err },
		"metrics of a sender": func() error {
			_, err := model.Metrics(b.ctx, text("sender-3"), time.Hour, long)
			return err
		},
		"dead letters": func() error { _, err := model.DeadLetters(b.ctx, query.DeadLetterFilter{}, page); return err },
		"dead letters of a sender": func() error {
			_, err := model.DeadLetters(b.ctx, query.DeadLetterFilter{SenderID: text("sender-1"), Category: &category}, page)
			return err
		},
		"dead letters with a label": func() error {
			_, err := model.DeadLetters(b.ctx, query.DeadLetterFilter{Label: &message.Label{Name: "campaign", Value: "spring"}}, page)
			return err
		},
		"undelivered messages": func() error {
			_, _, err := postgres.NewWorkList(pool).Undelivered(b.ctx, long, []string{"sender-1", "sender-3"}, 50)
			return err
		},
		"a message by its wamid": func() error { _, _, err := model.MessageByWhatsAppID(b.ctx, "wamid.1"); return err },
	}
	for name, f := range filters {
		calls["messages by "+name] = func() error { _, err := model.Messages(b.ctx, f, page); return err }
		of := f
		of.SenderID = text("sender-3")
		calls["messages of a sender by "+name] = func() error { _, err := model.Messages(b.ctx, of, page); return err }
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		queries.list = nil
		must(t, calls[name]())
		found := 0
		for _, s := range queries.list {
			if len(s.args) == 0 {
				continue // the transaction's
			}
			found++
			if rows, whole := b.plan(s).touched(large); rows > fewRows || len(whole) > 0 {
				t.Errorf("%s touches %.0f rows, and all of %v: %s", name, rows, whole, s.sql)
			}
		}
		if found == 0 {
			t.Errorf("%s asks nothing", name)
		}
	}
}

// plan returns the plan that Postgres executes.
func (b *bundle) plan(s statement) planned {
	b.tb.Helper()
	var text []byte
	must(b.tb, b.pool.QueryRow(b.ctx, `EXPLAIN (ANALYZE, FORMAT JSON) `+s.sql, s.args...).Scan(&text))
	var plans []struct{ Plan planned }
	must(b.tb, json.Unmarshal(text, &plans))
	return plans[0].Plan
}
