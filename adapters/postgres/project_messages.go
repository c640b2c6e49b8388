package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// Counters of message_count in addition to the statuses. Unlike the others, the overdue
// messages are those of now.
const (
	countQueued    = "queued"
	countSentTwice = "sent_twice"
	countOverdue   = "overdue"
)

// messagesFold returns the projection that fills the tables of messages, the ledger's
// counts, and the metrics. rows is where the rows of messages are stored.
func messagesFold(vault Vault, rows messageRows) projection {
	var sweep secondsSweep
	return projection{
		name:   "messages",
		tables: append([]string{"message", "message_exception", "message_wamid", "message_label", "message_time", "message_count"}, metricTables()...),
		types:  append(typeNames(message.Types()), event.PersonalErased{}.EventType()),
		apply: func(ctx context.Context, tx pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
			figures := newTally()
			if err := applyMessages(ctx, tx, rows, sealer{ctx, vault}, events, writes, figures); err != nil {
				return nil, err
			}
			figures.write(writes)
			sweep.run(figures.newest, writes)
			return nil, nil
		},
		committed: rows.committed,
		forget:    rows.forget,
		flush:     rows.flush,
	}
}

// messageRow is a message before and after a batch. The fold is the aggregate's own, on a
// message without its calls: except for their number, a row doesn't depend on them.
type messageRow struct {
	storedMessage

	folded    message.Message
	isNew     bool // has no row yet
	exception bool // has a row in message_exception
	before    message.Status
	twice     bool // was counted as sent twice
	// substituted is set if the batch has the event that sends the message's fallback.
	substituted bool
	late        bool // was counted as overdue
}

func applyMessages(
	ctx context.Context, tx pgx.Tx, kept messageRows, seal sealer, events []event.Recorded, writes *pgx.Batch, figures *tally,
) error {
	rows, err := kept.load(ctx, tx, events)
	if err != nil {
		return err
	}
	var order []*messageRow
	seen := make(map[uuid.UUID]bool, len(rows))
	counts := make(counts)
	var wamids []wamidRow
	var erasures []event.Recorded
	for _, r := range events {
		if _, ok := r.Event.(event.PersonalErased); ok {
			erasures = append(erasures, r)
			continue
		}
		e, id, err := messageEvent(r)
		if err != nil {
			return err
		}
		row := rows[id]
		queued, isFirst := e.(message.Queued)
		switch {
		case row == nil && !isFirst:
			return &dataError{fmt.Errorf("%s of a message of which no Queued was projected", r.Type)}
		case row != nil && isFirst:
			return &dataError{fmt.Errorf("second Queued of a message")}
		case isFirst:
			row = newMessageRow(id, r, queued)
			if row.sealed, err = seal.queued(r, id, queued.Personal); err != nil {
				return err
			}
			rows[id] = row
			counts.add(queued.Sender, countQueued, 1)
		}
		if !seen[id] {
			seen[id] = true
			order = append(order, row)
		}
		before := row.standing()
		row.apply(r, e)
		if err := seal.apply(&row.sealed, r, id, e); err != nil {
			return err
		}
		figures.add(r, e, before, row)
		if sent, ok := e.(message.Sent); ok && sent.Personal.WhatsAppID != "" {
			wamids = append(wamids, wamidRow{hash: wamidHash(sent.Personal.WhatsAppID), message: id, call: sent.Call})
		}
	}
	for _, row := range order {
		if after := row.Status; after != row.before {
			if row.before != "" {
				counts.add(row.SenderID, string(row.before), -1)
			}
			counts.add(row.SenderID, string(after), 1)
		}
		if row.SentTwice && !row.twice {
			counts.add(row.SenderID, countSentTwice, 1)
		}
		switch late := row.OverdueSince != nil; {
		case late && !row.late:
			counts.add(row.SenderID, countOverdue, 1)
		case row.late && !late:
			counts.add(row.SenderID, countOverdue, -1)
		}
	}
	if err := kept.write(ctx, tx, order, len(erasures) > 0, writes); err != nil {
		return err
	}
	writeWamids(wamids, writes)
	for _, r := range erasures { // last, because they change the rows that the batch leaves
		if e, ok := r.Event.(event.PersonalErased); ok {
			erase(writes, r, e)
		}
	}
	counts.write(writes)
	return nil
}

func newMessageRow(id uuid.UUID, r event.Recorded, e message.Queued) *messageRow {
	within := message.Message{}.Apply(message.Record{Event: e, At: r.Meta.RecordedAt}).DeliverWithin
	return &messageRow{isNew: true, storedMessage: storedMessage{deliverWithin: within, Message: query.Message{
		ID: id, QueuedPosition: r.Position, SenderID: e.Sender, Type: e.Kind,
		Priority: e.Priority, OnAmbiguous: e.OnAmbiguous, Template: textOrNil(e.Template),
		QueuedAt: r.Meta.RecordedAt, SendAt: timeOrNil(e.SendAt), ExpiresAt: timeOrNil(e.ExpiresAt),
	}}}
}

