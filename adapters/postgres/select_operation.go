package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
)

// selectionRun is the number of IDs of a selection that are passed on at a time.
const selectionRun = 5_000

// SelectMessages passes on the IDs of all messages that match the filter at one moment,
// oldest first. It holds a connection until the last ID has been passed on.
func (r *ReadModel) SelectMessages(ctx context.Context, f query.MessageFilter, yield func([]uuid.UUID) error) error {
	c, err := r.messageConditions(ctx, f)
	if err != nil {
		return err
	}
	return r.selectIDs(ctx, c, yield)
}

// SelectDeadLetters does the same for dead letters.
func (r *ReadModel) SelectDeadLetters(ctx context.Context, f query.DeadLetterFilter, yield func([]uuid.UUID) error) error {
	return r.selectIDs(ctx, r.deadLetterConditions(f), yield)
}

// selectIDs reads one statement's result as it is consumed, so that memory use doesn't grow
// with it.
func (r *ReadModel) selectIDs(ctx context.Context, c conditions, yield func([]uuid.UUID) error) error {
	run := make([]uuid.UUID, 0, selectionRun)
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// It lasts for as long as the operation takes to record its selection.
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = `+strconv.FormatInt(selectTimeout.Milliseconds(), 10)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT m.id FROM message m `+c.where()+` ORDER BY `+c.order(), c.args...)
		if err != nil {
			return err
		}
		var id uuid.UUID
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			if run = append(run, id); len(run) < selectionRun {
				return nil
			}
			full := run
			run = make([]uuid.UUID, 0, selectionRun)
			return yield(full)
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("select messages: %w", err)
	}
	if len(run) == 0 {
		return nil
	}
	return yield(run)
}
