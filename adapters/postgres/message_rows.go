package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// messageRows stores the rows of messages.
type messageRows interface {
	// load returns the rows of the messages that the events continue.
	load(ctx context.Context, tx pgx.Tx, events []event.Recorded) (map[uuid.UUID]*messageRow, error)
	// write receives the rows as the batch leaves them. If all is set, tables must contain
	// every row when writes are sent.
	write(ctx context.Context, tx pgx.Tx, touched []*messageRow, all bool, writes *pgx.Batch) error
	// committed is called when the last write is committed, and forget when another process
	// may have written since.
	committed()
	forget()
	// flush writes rows that are not yet in tables.
	flush(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error
}

// recentAtMost bounds the number of rows that a projector remembers, about 1 KB each: those
// of two seconds at full load. Most messages get their next event within that time, from
// their call to their status.
const recentAtMost = 4000

// recentRows stores rows in tables and remembers the last ones that it wrote, so that they
// need not be read again. It is for tables that no other process writes: the position and
// the epoch in each batch's transaction show whether one did.
type recentRows struct {
	most int
	// young has the rows written last, and old the rows written before young was full.
	young, old map[uuid.UUID]*storedMessage
	// touched is the argument of the last write, and changed reports whether a later
	// statement changed rows in the tables.
	touched []*messageRow
	changed bool
}

func newRecentRows(most int) *recentRows {
	r := &recentRows{most: most}
	r.forget()
	return r
}

func (r *recentRows) load(ctx context.Context, tx pgx.Tx, events []event.Recorded) (map[uuid.UUID]*messageRow, error) {
	var unknown []uuid.UUID
	recent := make(map[uuid.UUID]*storedMessage)
	for _, id := range known(events) {
		if m := cmp.Or(r.young[id], r.old[id]); m != nil {
			recent[id] = m
		} else {
			unknown = append(unknown, id)
		}
	}
	rows, err := loadMessages(ctx, tx, unknown)
	if err != nil {
		return nil, err
	}
	for id, m := range recent {
		rows[id] = loadedRow(*m)
	}
	return rows, nil
}

func (r *recentRows) write(_ context.Context, _ pgx.Tx, touched []*messageRow, all bool, writes *pgx.Batch) error {
	r.touched, r.changed = touched, all
	inserts, updates := split(touched)
	if len(inserts) > 0 {
		writes.Queue(insertMessages, arraysOf(messageColumns, inserts)...)
	}
	writeBeside(inserts, updates, writes)
	return nil
}

func (r *recentRows) committed() {
	if r.changed {
		r.forget()
		return
	}
	for _, row := range r.touched {
		if len(r.young) >= r.most/2 {
			r.young, r.old = make(map[uuid.UUID]*storedMessage, r.most/2), r.young
		}
		m := row.storedMessage
		r.young[row.ID] = &m
	}
	r.touched = nil
}

func (r *recentRows) forget() {
	r.young, r.old = make(map[uuid.UUID]*storedMessage, r.most/2), nil
	r.touched, r.changed = nil, false
}

func (r *recentRows) flush(context.Context, pgx.Tx, *pgx.Batch) error { return nil }

// heldAtMost bounds the number of rows that a rebuild holds, about 1.5 KB each.
const heldAtMost = 40_000

// heldRows holds rows back until nothing more is expected of their messages or too many are
// held, so that most messages are written once. It is for tables that are complete only
// after a flush and that no other process writes.
type heldRows struct {
	most int
	held map[uuid.UUID]*messageRow
	// The argument of the last write and the rows that it wrote, until they are committed.
	touched, written []*messageRow
}

func newHeldRows(most int) *heldRows {
	return &heldRows{most: most, held: make(map[uuid.UUID]*messageRow)}
}

func (h *heldRows) load(ctx context.Context, tx pgx.Tx, events []event.Recorded) (map[uuid.UUID]*messageRow, error) {
	h.touched, h.written = nil, nil // from a failed attempt
	ids := known(events)
	rows, err := loadMessages(ctx, tx, slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return h.held[id] != nil }))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if row := h.held[id]; row != nil {
			again := *row // because the batch can fail
			again.before, again.twice, again.late = row.Status, row.SentTwice, row.OverdueSince != nil
			rows[id] = &again
		}
	}
	return rows, nil
}

