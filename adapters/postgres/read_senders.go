package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// Senders returns all senders with their queues at now, by ID.
func (r *ReadModel) Senders(ctx context.Context, now time.Time) ([]query.Sender, error) {
	return r.senders(ctx, now, nil)
}

// SenderIDs returns the IDs of all senders that projections know, including those whose
// streams are parked.
func (r *ReadModel) SenderIDs(ctx context.Context) ([]string, error) {
	ids, err := collect[string](ctx, r.pool, `SELECT id FROM sender
		UNION SELECT substr(stream, length($1) + 1) FROM parked_event WHERE starts_with(stream, $1)`, event.SenderStreams)
	if err != nil {
		return nil, fmt.Errorf("list senders: %w", err)
	}
	return ids, nil
}

// SenderStates returns all senders without their queues, by ID.
func (r *ReadModel) SenderStates(ctx context.Context) ([]sender.Sender, error) {
	var list []sender.Sender
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) { queueSenderStates(b, &list) }); err != nil {
		return nil, fmt.Errorf("read senders: %w", err)
	}
	return list, nil
}

func queueSenderStates(batch *pgx.Batch, list *[]sender.Sender) {
	queueRows(batch, list, func(row pgx.CollectableRow) (sender.Sender, error) {
		var s sender.Sender
		var state []byte
		if err := row.Scan(&state); err != nil {
			return s, err
		}
		return s, json.Unmarshal(state, &s)
	}, `SELECT state FROM sender ORDER BY id`)
}

// Sender returns a sender with its queue at now, or false if there is none.
func (r *ReadModel) Sender(ctx context.Context, id string, now time.Time) (query.Sender, bool, error) {
	list, err := r.senders(ctx, now, []string{id})
	if err != nil || len(list) == 0 {
		return query.Sender{}, false, err
	}
	return list[0], true, nil
}

func (r *ReadModel) senders(ctx context.Context, now time.Time, ids []string) ([]query.Sender, error) {
	depths, err := r.QueueDepths(ctx, now, ids)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT revision, position, state FROM sender WHERE $1::text[] IS NULL OR id = ANY ($1) ORDER BY id`, ids)
	if err != nil {
		return nil, fmt.Errorf("read senders: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (query.Sender, error) {
		var s query.Sender
		var state []byte
		if err := row.Scan(&s.Revision, &s.Position, &state); err != nil {
			return s, err
		}
		if err := json.Unmarshal(state, &s.Sender); err != nil {
			return s, err
		}
		var known bool
		if s.Queue, known = depths[s.ID]; !known {
			s.Queue = query.EmptyQueue()
		}
		return s, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read senders: %w", err)
	}
	return list, nil
}

// QueueDepths returns how much each of the senders has to send at now, or, if ids is nil,
// each sender that has something to send. A retry that waits for its time is due; only
// sendAt makes a message scheduled.
func (r *ReadModel) QueueDepths(ctx context.Context, now time.Time, ids []string) (map[string]query.QueueDepth, error) {
	depths := make(map[string]query.QueueDepth)
	if err := readAtOnce(ctx, r.pool, func(b *pgx.Batch) { queueDepths(b, depths, now, ids) }); err != nil {
		return nil, fmt.Errorf("read queue depths: %w", err)
	}
	return depths, nil
}

func queueDepths(batch *pgx.Batch, depths map[string]query.QueueDepth, now time.Time, ids []string) {
	batch.Queue(`SELECT sender, priority, due, scheduled, least(
			(SELECT i.due_at FROM work_item i WHERE i.sender = c.sender AND i.priority = c.priority AND i.fresh
				ORDER BY i.queued_position LIMIT 1),
			(SELECT i.due_at FROM work_item i WHERE i.sender = c.sender AND i.priority = c.priority AND i.state = 0
				AND NOT i.fresh AND i.due_at <= $1 ORDER BY i.due_at LIMIT 1))
		FROM (SELECT sender, priority, coalesce(sum(count) FILTER (WHERE send_at <= $1), 0)::bigint AS due,
				coalesce(sum(count) FILTER (WHERE send_at > $1), 0)::bigint AS scheduled
			FROM work_count WHERE $2::text[] IS NULL OR sender = ANY ($2) GROUP BY sender, priority) c
		ORDER BY sender, priority`, now, ids).
		Query(func(rows pgx.Rows) error {
			var sender string
			var rank int
			var due, scheduled int64
			var oldest *time.Time
			return eachRow(rows, []any{&sender, &rank, &due, &scheduled, &oldest}, func() {
				d, ok := depths[sender]
				if !ok {
					d = query.EmptyQueue()
				}
				d.Depth += due
				d.Scheduled += scheduled
				lane := &d.Lanes[message.Priority.Rank(priorityOf(rank))]
				lane.Depth = due
				if oldest != nil {
					age := max(0, now.Sub(*oldest))
					lane.OldestDueAge = &age
					if d.OldestDueAge == nil || age > *d.OldestDueAge {
						d.OldestDueAge = &age
					}
				}
				depths[sender] = d
			})
		})
}
