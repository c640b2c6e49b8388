package postgres

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// streamPage is how many events of a stream are read at once.
const streamPage = 500

// workTypes are the events that bear on the work-list.
func workTypes() []string { return typeNames(message.Types(), "Confirmed", "Delivered", "Read") }

// worklistFold fills work_item. It doesn't want what comes after acceptance: the
// statuses are most of the log, and an accepted message has no work item.
func worklistFold(log event.Log) fold {
	return fold{
		name:   "work list",
		tables: []string{"work_item", "work_count"},
		types:  workTypes(),
		apply: func(ctx context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.Arrival, error) {
			changes, err := foldWork(ctx, log, events)
			if err != nil {
				return nil, err
			}
			changes.write(writes)
			return changes.arrivals(), nil
		},
	}
}

// workChange is what a batch makes of one message's work item. An item that the
// batch doesn't insert is changed where a field is set.
type workChange struct {
	id       uuid.UUID
	sender   string
	insert   bool
	remove   bool
	replace  bool      // the batch may have closed an item of before
	item     work.Item // complete if insert is set
	sendAt   time.Time // with item; zero if it is due at once
	state    *int16
	due      *time.Time
	attempt  *int32
	call     *int32
	revision event.Revision
	position event.Position
}

type workChanges []*workChange

func foldWork(ctx context.Context, log event.Log, events []event.Recorded) (workChanges, error) {
	var changes workChanges
	byStream := make(map[string]*workChange, len(events))
	for _, r := range events {
		e, id, err := messageEvent(r)
		if err != nil {
			return nil, err
		}
		c := byStream[r.Stream]
		if c == nil {
			c = &workChange{id: id}
			byStream[r.Stream] = c
			changes = append(changes, c)
		}
		c.sender, c.revision, c.position = r.Meta.Sender, r.Revision, r.Position
		if _, ok := e.(message.Requeued); ok {
			if err := c.requeue(ctx, log, r); err != nil {
				return nil, err
			}
			continue
		}
		c.apply(r, e)
	}
	return changes, nil
}

// arrivals are the lanes that have something to do which they had not before. What a
// lane has called, or is through with, it knows by itself.
func (changes workChanges) arrivals() []work.Arrival {
	var found []work.Arrival
	seen := make(map[work.Arrival]bool)
	for _, c := range changes {
		a := work.Arrival{Sender: c.sender, Priority: c.item.Priority}
		if c.remove && !c.insert || !c.insert && (c.state == nil || *c.state == stateRank(work.Calling)) || seen[a] {
			continue
		}
		seen[a] = true
		found = append(found, a)
	}
	return found
}

func (c *workChange) apply(r event.Recorded, e message.Event) {
	switch e := e.(type) {
	case message.Queued:
		due := r.Meta.RecordedAt
		fresh := true
		if e.SendAt.After(due) {
			due, fresh = e.SendAt, false
			c.sendAt = e.SendAt
		}
		c.insert, c.remove = true, false
		c.item = work.Item{
			MessageID: c.id, Sender: e.Sender, Priority: e.Priority, State: work.Ready, Fresh: fresh, DueAt: due, ExpiresAt: e.ExpiresAt,
			Recipient: cmp.Or(string(r.Key), e.Personal.To), OnAmbiguous: e.OnAmbiguous, Template: e.Template, QueuedPosition: r.Position,
		}
	case message.SendAttempted:
		c.wait(work.Calling, e.AnswerBy)
		c.count(e.Attempt)
		call := int32(e.Call)
		c.call = &call
	case message.Deferred:
		c.wait(work.Ready, e.DueAt)
		c.count(e.Attempt)
	case message.RetryScheduled:
		c.wait(work.Ready, e.DueAt)
		c.count(e.Attempt)
	case message.OutcomeUnknown:
		c.wait(work.Unsettled, e.SettleBy)
	case message.Failed:
		c.remove = c.remove || e.Final
	case message.Sent, message.DeadLettered, message.Cancelled, message.Expired, message.Discarded:
		c.remove = true
	}
}

func (c *workChange) wait(state work.State, due time.Time) {
	s := stateRank(state)
	c.state, c.due = &s, &due
}

func (c *workChange) count(attempt int) {
	n := int32(attempt)
	c.attempt = &n
}

// requeue makes the item anew. The work-list forgot what Queued said of the message
// when it was closed, so its stream is read: dead letters that are sent again are few.
func (c *workChange) requeue(ctx context.Context, log event.Log, r event.Recorded) error {
	again := workChange{id: c.id, sender: c.sender}
	calls := 0
	var from event.Revision
	for from < r.Revision {
		page, err := log.Read(ctx, r.Stream, from, streamPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return &dataError{fmt.Errorf("stream ends before its revision %d", r.Revision)}
		}
		for _, earlier := range page {
			from = earlier.Revision + 1
			if earlier.Revision >= r.Revision {
				break
			}
			switch e := earlier.Event.(type) {
			case message.Queued:
				again.apply(earlier, e)
			case message.SendAttempted:
				calls = max(calls, e.Call)
			}
		}
	}
	if !again.insert {
		return &dataError{fmt.Errorf("stream has no Queued before its revision %d", r.Revision)}
	}
	again.item.Fresh = false // its place in the order has passed
	again.item.DueAt = r.Meta.RecordedAt
	again.sendAt = time.Time{}
	again.item.Call = calls
	again.replace = true
	again.revision, again.position = r.Revision, r.Position
	*c = again
	return nil
}

