package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// streamPage is the maximum number of events read from a stream at once.
const streamPage = 500

// worklistProjection returns the projection that fills work_item. Without a vault, the items have
// no labels.
func worklistProjection(log event.Log, v Vault) projection {
	return projection{
		name:   "work list",
		tables: []string{"work_item", "work_count"},
		types:  append(work.EventTypes(), event.PersonalErased{}.EventType()),
		apply: func(ctx context.Context, _ pgx.Tx, events []event.Recorded, writes *pgx.Batch) ([]work.NewWork, error) {
			events, erased := withoutErasures(events)
			changes, err := foldWork(ctx, log, events)
			if err != nil {
				return nil, err
			}
			if v != nil {
				changes.identifyLabels(v)
			}
			changes.write(writes)
			if len(erased) > 0 { // last, because it concerns inserted items too
				writes.Queue(`UPDATE work_item SET labels = NULL WHERE recipient = ANY ($1) AND labels IS NOT NULL`, erased)
			}
			return changes.newWork(), nil
		},
	}
}

// workChange is the effect of a batch on the work item of one message.
type workChange struct {
	id     uuid.UUID
	sender string
	work.Entry
	// reopened is set if the entry was folded from the start of the stream. The batch may
	// have closed an item that an earlier one inserted.
	reopened bool
}

type workChanges []*workChange

// withoutErasures returns the events without erasures, and the keys that these destroyed. Those that
// retention destroyed are left out: it keeps the keys of open messages, and others have no item.
func withoutErasures(events []event.Recorded) (others []event.Recorded, erased []event.KeyID) {
	for _, r := range events {
		if e, ok := r.Event.(event.PersonalErased); ok && e.Cause != event.ErasedByRetention {
			erased = append(erased, e.Keys...)
		}
	}
	return filterByType(events, work.EventTypes()), erased
}

// identifyLabels sets the labels of the items that are known from their start.
func (changes workChanges) identifyLabels(v Vault) {
	for _, c := range changes {
		for _, l := range c.Labels {
			c.Item.Labels = append(c.Item.Labels, LabelIndex(v, l))
		}
	}
}

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
		c.sender = r.Meta.Sender
		if work.Reopens(e) && !c.Complete {
			if c.Entry, err = refold(ctx, log, r); err != nil {
				return nil, err
			}
			c.reopened = true
			continue
		}
		c.Entry = work.Apply(c.Entry, r)
	}
	return changes, nil
}

// newWork returns the lanes that have something to do which they didn't have before. A
// lane knows what it has called and what it has finished.
func (changes workChanges) newWork() []work.NewWork {
	var found []work.NewWork
	seen := make(map[work.NewWork]bool)
	for _, c := range changes {
		a := work.NewWork{Sender: c.sender, Priority: c.Item.Priority}
		called := !c.Complete && (!c.StateKnown || c.Item.State == work.Calling)
		if c.Closed || called || seen[a] {
			continue
		}
		seen[a] = true
		found = append(found, a)
	}
	return found
}

// refold returns the entry of a message after r, which reopened it, folded from the start of
// its stream. The work list keeps nothing about a closed message, so the stream must be
// read; messages that are sent again are few.
func refold(ctx context.Context, log event.Log, r event.Recorded) (work.Entry, error) {
	earlier, err := readBefore(ctx, log, r)
	if err != nil {
		return work.Entry{}, err
	}
	// A subscription waits for data keys, but a read doesn't. Without the key, the item has no
	// labels. That is correct, and better than a work list that waits for one message.
	e := work.Apply(work.Fold(storableEvents(earlier)...), r)
	if len(earlier) < int(r.Revision) {
		return e, &dataError{fmt.Errorf("stream ends before its revision %d", r.Revision)}
	}
	if !e.Complete {
		return e, &dataError{fmt.Errorf("stream has no Queued before its revision %d", r.Revision)}
	}
	return e, nil
}

