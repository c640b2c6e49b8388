package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// foldedAtMost bounds the number of messages that a foldCheck holds, about 1.5 KB each.
const foldedAtMost = 100_000

// foldCheck compares the live rows of messages with what the aggregate's own fold of the
// event log gives. A fault in a projection's code makes the live rows and the rebuilt ones
// wrong in the same way; this finds it.
//
// It reads the log in order and holds a message until its last event, whose revision the
// message's row names. Messages that it has no room for are left to another pass.
type foldCheck struct {
	tx  pgx.Tx // a snapshot of the live model
	log event.Log
	// positions are those of the groups in the snapshot. A group that has projected nothing
	// is not compared.
	positions map[Group]event.Position
	// parked are the streams that a group leaves out. They are reported on their own.
	parked map[string]bool
	// reported are the rows that are known to differ. They aren't reported again.
	reported map[string]bool
	found    func(Difference) error
	most     int

	differences int64
	held        map[uuid.UUID]*heldMessage
	// late are the messages with an event that only one group has projected.
	late map[uuid.UUID]bool
	// left are the messages for the next pass, and from is where their first event is.
	left map[uuid.UUID]bool
	from event.Position
}

// heldMessage is a message up to the position of each group.
type heldMessage struct {
	views, work foldedMessage
	last        event.Revision
	complete    bool
}

// foldTables are the tables that a foldCheck compares, with their keys.
var foldTables = []struct {
	group     Group
	name, key string
}{{Views, "message", "id"}, {Views, "message_exception", "message_id"}, {Worklist, "work_item", "message_id"}}

func rowName(table string, id any) string { return table + " " + canonical(id) }

