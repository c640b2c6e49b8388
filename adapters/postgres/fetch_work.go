package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
)

// WorkList is the work list as dispatch reads it.
type WorkList struct{ pool *pgxpool.Pool }

// NewWorkList returns the work list of pool's read model.
func NewWorkList(pool *pgxpool.Pool) *WorkList { return &WorkList{pool: pool} }

// openSenders selects the senders with items. Each takes one look-up in each of three
// partial indexes, which contain every item between them; a DISTINCT would read all items.
const openSenders = `(
	WITH RECURSIVE open (sender) AS (
		SELECT least((SELECT min(sender) FROM work_item WHERE fresh),
			(SELECT min(sender) FROM work_item WHERE state = 0 AND NOT fresh),
			(SELECT min(sender) FROM work_item WHERE state > 0))
		UNION ALL
		SELECT least((SELECT min(i.sender) FROM work_item i WHERE i.fresh AND i.sender > open.sender),
			(SELECT min(i.sender) FROM work_item i WHERE i.state = 0 AND NOT i.fresh AND i.sender > open.sender),
			(SELECT min(i.sender) FROM work_item i WHERE i.state > 0 AND i.sender > open.sender))
		FROM open WHERE open.sender IS NOT NULL
	) SELECT sender FROM open WHERE sender IS NOT NULL) AS lane (sender)`

const workColumns = `w.message_id, w.sender, w.priority, w.state, w.fresh, w.due_at, w.expires_at, w.recipient, w.attempt, w.call,
	w.on_ambiguous, w.template, w.revision, w.position, w.queued_position, w.awaits_limit, w.labels`

// wanted selects the items that a request doesn't exclude.
const wanted = `(lane.recipient IS NULL OR i.recipient = lane.recipient)
						AND (lane.template IS NULL OR i.template = lane.template)
						AND (skip.recipients IS NULL OR i.recipient <> ALL (skip.recipients))
						AND (skip.templates IS NULL OR i.template <> ALL (skip.templates))
						AND (lane.label IS NULL OR lane.label = ANY (i.labels))
						AND ` + unlabeled

// unlabeled selects the items that have none of the labels that a request skips.
const unlabeled = `(skip.labels IS NULL OR i.labels IS NULL OR NOT i.labels && skip.labels)`

// joined returns a list as one text, or nil if it is empty. In Postgres, the arrays in an
// array must have the same length.
func joined(list []string) *string {
	return textOrNil(strings.Join(list, "\x1f"))
}

// Fetch returns the items that are ready at now, lane by lane in the order of the requests:
// first due ones by due time, then fresh ones after the lane's cursor by the position of
// Queued. The returned position belongs to the same snapshot: the work list includes
// everything recorded up to it.
func (l *WorkList) Fetch(ctx context.Context, now time.Time, wants []work.FetchRequest) ([]work.Item, event.Position, error) {
	items, position, err := l.fetch(ctx, `
		LEFT JOIN (unnest($2::text[], $3::smallint[], $4::integer[], $5::integer[], $6::bigint[],
				$7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
			WITH ORDINALITY AS lane (sender, priority, timed, fresh, after, not_to, not_of, recipient, template, not_labeled, label, place)
			CROSS JOIN LATERAL (SELECT string_to_array(lane.not_to, E'\x1f') AS recipients, string_to_array(lane.not_of, E'\x1f') AS templates,
				string_to_array(lane.not_labeled, E'\x1f') AS labels OFFSET 0) AS skip -- without OFFSET, once per row
			CROSS JOIN LATERAL (
				(SELECT i.*, 0 AS part FROM work_item i
					WHERE i.sender = lane.sender AND i.priority = lane.priority AND i.state = 0 AND NOT i.fresh AND i.due_at <= $1
						AND `+wanted+`
					ORDER BY i.due_at LIMIT lane.timed)
				UNION ALL
				(SELECT i.*, 1 FROM work_item i
					WHERE i.sender = lane.sender AND i.priority = lane.priority AND i.fresh AND i.queued_position > lane.after
						AND `+wanted+`
					ORDER BY i.queued_position LIMIT lane.fresh)
			) w) ON true
		WHERE p.name = 'worklist'
		ORDER BY lane.place, w.part, CASE w.part WHEN 0 THEN w.due_at END, w.queued_position`,
		now,
		column(wants, func(w work.FetchRequest) string { return w.Sender }),
		column(wants, func(w work.FetchRequest) int16 { return int16(w.Priority.Rank()) }),
		column(wants, func(w work.FetchRequest) int32 { return int32(w.Timed) }),
		column(wants, func(w work.FetchRequest) int32 { return int32(w.Fresh) }),
		column(wants, func(w work.FetchRequest) int64 { return int64(w.After) }),
		column(wants, func(w work.FetchRequest) *string { return joined(w.SkipRecipients) }),
		column(wants, func(w work.FetchRequest) *string { return joined(w.SkipTemplates) }),
		column(wants, func(w work.FetchRequest) *string { return textOrNil(w.Recipient) }),
		column(wants, func(w work.FetchRequest) *string { return textOrNil(w.Template) }),
		column(wants, func(w work.FetchRequest) *string { return joined(w.SkipLabels) }),
		column(wants, func(w work.FetchRequest) *string { return textOrNil(w.Label) }))
	if err != nil {
		return nil, 0, fmt.Errorf("fetch work: %w", err)
	}
	return items, position, nil
}