// readBefore reads the events of a stream before r. It returns fewer of them if the
// stream is shorter.
func readBefore(ctx context.Context, log event.Log, r event.Recorded) ([]event.Recorded, error) {
	var events []event.Recorded
	for event.Revision(len(events)) < r.Revision {
		page, err := readStream(ctx, log, r.Stream, event.Revision(len(events)))
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		events = append(events, page...)
	}
	return events[:min(len(events), int(r.Revision))], nil
}

// readStream reads a page of a stream. It returns a *dataError for an event that cannot be
// decoded, because reading it again would not help.
func readStream(ctx context.Context, log event.Log, stream string, from event.Revision) ([]event.Recorded, error) {
	page, err := log.Read(ctx, stream, from, streamPage)
	if errors.Is(err, event.ErrUndecodable) {
		return nil, &dataError{err}
	}
	return page, err
}

// withAttempts returns the events with the number of attempts added to every
// OutcomeUnknown that lacks it because an older version recorded it. Rows don't say
// whether the lost call was a probe, so the number comes from the aggregate's fold of the
// stream. Lost responses are few.
func withAttempts(ctx context.Context, log event.Log, events []event.Recorded) ([]event.Recorded, error) {
	cloned := false
	for i, r := range events {
		lost, ok := r.Event.(message.OutcomeUnknown)
		if !ok || lost.Attempt != nil {
			continue
		}
		earlier, err := readBefore(ctx, log, r)
		if err != nil {
			return nil, err
		}
		if len(earlier) < int(r.Revision) {
			continue
		}
		var m message.Message
		for _, e := range append(earlier, r) {
			m = m.Apply(message.Record{Event: e.Event, At: e.Meta.RecordedAt})
		}
		if !cloned {
			events, cloned = slices.Clone(events), true
		}
		lost.Attempt = &m.Attempts
		events[i].Event = lost
	}
	return events, nil
}

func (changes workChanges) write(writes *pgx.Batch) {
	var inserts, updates, removals []*workChange
	for _, c := range changes {
		if c.reopened || c.Closed && !c.Complete {
			removals = append(removals, c)
		}
		switch {
		case c.Closed:
		case c.Complete:
			inserts = append(inserts, c)
		default:
			updates = append(updates, c)
		}
	}
	if len(removals) > 0 {
		writes.Queue(`DELETE FROM work_item WHERE message_id = ANY ($1)`, column(removals, (*workChange).messageID))
	}
	if len(updates) > 0 {
		updateWork(updates, writes)
	}
	if len(inserts) > 0 {
		insertWork(inserts, writes)
	}
}

func (c *workChange) messageID() uuid.UUID { return c.id }
func (c *workChange) revision() int64      { return int64(c.Item.Revision) }
func (c *workChange) position() int64      { return int64(c.Item.Position) }
func (c *workChange) state() int16         { return stateRank(c.Item.State) }
func (c *workChange) due() time.Time       { return c.Item.DueAt }
func (c *workChange) attempt() int32       { return int32(c.Item.Attempt) }
func (c *workChange) call() int32          { return int32(c.Item.Call) }
func (c *workChange) awaitsLimit() bool    { return c.Item.AwaitsLimit }
func (c *workChange) template() string     { return c.Item.Template }
func (c *workChange) labels() *string      { return joined(c.Item.Labels) }

// ifKnown returns a column's value, or a function that returns nil where it isn't known.
func ifKnown[V any](known func(*workChange) bool, value func(*workChange) V) func(*workChange) *V {
	return func(c *workChange) *V {
		if !known(c) {
			return nil
		}
		v := value(c)
		return &v
	}
}

