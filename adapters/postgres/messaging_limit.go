package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
)

// Limits counts the people to whom portfolios send messages outside a window. The row of a
// portfolio is locked while it decides, so processes decide one after the other.
type Limits struct{ pool *pgxpool.Pool }

// NewLimits returns the limits in the Postgres of pool.
func NewLimits(pool *pgxpool.Pool) *Limits { return &Limits{pool: pool} }

// Reserve implements work.Limits. It takes one transaction for each portfolio.
func (l *Limits) Reserve(ctx context.Context, now time.Time, of []work.Contact) ([]work.Admission, error) {
	byPortfolio := make(map[string][]int)
	for i, c := range of {
		byPortfolio[c.Portfolio] = append(byPortfolio[c.Portfolio], i)
	}
	decided := make([]work.Admission, len(of))
	for portfolio, places := range byPortfolio {
		r := reservation{portfolio: portfolio, people: of[places[0]].People, now: now, counted: make(map[string]bool)}
		for _, i := range places {
			r.persons = append(r.persons, of[i].Person)
		}
		if err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return r.decide(ctx, tx) }); err != nil {
			return nil, fmt.Errorf("count the people of portfolio %q: %w", portfolio, err)
		}
		for _, i := range places {
			decided[i] = work.Admission{Admitted: r.counted[of[i].Person], Unknown: !r.exists, Used: r.used}
		}
	}
	return decided, nil
}

// reservation is a decision about people of one portfolio.
type reservation struct {
	portfolio string
	people    int
	now       time.Time
	persons   []string
	exists    bool
	used      int
	refused   *time.Time
	counted   map[string]bool // who count already, or are admitted
}

func (r *reservation) decide(ctx context.Context, tx pgx.Tx) error {
	if err := r.load(ctx, tx); err != nil || !r.exists {
		return err
	}
	admitted := make([]string, 0, len(r.persons))
	calls := make(map[string]int32, len(r.persons))
	for _, p := range r.persons {
		if !r.counted[p] && (r.used >= r.people || r.refused != nil && r.now.Before(*r.refused)) {
			continue
		}
		if !r.counted[p] {
			r.counted[p] = true
			r.used++
		}
		if calls[p]++; calls[p] == 1 {
			admitted = append(admitted, p)
		}
	}
	var writes pgx.Batch
	writes.Queue(`UPDATE waypost_run.messaging_limit SET used = $2 WHERE portfolio = $1 AND used <> $2`, r.portfolio, r.used)
	if len(admitted) > 0 {
		writes.Queue(`INSERT INTO waypost_run.messaging_person AS p (portfolio, person, at, calls)
			SELECT $1, u.person, $2, u.calls FROM unnest($3::text[], $4::integer[]) AS u (person, calls)
			ON CONFLICT (portfolio, person) DO UPDATE SET at = greatest(p.at, excluded.at), calls = p.calls + excluded.calls`,
			r.portfolio, r.now, admitted, column(admitted, func(p string) int32 { return calls[p] }))
	}
	return tx.SendBatch(ctx, &writes).Close()
}

// load locks the portfolio, deletes who no longer counts, and reads who of the persons does.
func (r *reservation) load(ctx context.Context, tx pgx.Tx) error {
	var reads pgx.Batch
	reads.Queue(`SET LOCAL synchronous_commit = on`)
	reads.Queue(`SELECT used, refused_until FROM waypost_run.messaging_limit WHERE portfolio = $1 FOR UPDATE`, r.portfolio).
		QueryRow(func(row pgx.Row) error {
			err := row.Scan(&r.used, &r.refused)
			r.exists = err == nil
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	reads.Queue(`DELETE FROM waypost_run.messaging_person WHERE portfolio = $1 AND at <= $2`, r.portfolio, r.now.Add(-work.LimitPeriod)).
		Exec(func(tag pgconn.CommandTag) error {
			r.used -= int(tag.RowsAffected())
			return nil
		})
	reads.Queue(`SELECT person FROM waypost_run.messaging_person WHERE portfolio = $1 AND person = ANY ($2)`, r.portfolio, r.persons).
		Query(func(rows pgx.Rows) error {
			var person string
			_, err := pgx.ForEachRow(rows, []any{&person}, func() error {
				r.counted[person] = true
				return nil
			})
			return err
		})
	return tx.SendBatch(ctx, &reads).Close()
}

// Return implements work.Limits.
func (l *Limits) Return(ctx context.Context, c work.Contact) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		var b pgx.Batch
		b.Queue(`SELECT FROM waypost_run.messaging_limit WHERE portfolio = $1 FOR UPDATE`, c.Portfolio)
		b.Queue(`UPDATE waypost_run.messaging_person SET calls = calls - 1 WHERE portfolio = $1 AND person = $2`, c.Portfolio, c.Person)
		b.Queue(`WITH gone AS (DELETE FROM waypost_run.messaging_person WHERE portfolio = $1 AND person = $2 AND calls <= 0 RETURNING 1)
			UPDATE waypost_run.messaging_limit SET used = used - (SELECT count(*) FROM gone) WHERE portfolio = $1 AND EXISTS (SELECT FROM gone)`,
			c.Portfolio, c.Person)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return fmt.Errorf("return a place of portfolio %q: %w", c.Portfolio, err)
	}
	return nil
}

