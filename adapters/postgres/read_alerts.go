package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
)

// Alerts returns a page of the alerts that match the filter, most recently changed first.
func (r *ReadModel) Alerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error) {
	c := conditions{}
	if len(f.State) > 0 {
		c.add(`state = ANY ($1)`, f.State)
	}
	if len(f.Kind) > 0 {
		c.add(`kind = ANY ($1)`, f.Kind)
	}
	if f.SenderID != nil {
		c.add(`sender = $1`, *f.SenderID)
	}
	if f.SenderIDs != nil {
		c.add(`sender = ANY ($1)`, f.SenderIDs)
	}
	if p.After > 0 {
		c.add(`position < $1`, p.After)
	}
	var list []query.Alert
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) {
		queueAlerts(b, &list, c.where()+fmt.Sprintf(` ORDER BY position DESC LIMIT %d`, p.First+1), c.args...)
	}); err != nil {
		return query.AlertPage{}, fmt.Errorf("list alerts: %w", err)
	}
	more := len(list) > p.First
	return query.AlertPage{Alerts: list[:min(len(list), p.First)], HasNextPage: more}, nil
}

// LatestAlert returns the ID of the alert raised last about a subject, and whether it is
// open; uuid.Nil if there is none.
func (r *ReadModel) LatestAlert(ctx context.Context, k alert.Key) (id uuid.UUID, open bool, err error) {
	err = r.pool.QueryRow(ctx, `SELECT id, state <> $4 FROM alert WHERE rule = $1 AND sender = $2 AND severity = $3
		ORDER BY position DESC LIMIT 1`, k.Rule, k.Sender, k.Severity, alert.Resolved).Scan(&id, &open)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, false, nil
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("find the latest alert: %w", err)
	}
	return id, open, nil
}

// AlertRules returns all current rules, including the defaults.
func (r *ReadModel) AlertRules(ctx context.Context) ([]alert.Rule, error) {
	var rules []alert.Rule
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) { queueAlertRules(b, &rules) }); err != nil {
		return nil, fmt.Errorf("read alert rules: %w", err)
	}
	return rules, nil
}

func queueAlertRules(batch *pgx.Batch, rules *[]alert.Rule) {
	batch.Queue(`SELECT data FROM alert_rule`).Query(func(rows pgx.Rows) error {
		changed := make(map[string]alert.Rule)
		var data []byte
		_, err := pgx.ForEachRow(rows, []any{&data}, func() error {
			var e alert.RuleChanged
			if err := json.Unmarshal(data, &e); err != nil {
				return err
			}
			changed[e.Rule] = e.ToRule()
			return nil
		})
		*rules = alert.Rules(changed)
		return err
	})
}

// maxSilences is the maximum number of silences to read.
const maxSilences = 1000

// Silences returns the silences that have not ended at now, the one that ends first at the top.
func (r *ReadModel) Silences(ctx context.Context, now time.Time) ([]alert.Silence, error) {
	var list []alert.Silence
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) { queueSilences(b, &list, now) }); err != nil {
		return nil, fmt.Errorf("read silences: %w", err)
	}
	return list, nil
}

func queueSilences(batch *pgx.Batch, silences *[]alert.Silence, now time.Time) {
	queueRows(batch, silences, func(row pgx.CollectableRow) (alert.Silence, error) {
		var s alert.Silence
		var data []byte
		var until time.Time // can be earlier than planned
		if err := row.Scan(&data, &until); err != nil {
			return s, err
		}
		err := json.Unmarshal(data, &s)
		s.Until = until.UTC()
		return s, err
	}, `SELECT data, until FROM alert_silence WHERE until > $1 ORDER BY until, id LIMIT $2`, now, maxSilences)
}

// AlertsPosition returns the position that the read model of alerts has reached.
func (r *ReadModel) AlertsPosition(ctx context.Context) (event.Position, error) {
	var p event.Position
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) { queueAlertsPosition(b, &p) }); err != nil {
		return 0, fmt.Errorf("read the position of the alerts: %w", err)
	}
	return p, nil
}

func queueAlertsPosition(batch *pgx.Batch, p *event.Position) {
	batch.Queue(`SELECT coalesce(max(position), 0) FROM projection WHERE name = $1`, Views).
		QueryRow(func(row pgx.Row) error { return row.Scan(p) })
}

// AlertState returns the rules, the silences that have not ended at now, and at most open of the open alerts. It takes one round
// trip, because it is read all the time.
func (r *ReadModel) AlertState(ctx context.Context, now time.Time, open int) (query.AlertState, error) {
	var s query.AlertState
	err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) {
		queueAlertRules(b, &s.Rules)
		queueSilences(b, &s.Silences, now)
		queueAlertsPosition(b, &s.Position) // before the alerts, which can then be newer
		queueAlerts(b, &s.Open, `WHERE state = ANY ($1) ORDER BY position DESC LIMIT $2`, []alert.State{alert.Raised, alert.Acknowledged}, open)
	})
	if err != nil {
		return s, fmt.Errorf("read alerts and their rules: %w", err)
	}
	return s, nil
}