func updateWork(updates []*workChange, writes *pgx.Batch) {
	stateKnown := func(c *workChange) bool { return c.StateKnown }
	writes.Queue(`UPDATE work_item w SET state = coalesce(u.state, w.state), due_at = coalesce(u.due_at, w.due_at),
			fresh = w.fresh AND u.state IS NULL, awaits_limit = coalesce(u.awaits_limit, w.awaits_limit), attempt = coalesce(u.attempt, w.attempt), call = coalesce(u.call, w.call),
			template = coalesce(u.template, w.template), revision = u.revision, position = u.position
		FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[], $4::integer[], $5::integer[], $6::text[], $7::bigint[], $8::bigint[], $9::boolean[])
			AS u (id, state, due_at, attempt, call, template, revision, position, awaits_limit)
		WHERE w.message_id = u.id`,
		column(updates, (*workChange).messageID),
		column(updates, ifKnown(stateKnown, (*workChange).state)),
		column(updates, ifKnown(stateKnown, (*workChange).due)),
		column(updates, ifKnown(func(c *workChange) bool { return c.AttemptKnown }, (*workChange).attempt)),
		column(updates, ifKnown(func(c *workChange) bool { return c.CallKnown }, (*workChange).call)),
		column(updates, ifKnown(func(c *workChange) bool { return c.TemplateKnown }, (*workChange).template)),
		column(updates, (*workChange).revision),
		column(updates, (*workChange).position),
		column(updates, ifKnown(stateKnown, (*workChange).awaitsLimit)))
}

func insertWork(inserts []*workChange, writes *pgx.Batch) {
	const names = `message_id, sender, priority, state, fresh, due_at, expires_at, recipient, attempt, call, on_ambiguous,
		template, revision, position, queued_position, awaits_limit`
	// Labels are joined as in Fetch. A scheduled message is due from the start of the second of its send_at, as addFlow
	// counts it.
	writes.Queue(`INSERT INTO work_item (`+names+`, send_at, labels)
		SELECT `+names+`, coalesce(date_trunc('second', send_at), '-infinity'), string_to_array(labels, E'\x1f')
		FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::smallint[], $5::boolean[], $6::timestamptz[],
			$7::timestamptz[], $8::text[], $9::integer[], $10::integer[], $11::text[], $12::text[], $13::bigint[],
			$14::bigint[], $15::bigint[], $16::boolean[], $17::timestamptz[], $18::text[]) AS u (`+names+`, send_at, labels)`,
		column(inserts, (*workChange).messageID),
		column(inserts, func(c *workChange) string { return c.Item.Sender }),
		column(inserts, func(c *workChange) int16 { return int16(c.Item.Priority.Rank()) }),
		column(inserts, (*workChange).state),
		column(inserts, func(c *workChange) bool { return c.Item.Fresh }),
		column(inserts, (*workChange).due),
		column(inserts, func(c *workChange) *time.Time { return timeOrNil(c.Item.ExpiresAt) }),
		column(inserts, func(c *workChange) string { return c.Item.Recipient }),
		column(inserts, (*workChange).attempt),
		column(inserts, (*workChange).call),
		column(inserts, func(c *workChange) string { return string(c.Item.OnAmbiguous) }),
		column(inserts, (*workChange).template),
		column(inserts, (*workChange).revision),
		column(inserts, (*workChange).position),
		column(inserts, func(c *workChange) int64 { return int64(c.Item.QueuedPosition) }),
		column(inserts, (*workChange).awaitsLimit),
		column(inserts, func(c *workChange) *time.Time { return timeOrNil(c.SendAt) }),
		column(inserts, (*workChange).labels))
}

// messageEvent returns the event and the ID of the message that it is about.
func messageEvent(r event.Recorded) (message.Event, uuid.UUID, error) {
	id, ok := event.ParseMessageStream(r.Stream)
	if !ok {
		return nil, uuid.Nil, &dataError{fmt.Errorf("%s in %s, which is not a message's stream", r.Type, r.Stream)}
	}
	e, ok := r.Event.(message.Event)
	if !ok {
		return nil, uuid.Nil, &dataError{fmt.Errorf("%s is not an event of a message", r.Type)}
	}
	return e, id, nil
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
