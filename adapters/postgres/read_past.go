package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

var errAnotherLog = errors.New("the read models are not yet built from this log")

// PositionsAround returns two positions of a log with an instant between them, if times are
// at most skew out of order in the log. It uses the messages queued around the instant,
// whose positions are in order in an index: about forty look-ups among millions. Read models
// that are still of another log give no result.
func (r *ReadModel) PositionsAround(ctx context.Context, logID string, at time.Time, skew time.Duration) (low, high event.Position, err error) {
	var same bool
	err = r.pool.QueryRow(ctx, `SELECT coalesce(bool_and(log_id = $1), false) FROM projection WHERE name = $2`, logID, Views).Scan(&same)
	if err == nil && !same {
		err = errAnotherLog
	}
	if err != nil {
		return 0, event.MaxPosition, fmt.Errorf("find a time in the log: %w", err)
	}
	if low, _, err = r.queuedBefore(ctx, at.Add(-skew)); err != nil {
		return 0, event.MaxPosition, fmt.Errorf("find a time in the log: %w", err)
	}
	_, high, err = r.queuedBefore(ctx, at.Add(skew+time.Millisecond))
	if err != nil {
		return 0, event.MaxPosition, fmt.Errorf("find a time in the log: %w", err)
	}
	return low, high, nil
}

// queuedBefore returns the positions of the last message queued before an instant and of the
// next message: 0 and event.MaxPosition if there is none.
func (r *ReadModel) queuedBefore(ctx context.Context, at time.Time) (before, next event.Position, err error) {
	next = event.MaxPosition
	var from, to event.Position // what is looked through: from the one to before the other
	err = r.pool.QueryRow(ctx, `SELECT coalesce(min(queued_position), 0), coalesce(max(queued_position) + 1, 0) FROM message`).Scan(&from, &to)
	for err == nil && from < to {
		middle := from + (to-from)/2
		var found event.Position
		var queued time.Time
		err = r.pool.QueryRow(ctx, `SELECT queued_position, queued_at FROM message
			WHERE queued_position >= $1 AND queued_position < $2 ORDER BY queued_position LIMIT 1`, middle, to).Scan(&found, &queued)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			to, err = middle, nil
		case err != nil:
		case queued.Before(at):
			before, from = found, found+1
		default:
			next, to = found, middle
		}
	}
	return before, next, err
}

// PastMessages counts the messages of a sender, or of all if nil, that were queued before
// high and have no event after low. It lists the other messages queued before high, at most
// limit of them.
func (r *ReadModel) PastMessages(
	ctx context.Context, senderID *string, low, high event.Position, limit int,
) (query.PastMessages, error) {
	p := query.PastMessages{Counts: make(map[message.Status]int64)}
	of := `FROM message WHERE queued_position < $1 AND ($2::text IS NULL OR sender = $2)`
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT status, count(*), count(*) FILTER (WHERE sent_twice), count(overdue_since) `+of+` AND position <= $3 GROUP BY status`,
			high, senderID, low)
		if err != nil {
			return err
		}
		var status message.Status
		var n, twice, overdue int64
		if err := eachRow(rows, []any{&status, &n, &twice, &overdue}, func() {
			p.Counts[status] = n
			p.SentTwice += twice
			p.Overdue += overdue
		}); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, `SELECT id `+of+` AND position > $3 LIMIT $4`, high, senderID, low, limit); err != nil {
			return err
		}
		p.Others, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	if err != nil {
		return query.PastMessages{}, fmt.Errorf("read the messages of the past: %w", err)
	}
	return p, nil
}
