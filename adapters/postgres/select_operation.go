package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
)

// selectionRun is how many ids of a selection are handed over at a time.
const selectionRun = 5_000

// SelectMessages hands over the ids of all messages that the filter finds at one
// moment, the oldest first. It holds a connection until the last is taken.
func (r *ReadModel) SelectMessages(ctx context.Context, f query.MessageFilter, yield func([]uuid.UUID) error) error {
	c, err := r.messageConditions(ctx, f)
	if err != nil {
		return err
	}
	return r.selectIDs(ctx, c, yield)
}

// SelectDeadLetters does the same with dead letters.
func (r *ReadModel) SelectDeadLetters(ctx context.Context, f query.DeadLetterFilter, yield func([]uuid.UUID) error) error {
	return r.selectIDs(ctx, r.deadLetterConditions(f), yield)
}

// selectIDs reads one statement's result as it is taken, so that memory does not
// grow with it.
func (r *ReadModel) selectIDs(ctx context.Context, c conditions, yield func([]uuid.UUID) error) error {
	rows, err := r.pool.Query(ctx, `SELECT m.id FROM message m `+c.where()+` ORDER BY `+c.order(), c.args...)
	if err != nil {
		return fmt.Errorf("select messages: %w", err)
	}
	defer rows.Close()
	var id uuid.UUID
	run := make([]uuid.UUID, 0, selectionRun)
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		if run = append(run, id); len(run) < selectionRun {
			return nil
		}
		full := run
		run = make([]uuid.UUID, 0, selectionRun)
		return yield(full)
	})
	if err != nil {
		return fmt.Errorf("select messages: %w", err)
	}
	if len(run) == 0 {
		return nil
	}
	return yield(run)
}
