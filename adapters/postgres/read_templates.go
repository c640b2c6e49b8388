package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/template"
)

// Templates returns a page of message templates, after a place if that is not nil.
func (r *ReadModel) Templates(ctx context.Context, f query.TemplateFilter, first int, after *query.TemplatePlace) (query.TemplatePage, error) {
	var from query.TemplatePlace
	if after != nil {
		from = *after
	}
	rows, err := r.pool.Query(ctx, `SELECT position, state FROM template
		WHERE ($1::text IS NULL OR account = $1) AND ($2::text IS NULL OR name = $2) AND ($3::text IS NULL OR language = $3)
			AND (cardinality($4::text[]) = 0 OR status = ANY ($4)) AND (cardinality($5::text[]) = 0 OR category = ANY ($5))
			AND (cardinality($6::text[]) = 0 OR quality = ANY ($6))
			AND ($7::text[] IS NULL OR account IN (SELECT state ->> 'BusinessAccountID' FROM sender WHERE id = ANY ($7)))
			AND (NOT $8 OR (account, name, language) > ($9, $10, $11))
		ORDER BY account, name, language LIMIT $12`,
		f.BusinessAccountID, f.Name, f.Language, given(f.Status), given(f.Category), given(f.Quality), f.SenderIDs,
		after != nil, from.BusinessAccountID, from.Name, from.Language, first+1)
	if err != nil {
		return query.TemplatePage{}, fmt.Errorf("read templates: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (query.Template, error) {
		var t query.Template
		var state []byte
		if err := row.Scan(&t.Position, &state); err != nil {
			return t, err
		}
		return t, json.Unmarshal(state, &t.Template)
	})
	if err != nil {
		return query.TemplatePage{}, fmt.Errorf("read templates: %w", err)
	}
	if len(list) > first {
		return query.TemplatePage{Templates: list[:first], HasNextPage: true}, nil
	}
	return query.TemplatePage{Templates: list}, nil
}

// given returns a list that is not nil: a parameter that is null is not an empty array.
func given(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// TemplateQueues counts the open messages of each template of the accounts, of the senders
// that the caller can see, or of all if senderIDs is nil.
func (r *ReadModel) TemplateQueues(ctx context.Context, accounts, senderIDs []string) (query.TemplateQueues, error) {
	rows, err := r.pool.Query(ctx, `SELECT s.state ->> 'BusinessAccountID', w.template, count(*)
		FROM sender s JOIN work_item w ON w.sender = s.id
		WHERE s.state ->> 'BusinessAccountID' = ANY ($1) AND ($2::text[] IS NULL OR s.id = ANY ($2)) AND w.template <> ''
		GROUP BY 1, 2`, accounts, senderIDs)
	if err != nil {
		return nil, fmt.Errorf("count the messages of templates: %w", err)
	}
	queues := make(query.TemplateQueues)
	var account, key string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&account, &key, &n}, func() error {
		if queues[account] == nil {
			queues[account] = make(map[string]int64)
		}
		queues[account][key] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count the messages of templates: %w", err)
	}
	return queues, nil
}

// TemplateSnapshot reads all templates, as of one position of the log with an ID. It passes each
// template, with the revision of its last event, to add, and the number of templates of each account
// whose templates are all known to list. It returns the position, or 0 if the rows can't be used:
// they are of another log, or the stream of a template is parked.
func (r *ReadModel) TemplateSnapshot(
	ctx context.Context, logID string, add func(t template.Template, revision event.Revision), list func(account string, count int),
) (event.Position, error) {
	// One statement, because a rebuild can replace the tables between two.
	rows, err := r.pool.Query(ctx, `WITH usable AS (
			SELECT position FROM projection p WHERE name = $1 AND log_id = $2 AND NOT EXISTS (
				SELECT FROM parked_event e WHERE e.projection = p.name AND (starts_with(e.stream, $3) OR starts_with(e.stream, $4))))
		SELECT position, NULL::text, 0::bigint, NULL::jsonb FROM usable
		UNION ALL SELECT 0, l.account, l.count, NULL FROM template_list l, usable
		UNION ALL SELECT 0, NULL, t.revision, t.state FROM template t, usable`,
		Views, logID, event.TemplateStreams, event.TemplateListStreams)
	if err != nil {
		return 0, fmt.Errorf("read all templates: %w", err)
	}
	var at, position event.Position
	var account *string
	var number int64
	var state []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &account, &number, &state}, func() error {
		switch {
		case state != nil:
			var t template.Template
			if err := json.Unmarshal(state, &t); err != nil {
				return err
			}
			add(t, event.Revision(number))
		case account != nil:
			list(*account, int(number))
		default:
			at = position
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read all templates: %w", err)
	}
	return at, nil
}