func (h *heldRows) write(ctx context.Context, tx pgx.Tx, touched []*messageRow, all bool, writes *pgx.Batch) error {
	h.touched, h.written = touched, nil
	all = all || len(h.held)+len(touched) > h.most
	ids := make(map[uuid.UUID]bool, len(touched))
	for _, row := range touched {
		ids[row.ID] = true
		if all || over(row.Status) {
			h.written = append(h.written, row)
		}
	}
	if all {
		for id, row := range h.held {
			if !ids[id] {
				h.written = append(h.written, row)
			}
		}
	}
	return copyMessages(ctx, tx, h.written, writes)
}

// over reports whether no further events are expected for a message.
func over(s message.Status) bool {
	switch s {
	case message.StatusRead, message.StatusFailed, message.StatusDeadLettered, message.StatusCancelled, message.StatusExpired,
		message.StatusDiscarded, message.StatusSuppressed:
		return true
	case message.StatusQueued, message.StatusSending, message.StatusRetrying, message.StatusAmbiguous, message.StatusSent,
		message.StatusDelivered:
	}
	return false
}

func (h *heldRows) committed() {
	for _, row := range h.touched {
		h.held[row.ID] = row
	}
	for _, row := range h.written {
		delete(h.held, row.ID)
	}
	h.touched, h.written = nil, nil
}

// forget does nothing: held rows were never written.
func (h *heldRows) forget() {}

func (h *heldRows) flush(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error {
	h.touched, h.written = nil, slices.Collect(maps.Values(h.held))
	return copyMessages(ctx, tx, h.written, writes)
}

// copyMessages writes thousands of rows at once. COPY takes half the time of INSERT, and
// Postgres stores the first rows while the last are encoded.
func copyMessages(ctx context.Context, tx pgx.Tx, rows []*messageRow, writes *pgx.Batch) error {
	inserts, updates := split(rows)
	if len(inserts) > 0 {
		next, values := 0, make([]any, len(messageColumns))
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"message"}, column(messageColumns, func(c messageColumn) string { return c.name }),
			pgx.CopyFromFunc(func() ([]any, error) {
				if next == len(inserts) {
					return nil, nil
				}
				for i, c := range messageColumns {
					values[i] = c.value(inserts[next])
				}
				next++
				return values, nil
			}))
		if err != nil {
			return err
		}
	}
	writeBeside(inserts, updates, writes)
	return nil
}

// writeBeside writes everything except the rows of new messages.
func writeBeside(inserts, updates []*messageRow, writes *pgx.Batch) {
	if len(inserts) > 0 {
		writeLabels(inserts, writes)
		writeTimes(inserts, writes)
	}
	if len(updates) > 0 {
		writes.Queue(updateMessages, arraysOf(changingColumns, updates)...)
		writeSubstituted(updates, writes)
	}
	writeExceptions(slices.Concat(inserts, updates), writes)
}

// writeSubstituted updates the columns that only the event of a fallback changes.
func writeSubstituted(updates []*messageRow, writes *pgx.Batch) {
	for _, r := range updates {
		if r.substituted {
			writes.Queue(`UPDATE message SET kind = $2, template = $3 WHERE id = $1`, r.ID, string(r.Type), r.Template)
		}
	}
}

func split(rows []*messageRow) (inserts, updates []*messageRow) {
	for _, r := range rows {
		if r.isNew {
			inserts = append(inserts, r)
		} else {
			updates = append(updates, r)
		}
	}
	return inserts, updates
}

// known returns the messages of the events that began before them.
func known(events []event.Recorded) []uuid.UUID {
	var ids []uuid.UUID
	asked := make(map[uuid.UUID]bool, len(events))
	for _, r := range events {
		// A stream begins with Queued, so its row can't exist yet.
		if id, ok := event.ParseMessageStream(r.Stream); ok && !asked[id] {
			asked[id] = true
			if r.Revision > 0 {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// loadMessages reads rows of messages.
func loadMessages(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]*messageRow, error) {
	rows := make(map[uuid.UUID]*messageRow, len(ids))
	if len(ids) == 0 {
		return rows, nil
	}
	list, err := selectMessages(ctx, tx, `WHERE m.id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		rows[m.ID] = loadedRow(m)
	}
	return rows, nil
}