// row is the item as it is to be inserted.
func (c *workChange) row() work.Item {
	w := c.item
	w.Revision, w.Position = c.revision, c.position
	if c.state != nil {
		w.State, w.DueAt, w.Fresh = stateOf(int(*c.state)), *c.due, false
	}
	if c.attempt != nil {
		w.Attempt = int(*c.attempt)
	}
	if c.call != nil {
		w.Call = int(*c.call)
	}
	return w
}

func (changes workChanges) write(writes *pgx.Batch) {
	var inserts []work.Item
	var sendAt []*time.Time
	var updates, removals []*workChange
	for _, c := range changes {
		switch {
		case c.insert && c.remove:
			if c.replace {
				removals = append(removals, c)
			}
		case c.insert:
			inserts = append(inserts, c.row())
			sendAt = append(sendAt, timeOrNil(c.sendAt))
			if c.replace {
				removals = append(removals, c)
			}
		case c.remove:
			removals = append(removals, c)
		default:
			updates = append(updates, c)
		}
	}
	if len(removals) > 0 {
		writes.Queue(`DELETE FROM work_item WHERE message_id = ANY ($1)`,
			column(removals, func(c *workChange) uuid.UUID { return c.id }))
	}
	if len(updates) > 0 {
		writes.Queue(`UPDATE work_item w SET state = coalesce(u.state, w.state), due_at = coalesce(u.due_at, w.due_at),
				fresh = w.fresh AND u.state IS NULL, attempt = coalesce(u.attempt, w.attempt), call = coalesce(u.call, w.call),
				revision = u.revision, position = u.position
			FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[])
				AS u (id, state, due_at, attempt, call, revision, position)
			WHERE w.message_id = u.id`,
			column(updates, func(c *workChange) uuid.UUID { return c.id }),
			column(updates, func(c *workChange) *int16 { return c.state }),
			column(updates, func(c *workChange) *time.Time { return c.due }),
			column(updates, func(c *workChange) *int32 { return c.attempt }),
			column(updates, func(c *workChange) *int32 { return c.call }),
			column(updates, func(c *workChange) int64 { return int64(c.revision) }),
			column(updates, func(c *workChange) int64 { return int64(c.position) }))
	}
	if len(inserts) > 0 {
		type item = work.Item
		const names = `message_id, sender, priority, state, fresh, due_at, expires_at, recipient, attempt, call, on_ambiguous,
			template, revision, position, queued_position`
		// A scheduled message counts as such until the second of its time is over.
		writes.Queue(`INSERT INTO work_item (`+names+`, send_at)
			SELECT `+names+`, coalesce(date_trunc('second', send_at + interval '999999 us'), '-infinity')
			FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::smallint[], $5::boolean[], $6::timestamptz[],
				$7::timestamptz[], $8::text[], $9::integer[], $10::integer[], $11::text[], $12::text[], $13::bigint[],
				$14::bigint[], $15::bigint[], $16::timestamptz[]) AS u (`+names+`, send_at)`,
			column(inserts, func(w item) uuid.UUID { return w.MessageID }),
			column(inserts, func(w item) string { return w.Sender }),
			column(inserts, func(w item) int16 { return int16(w.Priority.Rank()) }),
			column(inserts, func(w item) int16 { return stateRank(w.State) }),
			column(inserts, func(w item) bool { return w.Fresh }),
			column(inserts, func(w item) time.Time { return w.DueAt }),
			column(inserts, func(w item) *time.Time { return timeOrNil(w.ExpiresAt) }),
			column(inserts, func(w item) string { return w.Recipient }),
			column(inserts, func(w item) int32 { return int32(w.Attempt) }),
			column(inserts, func(w item) int32 { return int32(w.Call) }),
			column(inserts, func(w item) string { return string(w.OnAmbiguous) }),
			column(inserts, func(w item) string { return w.Template }),
			column(inserts, func(w item) int64 { return int64(w.Revision) }),
			column(inserts, func(w item) int64 { return int64(w.Position) }),
			column(inserts, func(w item) int64 { return int64(w.QueuedPosition) }),
			sendAt)
	}
}

// messageEvent is the event and the message it is about.
func messageEvent(r event.Recorded) (message.Event, uuid.UUID, error) {
	id, ok := event.MessageOf(r.Stream)
	if !ok {
		return nil, uuid.Nil, &dataError{fmt.Errorf("%s in %s, which is no message's stream", r.Type, r.Stream)}
	}
	e, ok := r.Event.(message.Event)
	if !ok {
		return nil, uuid.Nil, &dataError{fmt.Errorf("%s is not known as a message's event", r.Type)}
	}
	return e, id, nil
}

// column makes a column's array of rows, for unnest. The driver walks a FlatArray without
// reflection.
func column[R, V any](rows []R, value func(R) V) pgtype.FlatArray[V] {
	values := make(pgtype.FlatArray[V], len(rows))
	for i, r := range rows {
		values[i] = value(r)
	}
	return values
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orZero[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