// Refused implements work.Limits.
func (l *Limits) Refused(ctx context.Context, portfolio string, code *int, until time.Time) error {
	_, err := l.pool.Exec(ctx, `UPDATE waypost_run.messaging_limit SET refused_until = $2, refused_code = $3 WHERE portfolio = $1`,
		portfolio, until, code)
	if err != nil {
		return fmt.Errorf("record that portfolio %q was refused: %w", portfolio, err)
	}
	return nil
}

// Usage implements work.Limits.
func (l *Limits) Usage(ctx context.Context, now time.Time) ([]work.LimitUsage, error) {
	return readLimits(ctx, l.pool, now)
}

func readLimits(ctx context.Context, to batchSender, now time.Time) ([]work.LimitUsage, error) {
	var list []work.LimitUsage
	if err := readAtOnce(ctx, to, func(b *pgx.Batch) { queueLimits(b, &list, now) }); err != nil {
		return nil, fmt.Errorf("read the messaging limits: %w", err)
	}
	return list, nil
}

func queueLimits(batch *pgx.Batch, limits *[]work.LimitUsage, now time.Time) {
	queueRows(batch, limits, func(row pgx.CollectableRow) (work.LimitUsage, error) {
		var u work.LimitUsage
		var oldest, refused *time.Time
		err := row.Scan(&u.ID, &u.People, &u.Senders, &u.Used, &oldest, &refused, &u.RefusedCode)
		if oldest != nil {
			u.ResetsAt = oldest.Add(work.LimitPeriod)
		}
		if refused != nil && now.Before(*refused) {
			u.RefusedUntil = *refused
		} else {
			u.RefusedCode = nil
		}
		return u, err
	}, `SELECT l.portfolio, l.people, l.senders,
			l.used - (SELECT count(*) FROM waypost_run.messaging_person p WHERE p.portfolio = l.portfolio AND p.at <= $1),
			(SELECT min(p.at) FROM waypost_run.messaging_person p WHERE p.portfolio = l.portfolio AND p.at > $1),
			l.refused_until, l.refused_code
		FROM waypost_run.messaging_limit l ORDER BY l.portfolio`, now.Add(-work.LimitPeriod))
}

// MessagingLimits returns the state of the messaging limits that are counted, by sender.
func (r *ReadModel) MessagingLimits(ctx context.Context, now time.Time) (map[string]query.MessagingLimit, error) {
	list, err := readLimits(ctx, r.pool, now)
	if err != nil {
		return nil, err
	}
	return limitsBySender(list), nil
}

func limitsBySender(list []work.LimitUsage) map[string]query.MessagingLimit {
	limits := make(map[string]query.MessagingLimit)
	for _, u := range list {
		for _, id := range u.Senders {
			limits[id] = query.MessagingLimit{
				Portfolio: u.ID, People: u.People, Used: u.Used,
				ResetsAt: timeOrNil(u.ResetsAt), RefusedUntil: timeOrNil(u.RefusedUntil), RefusedCode: u.RefusedCode,
			}
		}
	}
	return limits
}