// run compares all messages and returns the number of differences that it reported.
func (c *foldCheck) run(ctx context.Context) (int64, error) {
	if err := c.readParked(ctx); err != nil {
		return 0, err
	}
	c.held, c.late = make(map[uuid.UUID]*heldMessage), make(map[uuid.UUID]bool)
	positions := slices.Collect(maps.Values(c.positions))
	if len(positions) == 0 {
		return 0, nil
	}
	low, high := slices.Min(positions), slices.Max(positions)
	err := c.read(ctx, low, high, func(events []event.Recorded) error {
		for _, r := range events {
			if id, ok := event.ParseMessageStream(r.Stream); ok {
				c.late[id] = true
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for only, after := map[uuid.UUID]bool(nil), event.Position(0); ; only, after = c.left, c.from-1 {
		c.left = make(map[uuid.UUID]bool)
		if err := c.read(ctx, after, high, func(events []event.Recorded) error { return c.fold(ctx, only, events) }); err != nil {
			return 0, err
		}
		if err := c.compare(ctx, func(*heldMessage) bool { return true }); err != nil {
			return 0, err
		}
		if len(c.left) == 0 {
			return c.differences, nil
		}
	}
}

func (c *foldCheck) readParked(ctx context.Context) error {
	streams, err := collect[string](ctx, c.tx, `SELECT stream FROM `+ReadModelSchema+`.parked_event`)
	c.parked = make(map[string]bool, len(streams))
	for _, s := range streams {
		c.parked[s] = true
	}
	return err
}

// read passes the events of messages after one position and up to another to do, in
// batches. Personal data stays sealed: what is compared doesn't depend on it.
func (c *foldCheck) read(ctx context.Context, after, target event.Position, do func([]event.Recorded) error) error {
	if after >= target {
		return nil
	}
	batches := make(chan event.Batch, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return readTo(ctx, c.log, event.Subscription{
			After: after, Filter: event.Filter{StreamPrefixes: []string{event.MessageStreams}}, MaxBatch: readBatch, Sealed: true,
		}, rebuildBatch, target, batches)
	})
	group.Go(func() error {
		for b := range batches {
			if err := do(storableEvents(b.Events)); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// fold applies a batch, and compares the messages of which it had the last event.
func (c *foldCheck) fold(ctx context.Context, only map[uuid.UUID]bool, events []event.Recorded) error {
	revisions, err := c.lastRevisions(ctx, only, events)
	if err != nil {
		return err
	}
	for _, r := range events {
		e, isMessage := r.Event.(message.Event)
		id, ok := event.ParseMessageStream(r.Stream)
		if !ok || !isMessage || only != nil && !only[id] || c.left[id] {
			continue
		}
		h := c.held[id]
		if h == nil && r.Revision > 0 {
			// It was compared at the revision of its row, which was not its last.
			if r.Position <= c.positions[Views] && !c.parked[r.Stream] {
				if err := c.report(Difference{Table: "message", Key: map[string]any{"id": id.String()}, Kind: Changed, Columns: []string{"revision"}}); err != nil {
					return err
				}
			}
			continue
		}
		if h == nil {
			if len(c.held) >= c.most {
				if len(c.left) == 0 {
					c.from = r.Position
				}
				c.left[id] = true
				continue
			}
			h = &heldMessage{views: foldedMessage{id: id}, work: foldedMessage{id: id}, last: revisions[id]}
			c.held[id] = h
		}
		if r.Position <= c.positions[Views] {
			h.views.apply(r, e)
		}
		if r.Position <= c.positions[Worklist] {
			h.work.apply(r, e)
		}
		h.complete = r.Revision >= h.last && !c.late[id]
	}
	return c.compare(ctx, func(h *heldMessage) bool { return h.complete })
}

// lastRevisions returns the revisions of the rows of messages that begin in the batch. A
// message without a row is held until the end.
func (c *foldCheck) lastRevisions(ctx context.Context, only map[uuid.UUID]bool, events []event.Recorded) (map[uuid.UUID]event.Revision, error) {
	const never = 1<<63 - 1
	found := make(map[uuid.UUID]event.Revision)
	for _, r := range events {
		if id, ok := event.ParseMessageStream(r.Stream); ok && r.Revision == 0 && (only == nil || only[id]) {
			found[id] = never
		}
	}
	ids := make([]uuid.UUID, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	rows, err := c.tx.Query(ctx, `SELECT id, revision FROM `+ReadModelSchema+`.message WHERE id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	var id uuid.UUID
	var revision event.Revision
	_, err = pgx.ForEachRow(rows, []any{&id, &revision}, func() error {
		found[id] = revision
		return nil
	})
	return found, err
}

// compare compares the held messages that are ready, in their order in the log, and
// drops them.
func (c *foldCheck) compare(ctx context.Context, ready func(*heldMessage) bool) error {
	var list []*heldMessage
	for _, h := range c.held {
		if ready(h) {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *heldMessage) int { return cmp.Compare(a.position(), b.position()) })
	for part := range slices.Chunk(list, readBatch) {
		for _, table := range foldTables {
			if _, projected := c.positions[table.group]; !projected {
				continue
			}
			rows, err := c.rows(ctx, table.name, table.key, part)
			if err != nil {
				return err
			}
			for _, h := range part {
				folded := &h.views
				if table.group == Worklist {
					folded = &h.work
				}
				if c.parked[event.MessageStream(h.id())] {
					continue
				}
				if err := c.compareRow(table.name, table.key, h.id(), rows[h.id()], folded.rows()[table.name]); err != nil {
					return err
				}
			}
		}
	}
	for _, h := range list {
		delete(c.held, h.id())
	}
	return nil
}

func (h *heldMessage) id() uuid.UUID { return h.views.id }

func (h *heldMessage) position() event.Position {
	return max(h.views.queued.Position, h.work.queued.Position)
}

// rows returns the live rows of messages.
func (c *foldCheck) rows(ctx context.Context, table, key string, messages []*heldMessage) (map[uuid.UUID]rowValues, error) {
	rows, err := c.tx.Query(ctx, `SELECT * FROM `+pgx.Identifier{ReadModelSchema, table}.Sanitize()+` WHERE `+key+` = ANY ($1)`,
		column(messages, (*heldMessage).id))
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]rowValues, len(list))
	for _, row := range list {
		id, ok := row[key].(uuid.UUID)
		if !ok {
			return nil, errors.New("the key of " + table + " is not a UUID")
		}
		byID[id] = row
	}
	return byID, nil
}

func (c *foldCheck) compareRow(table, key string, id uuid.UUID, row, expected rowValues) error {
	d := Difference{Table: table, Key: map[string]any{key: id.String()}, Kind: Changed}
	switch {
	case row == nil && expected == nil:
		return nil
	case row == nil:
		d.Kind = Missing
	case expected == nil:
		d.Kind = Surplus
	default:
		if d.Columns = row.differing(expected); len(d.Columns) == 0 {
			return nil
		}
	}
	return c.report(d)
}

// report reports a difference, unless its row has been reported.
func (c *foldCheck) report(d Difference) error {
	for _, id := range d.Key {
		row := rowName(d.Table, id)
		if c.reported[row] {
			return nil
		}
		c.reported[row] = true
	}
	c.differences++
	return c.found(d)
}
