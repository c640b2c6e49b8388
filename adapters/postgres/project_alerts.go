package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/alert"
)

// alertsFold returns the projection that fills the tables of alerts, rules, and silences. They
// are few, so each event updates the current row.
func alertsFold() projection {
	return projection{
		name:   "alerts",
		tables: []string{"alert", "alert_rule", "alert_silence"},
		types:  typeNames(alert.Types()),
		apply:  applyAlerts,
	}
}

func applyAlerts(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
	loaded := make(map[uuid.UUID]query.Alert)
	for _, r := range events {
		switch e := r.Event.(type) {
		case alert.RuleChanged:
			data, err := storableJSON(e)
			if err != nil {
				return nil, &dataError{err}
			}
			writes.Queue(`INSERT INTO alert_rule (id, revision, position, data) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE
				SET revision = excluded.revision, position = excluded.position, data = excluded.data`,
				storableKey(e.Rule), r.Revision, r.Position, data)
			continue
		case alert.SilenceStarted, alert.SilenceEnded:
			if err := applySilence(r, writes); err != nil {
				return nil, &dataError{err}
			}
			continue
		}
		id, ok := event.ParseAlertStream(r.Stream)
		if !ok {
			return nil, &dataError{fmt.Errorf("%s in %s, which is not an alert's stream", r.Type, r.Stream)}
		}
		a, ok := loaded[id]
		if !ok && r.Revision > 0 {
			var list []query.Alert
			if err := readAtOnce(ctx, tx, func(b *pgx.Batch) { queueAlerts(b, &list, `WHERE id = $1`, id) }); err != nil {
				return nil, err
			}
			if len(list) == 0 {
				return nil, &dataError{errors.New("event of an alert that was not raised")}
			}
			a = list[0]
		}
		a.ID = id
		a = alerts.Apply(a, r)
		loaded[id] = a
		data, err := storableJSON(a.Alert)
		if err != nil {
			return nil, &dataError{err}
		}
		writes.Queue(`INSERT INTO alert (id, revision, position, at, rule, kind, severity, sender, state, data)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,
				position = excluded.position, at = excluded.at, state = excluded.state, data = excluded.data`,
			a.ID, a.Revision, a.Position, a.At, a.Rule, a.Kind, a.Severity, a.Sender, a.State, data)
	}
	return nil, nil
}

// applySilence adds a silence, or moves its end to an earlier time.
func applySilence(r event.Recorded, writes *pgx.Batch) error {
	id, ok := strings.CutPrefix(r.Stream, event.SilenceStreams)
	if !ok {
		return fmt.Errorf("%s in %s, which is not a silence's stream", r.Type, r.Stream)
	}
	if _, ended := r.Event.(alert.SilenceEnded); ended {
		writes.Queue(`UPDATE alert_silence SET revision = $2, position = $3, until = least(until, $4) WHERE id = $1`,
			storableKey(id), r.Revision, r.Position, r.Meta.RecordedAt)
		return nil
	}
	s := alerts.ApplySilence(alert.Silence{}, id, r)
	data, err := storableJSON(s)
	if err != nil {
		return err
	}
	writes.Queue(`INSERT INTO alert_silence (id, revision, position, until, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE
		SET revision = excluded.revision, position = excluded.position, until = excluded.until, data = excluded.data`,
		storableKey(id), r.Revision, r.Position, s.Until, data)
	return nil
}

// queueAlerts adds a statement to a batch that reads alerts. tail follows FROM alert.
func queueAlerts(batch *pgx.Batch, alerts *[]query.Alert, tail string, args ...any) {
	queueRows(batch, alerts, func(row pgx.CollectableRow) (query.Alert, error) {
		var a query.Alert
		var data []byte
		if err := row.Scan(&a.ID, &a.Revision, &a.Position, &a.At, &data); err != nil {
			return a, err
		}
		return a, json.Unmarshal(data, &a.Alert)
	}, `SELECT id, revision, position, at, data FROM alert `+tail, args...)
}
