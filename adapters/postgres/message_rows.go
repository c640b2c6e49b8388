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

// messageRows keeps the rows of messages.
type messageRows interface {
	// load answers the rows of the messages that the events go on with.
	load(ctx context.Context, tx pgx.Tx, events []event.Recorded) (map[uuid.UUID]*messageRow, error)
	// write takes the rows as the batch leaves them. all says that tables have to hold
	// every row when writes are sent.
	write(ctx context.Context, tx pgx.Tx, touched []*messageRow, all bool, writes *pgx.Batch) error
	// committed is told that what was written last stands, and forget that others may
	// have written since.
	committed()
	forget()
	// flush writes what is kept elsewhere than in tables.
	flush(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error
}

// recentAtMost bounds how many rows a projector remembers, each some 1 KB: those of two
// seconds at full load. From its call to its status most messages are heard of again
// within that.
const recentAtMost = 4000

// recentRows keeps rows in tables, and remembers the last ones that it wrote, so that
// they need not be read again. That is for tables which nobody else writes: the position
// and the epoch that each batch's transaction steps from tell whether someone did.
type recentRows struct {
	most int
	// young has what was written last, old what was so before young was full.
	young, old map[uuid.UUID]*storedMessage
	// touched is what write was given last, and changed whether what followed it changed
	// rows in the tables.
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

// heldAtMost bounds how many rows a rebuild holds, each some 1.5 KB.
const heldAtMost = 40_000

// heldRows hold rows back until nothing more is expected of their messages, or too many
// are held: most messages are then written once. That is for tables which are complete
// only when all is flushed, and which nobody else writes.
type heldRows struct {
	most int
	held map[uuid.UUID]*messageRow
	// What write was given and wrote, until that stands.
	touched, written []*messageRow
}

func newHeldRows(most int) *heldRows {
	return &heldRows{most: most, held: make(map[uuid.UUID]*messageRow)}
}

func (h *heldRows) load(ctx context.Context, tx pgx.Tx, events []event.Recorded) (map[uuid.UUID]*messageRow, error) {
	h.touched, h.written = nil, nil // of an attempt that failed
	ids := known(events)
	rows, err := loadMessages(ctx, tx, slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return h.held[id] != nil }))
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if row := h.held[id]; row != nil {
			again := *row // the batch may fail
			again.before, again.twice = row.Status, row.SentTwice
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

// over reports whether nothing more is expected of a message.
func over(s message.Status) bool {
	switch s {
	case message.StatusRead, message.StatusFailed, message.StatusDeadLettered, message.StatusCancelled, message.StatusExpired,
		message.StatusDiscarded:
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

// forget has nothing to do: what is held was never written.
func (h *heldRows) forget() {}

func (h *heldRows) flush(ctx context.Context, tx pgx.Tx, writes *pgx.Batch) error {
	h.touched, h.written = nil, slices.Collect(maps.Values(h.held))
	return copyMessages(ctx, tx, h.written, writes)
}

// copyMessages writes thousands of rows at once: COPY takes half of what INSERT does,
// and Postgres stores the first of them while the last are encoded.
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

// writeBeside writes all but the rows of new messages.
func writeBeside(inserts, updates []*messageRow, writes *pgx.Batch) {
	if len(inserts) > 0 {
		writeLabels(inserts, writes)
		writeTimes(inserts, writes)
	}
	if len(updates) > 0 {
		writes.Queue(updateMessages, arraysOf(changingColumns, updates)...)
	}
	writeExceptions(slices.Concat(inserts, updates), writes)
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

// known are the messages of the events that began before them.
func known(events []event.Recorded) []uuid.UUID {
	var ids []uuid.UUID
	asked := make(map[uuid.UUID]bool, len(events))
	for _, r := range events {
		// A stream begins with Queued, so its row can't stand yet.
		if id, ok := event.MessageOf(r.Stream); ok && !asked[id] {
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
