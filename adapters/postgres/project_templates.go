package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/template"
)

// templatesFold returns the projection that fills the tables of message templates. Each event
// updates the current state; a first sync has thousands of them.
func templatesFold() projection {
	return projection{
		name:   "templates",
		tables: []string{"template", "template_list"},
		types:  typeNames(template.Types()),
		apply:  applyTemplates,
	}
}

func applyTemplates(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
	states := make(map[string]template.Template)
	var order []string
	last := make(map[string]event.Recorded)
	for _, r := range events {
		if l, ok := r.Event.(template.TemplatesListed); ok {
			writes.Queue(`INSERT INTO template_list (account, count, listed_at) VALUES ($1, $2, $3)
				ON CONFLICT (account) DO UPDATE SET count = excluded.count, listed_at = excluded.listed_at`,
				l.BusinessAccountID, l.Count, l.At)
			continue
		}
		state, loaded := states[r.Stream]
		if !loaded {
			ref := template.Template{}.Apply(r.Event).Ref
			var err error
			if state, err = templateRow(ctx, tx, ref); err != nil {
				return nil, err
			}
			order = append(order, r.Stream)
		}
		if state = state.Apply(r.Event); !state.Known() {
			return nil, &dataError{fmt.Errorf("%s is not an event of a template", r.Type)}
		}
		states[r.Stream], last[r.Stream] = state, r
	}
	for _, stream := range order {
		if err := writeTemplate(states[stream], last[stream], writes); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// templateRow returns the stored state of a template, or the zero value if there is none.
func templateRow(ctx context.Context, tx pgx.Tx, ref template.Ref) (t template.Template, err error) {
	var data []byte
	err = tx.QueryRow(ctx, `SELECT state FROM template WHERE account = $1 AND name = $2 AND language = $3`,
		ref.BusinessAccountID, ref.Name, ref.Language).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &t)
	}
	return t, err
}

func writeTemplate(t template.Template, last event.Recorded, writes *pgx.Batch) error {
	data, err := storableJSON(t)
	if err != nil {
		return &dataError{err}
	}
	writes.Queue(`INSERT INTO template (account, name, language, revision, position, status, category, quality, changed_at, state)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (account, name, language) DO UPDATE
		SET revision = excluded.revision, position = excluded.position, status = excluded.status, category = excluded.category,
			quality = excluded.quality, changed_at = excluded.changed_at, state = excluded.state`,
		t.BusinessAccountID, t.Name, t.Language, last.Revision, last.Position, t.Status.Value, t.Category.Value, t.Quality.Value,
		timeOrNil(t.CategoryChangedAt), data)
	return nil
}
