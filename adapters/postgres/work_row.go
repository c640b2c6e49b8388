package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// scanWork reads the position and, if the outer join found one, an item.
func scanWork(rows pgx.Rows) (*work.Item, event.Position, error) {
	var position event.Position
	var row struct {
		id                             *uuid.UUID
		sender, recipient              *string
		onAmbiguous, template          *string
		priority, state, attempt, call *int
		fresh, awaitsLimit             *bool
		dueAt, expiresAt               *time.Time
		revision, position, queued     *int64
		labels                         []string
	}
	err := rows.Scan(&position, &row.id, &row.sender, &row.priority, &row.state, &row.fresh, &row.dueAt, &row.expiresAt,
		&row.recipient, &row.attempt, &row.call, &row.onAmbiguous, &row.template, &row.revision, &row.position, &row.queued, &row.awaitsLimit, &row.labels)
	if err != nil || row.id == nil {
		return nil, position, err
	}
	return &work.Item{
		MessageID: *row.id, Sender: *row.sender, Priority: priorityOf(*row.priority), State: stateOf(*row.state),
		Fresh: *row.fresh, DueAt: *row.dueAt, ExpiresAt: orZero(row.expiresAt), Recipient: *row.recipient,
		Attempt: *row.attempt, Call: *row.call, OnAmbiguous: message.AmbiguityPolicy(*row.onAmbiguous), Template: *row.template,
		Revision: event.Revision(*row.revision), Position: event.Position(*row.position),
		QueuedPosition: event.Position(*row.queued), AwaitsLimit: *row.awaitsLimit, Labels: row.labels,
	}, position, nil
}

// stateRank returns a state as work_item stores it: 0 is ready, a greater number means that
// it was called.
func stateRank(s work.State) int16 {
	switch s {
	case work.Calling:
		return 1
	case work.Unsettled:
		return 2
	case work.Ready, work.Undelivered: // an undelivered message has no row
	}
	return 0
}

func stateOf(rank int) work.State {
	switch rank {
	case 1:
		return work.Calling
	case 2:
		return work.Unsettled
	}
	return work.Ready
}
