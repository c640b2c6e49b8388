package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
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
