package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain/message"
)

const (
	// ledgerPatience is how long Ledger waits for both groups to be at the same position.
	ledgerPatience = 2 * time.Second

	ledgerPoll = 20 * time.Millisecond
)

// Ledger returns how many accepted messages of a sender, or of all if senderID is nil, are
// in each column, from one snapshot.
//
// Two groups write the counts and the work list, and advance independently. They are
// compared only when both have seen the same events that change the work list. Ledger
// retries for up to 2 s until they have, which might not happen under steady load; Compared
// then stays false.
func (r *ReadModel) Ledger(ctx context.Context, senderID *string, now time.Time) (query.Ledger, error) {
	deadline := time.Now().Add(ledgerPatience)
	for {
		ledger, err := r.ledger(ctx, senderID)
		if err != nil {
			return query.Ledger{}, fmt.Errorf("read the ledger: %w", err)
		}
		ledger.AsOf = now
		if ledger.Compared || time.Now().After(deadline) {
			return ledger, nil
		}
		if retry.Sleep(ctx, ledgerPoll) != nil {
			return query.Ledger{}, ctx.Err()
		}
	}
}

// BalanceNow reports whether the ledger of all senders balances at this instant, without
// waiting for the groups to be at the same position. If they aren't, compared is false, and
// balanced depends on the columns only.
func (r *ReadModel) BalanceNow(ctx context.Context) (balanced, compared bool, err error) {
	l, err := r.ledger(ctx, nil)
	if err != nil {
		return false, false, fmt.Errorf("read the ledger: %w", err)
	}
	return l.Balanced, l.Compared, nil
}

func (r *ReadModel) ledger(ctx context.Context, senderID *string) (query.Ledger, error) {
	var l query.Ledger
	columns := make(map[message.Column]int64)
	var viewed, listed event.Position
	var openRows, unsettledRows int64
	counts := make(map[string]int64)
	// One statement reads all tables at one point in time. Unsettled messages are few, and an index
	// contains them.
	err := r.pool.QueryRow(ctx, `SELECT coalesce(max(position) FILTER (WHERE name = $1), 0),
			coalesce(max(work_position) FILTER (WHERE name = $1), 0),
			coalesce(max(work_position) FILTER (WHERE name = $2), 0),
			coalesce((SELECT jsonb_object_agg(counter, n) FROM (SELECT counter, sum(count)::bigint AS n FROM message_count
				WHERE $3::text IS NULL OR sender = $3 GROUP BY counter) c), '{}'),
			coalesce((SELECT sum(count)::bigint FROM work_count WHERE $3::text IS NULL OR sender = $3), 0),
			(SELECT count(*) FROM work_item WHERE state = 2 AND ($3::text IS NULL OR sender = $3))
		FROM projection`, Views, Worklist, senderID).
		Scan(&l.Position, &viewed, &listed, &counts, &openRows, &unsettledRows)
	if err != nil {
		return l, err
	}
	openRows -= unsettledRows
	for counter, n := range counts {
		switch counter {
		case countQueued:
			l.Accepted = n
		case countSentTwice:
			l.SentTwice = n
		case countOverdue:
			l.Overdue = n
		default:
			columns[message.Status(counter).Column()] += n
		}
	}
	l.Open, l.Ambiguous = columns[message.ColumnOpen], columns[message.ColumnAmbiguous]
	l.Sent, l.Delivered, l.Read = columns[message.ColumnSent], columns[message.ColumnDelivered], columns[message.ColumnRead]
	l.Failed, l.DeadLettered = columns[message.ColumnFailed], columns[message.ColumnDeadLettered]
	l.Cancelled, l.Expired = columns[message.ColumnCancelled], columns[message.ColumnExpired]
	l.Discarded, l.Suppressed = columns[message.ColumnDiscarded], columns[message.ColumnSuppressed]
	l.WorkItems = openRows + unsettledRows
	var sum int64
	for _, n := range columns {
		sum += n
	}
	l.Compared = viewed == listed
	l.Balanced = l.Accepted == sum && (!l.Compared || openRows == l.Open && unsettledRows == l.Ambiguous)
	return l, nil
}

// ReadModel returns the state of the read models at now.
func (r *ReadModel) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	var m query.ReadModel
	var live bool
	var recordedAt *time.Time
	err := r.pool.QueryRow(ctx, `SELECT coalesce(min(position), 0), coalesce(bool_and(live), false),
			min(recorded_at) FILTER (WHERE NOT live), (SELECT count(*) FROM parked_event) FROM projection`).
		Scan(&m.Position, &live, &recordedAt, &m.Parked)
	if err != nil {
		return m, fmt.Errorf("read the read model's position: %w", err)
	}
	if !live && recordedAt != nil {
		m.Behind = max(0, now.Sub(*recordedAt))
	}
	return m, nil
}

// parkedShown bounds the number of parked streams in a list.
const parkedShown = 100

// ParkedStreams returns the streams that the projections leave out, oldest first, at most
// 100.
func (r *ReadModel) ParkedStreams(ctx context.Context) ([]query.ParkedStream, error) {
	rows, err := r.pool.Query(ctx, `SELECT projection, stream, revision, type, error, parked_at FROM parked_event
		ORDER BY position, projection LIMIT $1`, parkedShown)
	if err != nil {
		return nil, fmt.Errorf("list parked streams: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[query.ParkedStream])
	if err != nil {
		return nil, fmt.Errorf("list parked streams: %w", err)
	}
	return list, nil
}

// Projected returns the position of each group of projections, 0 for one that never ran.
func (r *ReadModel) Projected(ctx context.Context) ([]query.Projected, error) {
	rows, err := r.pool.Query(ctx, `SELECT name, position FROM projection`)
	if err != nil {
		return nil, fmt.Errorf("read the positions of the read models: %w", err)
	}
	positions := make(map[string]event.Position)
	var name string
	var position event.Position
	if _, err := pgx.ForEachRow(rows, []any{&name, &position}, func() error {
		positions[name] = position
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the positions of the read models: %w", err)
	}
	var list []query.Projected
	for _, g := range Groups() {
		p, err := NewProjector(ProjectorOptions{Group: g})
		if err != nil {
			return nil, err
		}
		list = append(list, query.Projected{Group: string(g), Position: positions[string(g)], Types: p.types})
	}
	return list, nil
}