// loadedRow returns a row with what it stores of the folded message.
func loadedRow(m storedMessage) *messageRow {
	f := message.Message{
		Sender: m.SenderID, Status: m.Status, Attempts: m.Attempts, DueAt: orZero(cmp.Or(m.RetryAt, m.deliverBy)),
		DeliverWithin: m.deliverWithin, OverdueSince: orZero(m.OverdueSince),
		SentAt: orZero(m.SentAt), DeliveredAt: orZero(m.DeliveredAt), ReadAt: orZero(m.ReadAt),
		SentTwice: m.SentTwice, DeadLetteredAt: orZero(m.DeadLetteredAt), Reason: orZero(m.StatusReason),
	}
	if m.Failure != nil {
		f.Failure = &message.StoredFailure{Failure: m.Failure.Failure, At: m.Failure.At}
	}
	return &messageRow{
		storedMessage: m, folded: f, before: m.Status, twice: m.SentTwice, late: m.OverdueSince != nil,
		exception: exceptional(m.Message),
	}
}

func (row *messageRow) apply(r event.Recorded, e message.Event) {
	row.Revision, row.Position = r.Revision, r.Position
	if attempted, ok := e.(message.SendAttempted); ok {
		row.Calls = max(row.Calls, attempted.Call)
	}
	m := row.folded.Apply(message.Record{Event: e, At: r.Meta.RecordedAt})
	m.Calls = nil // the row keeps only their number
	row.folded = m
	if _, ok := e.(message.Substituted); ok {
		row.Type, row.Template, row.substituted = m.Kind, textOrNil(m.Template), true
	}
	row.Status, row.Attempts, row.SentTwice = m.Status, m.Attempts, m.SentTwice
	row.StatusReason = textOrNil(storableText(m.Reason))
	update(&row.SentAt, m.SentAt)
	update(&row.DeliveredAt, m.DeliveredAt)
	update(&row.ReadAt, m.ReadAt)
	update(&row.DeadLetteredAt, m.DeadLetteredAt)
	update(&row.OverdueSince, m.OverdueSince)
	row.RetryAt, row.Failure, row.deliverBy = nil, nil, nil
	switch m.Status {
	case message.StatusRetrying:
		row.RetryAt = timeOrNil(m.DueAt)
	case message.StatusSent:
		row.deliverBy = timeOrNil(m.DueAt)
	default: // DueAt means something else, or nothing
	}
	if m.Failure != nil {
		row.Failure = &query.MessageFailure{Failure: m.Failure.Failure, At: m.Failure.At}
	}
}

// update sets a column to a time, or to nil if it is zero. It allocates only if that changes the
// column: most events change at most one.
func update(column **time.Time, t time.Time) {
	if *column == nil || **column != t {
		*column = timeOrNil(t)
	}
}

// exceptional reports whether a message has a row in message_exception. Most messages have
// been delivered and never failed. Those that wait to be sent have a work item instead.
func exceptional(m query.Message) bool { return m.Failure != nil || exceptionalStatus(m.Status) }

func exceptionalStatus(s message.Status) bool {
	switch s {
	case message.StatusQueued, message.StatusSending, message.StatusDelivered, message.StatusRead:
		return false
	case message.StatusRetrying, message.StatusAmbiguous, message.StatusSent, message.StatusFailed, message.StatusDeadLettered,
		message.StatusCancelled, message.StatusExpired, message.StatusDiscarded, message.StatusSuppressed:
	}
	return true
}

// writeLabels adds new messages to the lists of their labels.
func writeLabels(inserts []*messageRow, writes *pgx.Batch) {
	var hashes [][]byte
	var positions []int64
	var senders []string
	for _, r := range inserts {
		for _, h := range r.labelHashes {
			hashes, positions, senders = append(hashes, h), append(positions, int64(r.QueuedPosition)), append(senders, r.SenderID)
		}
	}
	if len(hashes) == 0 {
		return
	}
	writes.Queue(`INSERT INTO message_label (label_hash, queued_position, sender)
		SELECT hash, position, sender FROM unnest($1::bytea[], $2::bigint[], $3::text[]) AS u (hash, position, sender)
		ON CONFLICT DO NOTHING`, hashes, positions, senders)
}

// timeStep is the precision with which message_time maps times to positions.
const timeStep = 10 * time.Second

// writeTimes records the positions between which new messages were queued, by time.
func writeTimes(inserts []*messageRow, writes *pgx.Batch) {
	type reach struct{ first, last int64 }
	found := make(map[time.Time]reach)
	for _, r := range inserts {
		at, position := r.QueuedAt.UTC().Truncate(timeStep), int64(r.QueuedPosition)
		have, ok := found[at]
		if !ok {
			have = reach{position, position}
		}
		found[at] = reach{min(have.first, position), max(have.last, position)}
	}
	times := slices.SortedFunc(maps.Keys(found), time.Time.Compare)
	writes.Queue(`INSERT INTO message_time AS t (at, first_position, last_position)
		SELECT at, first, last FROM unnest($1::timestamptz[], $2::bigint[], $3::bigint[]) AS u (at, first, last)
		ON CONFLICT (at) DO UPDATE SET first_position = least(t.first_position, excluded.first_position),
			last_position = greatest(t.last_position, excluded.last_position)`,
		times,
		column(times, func(t time.Time) int64 { return found[t].first }),
		column(times, func(t time.Time) int64 { return found[t].last }))
}

