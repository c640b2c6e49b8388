package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

// storedMessage is a message as it is stored in its row.
type storedMessage struct {
	query.Message
	sealed

	deliverWithin time.Duration // in microseconds; 0 if it has none
	// deliverBy is when the delivery of a SENT message will be overdue. It is nil if it has
	// no such time, or if that is recorded.
	deliverBy *time.Time
}

// selectMessages reads messages. tail follows FROM message m.
func selectMessages(ctx context.Context, q querier, tail string, args ...any) ([]storedMessage, error) {
	rows, err := q.Query(ctx, `SELECT m.id, m.queued_position, m.revision, m.position, m.sender, m.kind, m.priority,
			m.on_ambiguous, m.template, m.queued_at, m.send_at, m.expires_at, m.status,
			m.status_reason, m.attempts, m.calls, m.sent_at, m.delivered_at, m.read_at, m.retry_at,
			m.dead_lettered_at, m.failure, m.sent_twice, m.erased_at, coalesce(m.data_key, ''), m.personal, m.whatsapp_id,
			m.failure_details, m.wamid_hashes, m.label_hashes, m.personal_events,
			coalesce(m.deliver_within_us, 0), m.deliver_by, m.overdue_since
		FROM message m `+tail, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanMessage)
}

func scanMessage(row pgx.CollectableRow) (storedMessage, error) {
	var m storedMessage
	var rank int
	var failure []byte
	var within int64
	err := row.Scan(&m.ID, &m.QueuedPosition, &m.Revision, &m.Position, &m.SenderID, &m.Type, &rank,
		&m.OnAmbiguous, &m.Template, &m.QueuedAt, &m.SendAt, &m.ExpiresAt, &m.Status,
		&m.StatusReason, &m.Attempts, &m.Calls, &m.SentAt, &m.DeliveredAt, &m.ReadAt, &m.RetryAt,
		&m.DeadLetteredAt, &failure, &m.SentTwice, &m.ErasedAt, &m.key, &m.personal, &m.whatsAppID,
		&m.details, &m.wamids, &m.labelHashes, &m.events,
		&within, &m.deliverBy, &m.OverdueSince)
	if err != nil {
		return m, err
	}
	m.deliverWithin = time.Duration(within) * time.Microsecond
	m.Priority = priorityOf(rank)
	if failure != nil {
		if err := json.Unmarshal(failure, &m.Failure); err != nil {
			return m, fmt.Errorf("failure of message %s: %w", m.ID, err)
		}
	}
	return m, nil
}

// priorityOf returns the priority with a rank, which is what tables store.
func priorityOf(rank int) message.Priority {
	all := message.Priorities()
	return all[min(max(rank, 0), len(all)-1)]
}