// Begin implements work.Limits.
func (l *Limits) Begin(ctx context.Context, now time.Time, p work.Portfolio, reached event.Position) (counted bool, err error) {
	senders := slices.Clone(p.Senders)
	for i := range senders {
		senders[i] = storableKey(senders[i])
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE waypost_run.messaging_limit SET people = $2, senders = $3 WHERE portfolio = $1`, p.ID, p.People, senders)
		if err != nil {
			return err
		}
		if counted = tag.RowsAffected() > 0; counted {
			return nil
		}
		var at event.Position
		if err := tx.QueryRow(ctx, `SELECT position FROM projection WHERE name = 'views'`).Scan(&at); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if at < reached {
			return nil
		}
		tag, err = tx.Exec(ctx, `INSERT INTO waypost_run.messaging_limit (portfolio, people, senders, used) VALUES ($1, $2, $3, 0)
			ON CONFLICT DO NOTHING`, p.ID, p.People, senders)
		if err != nil {
			return err
		}
		if counted = true; tag.RowsAffected() == 0 {
			return nil // another process was first
		}
		return countSent(ctx, tx, p.ID, senders, now)
	})
	if err != nil {
		return false, fmt.Errorf("begin to count the people of portfolio %q: %w", p.ID, err)
	}
	return counted, nil
}

// countSent counts the people to whom senders sent templates recently. Some of them had an open
// window; they count too, because the time at which a window opened is not always known.
func countSent(ctx context.Context, tx pgx.Tx, portfolio string, senders []string, now time.Time) error {
	since := now.Add(-work.LimitPeriod)
	_, err := tx.Exec(ctx, `WITH sent AS (
			SELECT m.data_key AS person, max(coalesce(m.sent_at, $3)) AS at, count(*) AS calls FROM message m
			WHERE m.sender = ANY ($2) AND m.template IS NOT NULL AND m.data_key IS NOT NULL
				AND (m.sent_at > $4 OR m.status IN ('SENDING', 'AMBIGUOUS'))
				AND NOT EXISTS (SELECT FROM conversation c WHERE c.sender = m.sender AND c.data_key = m.data_key
					AND c.opened_at <= m.sent_at AND c.opened_at > m.sent_at - interval '1 day')
			GROUP BY m.data_key
		), counted AS (
			INSERT INTO waypost_run.messaging_person (portfolio, person, at, calls) SELECT $1, person, at, calls FROM sent RETURNING 1
		) UPDATE waypost_run.messaging_limit SET used = (SELECT count(*) FROM counted) WHERE portfolio = $1`,
		portfolio, senders, now, since)
	return err
}

// Forget implements work.Limits.
func (l *Limits) Forget(ctx context.Context, portfolio string) error {
	if _, err := l.pool.Exec(ctx, `DELETE FROM waypost_run.messaging_limit WHERE portfolio = $1`, portfolio); err != nil {
		return fmt.Errorf("end the count of portfolio %q: %w", portfolio, err)
	}
	return nil
}

// Limited implements work.List.
func (l *WorkList) Limited(
	ctx context.Context, now time.Time, wants []work.LimitRequest,
) (items []work.Item, list, views event.Position, err error) {
	views, err = NewReadModel(l.pool).ViewsPosition(ctx) // first, so that what is read after it is not older
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, 0, nil // nothing was projected yet
	}
	if err != nil {
		return nil, 0, 0, fmt.Errorf("fetch limited work: %w", err)
	}
	items, list, err = l.fetch(ctx, `
		LEFT JOIN (unnest($2::text[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::timestamptz[], $8::text[])
				AS lane (sender, portfolio, room, most, wrote, counted, not_labeled)
			CROSS JOIN LATERAL (SELECT string_to_array(lane.not_labeled, E'\x1f') AS labels OFFSET 0) AS skip
			CROSS JOIN LATERAL (
				(SELECT i.* FROM work_item i WHERE i.sender = lane.sender AND i.awaits_limit AND `+unlabeled+` ORDER BY i.due_at LIMIT lane.room)
				UNION
				(SELECT i.* FROM conversation c JOIN work_item i ON i.sender = c.sender AND i.recipient = c.data_key AND i.awaits_limit
					WHERE c.sender = lane.sender AND c.position > lane.wrote AND c.opened_at > $1::timestamptz - interval '1 day' AND `+unlabeled+` LIMIT lane.most)
				UNION
				(SELECT i.* FROM waypost_run.messaging_person p JOIN work_item i ON i.sender = lane.sender AND i.recipient = p.person AND i.awaits_limit
					WHERE p.portfolio = lane.portfolio AND p.at > lane.counted AND `+unlabeled+` LIMIT lane.most)
			) w) ON true
		WHERE p.name = 'worklist' ORDER BY w.due_at`,
		now,
		column(wants, func(w work.LimitRequest) string { return storableKey(w.Sender) }),
		column(wants, func(w work.LimitRequest) string { return w.Portfolio }),
		column(wants, func(w work.LimitRequest) int32 { return int32(w.Room) }),
		column(wants, func(w work.LimitRequest) int32 { return int32(w.Most) }),
		column(wants, func(w work.LimitRequest) int64 { return int64(w.Wrote) }),
		column(wants, func(w work.LimitRequest) time.Time { return w.Counted }),
		column(wants, func(w work.LimitRequest) *string { return joined(w.SkipLabels) }))
	if err != nil {
		return nil, 0, 0, fmt.Errorf("fetch limited work: %w", err)
	}
	return items, list, views, nil
}