func writeExceptions(order []*messageRow, writes *pgx.Batch) {
	type row = *messageRow
	var gone []uuid.UUID
	var stand []row
	for _, r := range order {
		switch {
		case exceptional(r.Message):
			stand = append(stand, r)
		case r.exception:
			gone = append(gone, r.ID)
		}
	}
	if len(gone) > 0 {
		writes.Queue(`DELETE FROM message_exception WHERE message_id = ANY ($1)`, gone)
	}
	if len(stand) > 0 {
		const names = `message_id, sender, status, queued_position, error_category, error_code, dead_lettered_at, deliver_by, overdue_since, label_hashes`
		writes.Queue(`INSERT INTO message_exception (`+names+`) SELECT `+names+`::bytea[]
			FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::integer[], $7::timestamptz[],
				$8::timestamptz[], $9::timestamptz[], $10::text[])
				AS u (`+names+`)
			ON CONFLICT (message_id) DO UPDATE SET status = excluded.status, error_category = excluded.error_category,
				error_code = excluded.error_code, dead_lettered_at = excluded.dead_lettered_at,
				deliver_by = excluded.deliver_by, overdue_since = excluded.overdue_since`,
			column(stand, func(r row) uuid.UUID { return r.ID }),
			column(stand, func(r row) string { return r.SenderID }),
			column(stand, func(r row) string { return string(r.Status) }),
			column(stand, func(r row) int64 { return int64(r.QueuedPosition) }),
			column(stand, func(r row) *string {
				if r.Failure == nil {
					return nil
				}
				return textOrNil(string(r.Failure.Category))
			}),
			column(stand, func(r row) *int32 {
				if r.Failure == nil || r.Failure.Code == nil {
					return nil
				}
				code := int32(storableInt(*r.Failure.Code))
				return &code
			}),
			column(stand, func(r row) *time.Time { return r.DeadLetteredAt }),
			column(stand, func(r row) *time.Time { return r.deliverBy }),
			column(stand, func(r row) *time.Time { return r.OverdueSince }),
			column(stand, func(r row) *string { return hashesOrNil(r.labelHashes) }))
	}
}

type wamidRow struct {
	hash    uuid.UUID
	message uuid.UUID
	call    int
}

// wamidHash returns the key of a WhatsApp ID in message_wamid: the first 16 bytes of its
// SHA-256, which are unique in practice.
func wamidHash(whatsAppID string) uuid.UUID {
	sum := sha256.Sum256([]byte(whatsAppID))
	return uuid.UUID(sum[:16])
}

func writeWamids(rows []wamidRow, writes *pgx.Batch) {
	if len(rows) == 0 {
		return
	}
	writes.Queue(`INSERT INTO message_wamid (wamid_hash, message_id, call)
		SELECT hash, message, call FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS u (hash, message, call)
		ON CONFLICT DO NOTHING`,
		column(rows, func(w wamidRow) uuid.UUID { return w.hash }),
		column(rows, func(w wamidRow) uuid.UUID { return w.message }),
		column(rows, func(w wamidRow) int32 { return int32(w.call) }))
}

// counts are the changes of message_count, by sender and counter.
type counts map[[2]string]int64

func (c counts) add(sender, counter string, n int64) { c[[2]string{sender, counter}] += n }

// write adds the changes to the batch.
func (c counts) write(writes *pgx.Batch) {
	var senders, counters []string
	var deltas []int64
	for key, n := range c {
		if n != 0 {
			senders, counters, deltas = append(senders, key[0]), append(counters, key[1]), append(deltas, n)
		}
	}
	if len(deltas) > 0 {
		writes.Queue(`INSERT INTO message_count AS c (sender, counter, count)
			SELECT sender, counter, delta FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (sender, counter, delta)
			ON CONFLICT (sender, counter) DO UPDATE SET count = c.count + excluded.count`, senders, counters, deltas)
	}
}

// uuidsOrNil returns an array in Postgres's text form, or nil if it is empty.
func uuidsOrNil(ids []uuid.UUID) *string {
	if len(ids) == 0 {
		return nil
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	s := "{" + strings.Join(texts, ",") + "}"
	return &s
}

// hashesOrNil returns an array of bytes in Postgres's text form, or nil if it is empty.
func hashesOrNil(hashes [][]byte) *string {
	if len(hashes) == 0 {
		return nil
	}
	texts := make([]string, len(hashes))
	for i, h := range hashes {
		texts[i] = `"\\x` + hex.EncodeToString(h) + `"`
	}
	s := "{" + strings.Join(texts, ",") + "}"
	return &s
}

// jsonOrNil returns v as JSON. Its arguments here can always be encoded.
func jsonOrNil(v any, isNil bool) *string {
	if isNil {
		return nil
	}
	s, err := storableJSON(v)
	if err != nil {
		return nil
	}
	return &s
}