// Overdue returns at most limit items, oldest first: those whose call should have had a
// response or been settled by now, and those that expired before they were called. It
// returns items of the given senders, or of all if none is given. Such items need no slot of
// a lane.
func (l *WorkList) Overdue(
	ctx context.Context, now time.Time, senders []string, limit int,
) ([]work.Item, event.Position, error) {
	lanes, args := openSenders, []any{now, limit}
	if len(senders) > 0 {
		lanes, args = `unnest($3::text[]) AS lane (sender)`, append(args, senders)
	}
	items, position, err := l.fetch(ctx, `
		LEFT JOIN (SELECT item.* FROM `+lanes+`, LATERAL (
				(SELECT i.*, i.due_at AS since FROM work_item i
					WHERE i.sender = lane.sender AND i.state > 0 AND i.due_at <= $1 ORDER BY i.due_at LIMIT $2)
				UNION ALL
				(SELECT i.*, i.expires_at FROM work_item i
					WHERE i.sender = lane.sender AND i.state = 0 AND i.expires_at <= $1 ORDER BY i.expires_at LIMIT $2)
			) item ORDER BY since LIMIT $2) w ON true
		WHERE p.name = 'worklist' ORDER BY w.since`, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch overdue work: %w", err)
	}
	return items, position, nil
}

// Undelivered returns at most limit accepted messages of the senders whose delivery was wanted
// by now and is not known, earliest first. If the read model of messages is catching up with
// events of more than a minute ago, it returns none: most deliveries are then in the log.
func (l *WorkList) Undelivered(
	ctx context.Context, now time.Time, senders []string, limit int,
) ([]work.Item, event.Position, error) {
	rows, err := l.pool.Query(ctx, `SELECT p.position, w.id, w.sender, w.priority, w.deliver_by, w.revision, w.position
		FROM projection p LEFT JOIN (
			SELECT m.id, m.sender, m.priority, due.deliver_by, m.revision, m.position
			FROM (SELECT x.message_id, x.deliver_by FROM unnest($3::text[]) AS lane (sender), LATERAL (
					SELECT message_id, deliver_by FROM message_exception
					WHERE sender = lane.sender AND deliver_by <= $1 ORDER BY deliver_by LIMIT $2
				) x ORDER BY x.deliver_by LIMIT $2) due
			JOIN message m ON m.id = due.message_id) w ON p.live OR p.recorded_at > $1::timestamptz - interval '1 minute'
		WHERE p.name = 'views' ORDER BY w.deliver_by`, now, limit, senders)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch undelivered messages: %w", err)
	}
	defer rows.Close()
	var items []work.Item
	var position event.Position
	for rows.Next() {
		var id *uuid.UUID
		var sender *string
		var rank *int
		var due *time.Time
		var revision, last *int64
		if err := rows.Scan(&position, &id, &sender, &rank, &due, &revision, &last); err != nil {
			return nil, 0, fmt.Errorf("fetch undelivered messages: %w", err)
		}
		if id == nil {
			continue
		}
		items = append(items, work.Item{
			MessageID: *id, Sender: *sender, Priority: priorityOf(*rank), State: work.Undelivered, DueAt: *due,
			Revision: event.Revision(*revision), Position: event.Position(*last),
		})
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("fetch undelivered messages: %w", err)
	}
	return items, position, nil
}

// Position returns the position that the work list has reached.
func (l *WorkList) Position(ctx context.Context) (event.Position, error) {
	_, position, err := l.fetch(ctx, `LEFT JOIN work_item w ON false WHERE p.name = 'worklist'`)
	if err != nil {
		return 0, fmt.Errorf("read the position of the work list: %w", err)
	}
	return position, nil
}

// fetch reads items together with the position. tail joins them as w, with an outer join.
func (l *WorkList) fetch(ctx context.Context, tail string, args ...any) ([]work.Item, event.Position, error) {
	rows, err := l.pool.Query(ctx, `SELECT p.position, `+workColumns+` FROM projection p `+tail, args...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var items []work.Item
	var position event.Position
	for rows.Next() {
		w, at, err := scanWork(rows)
		if err != nil {
			return nil, 0, err
		}
		position = at
		if w != nil {
			items = append(items, *w)
		}
	}
	return items, position, rows.Err()
}
