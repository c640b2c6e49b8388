package postgres

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

// foldedMessage is a message as the aggregate's own fold of its stream gives it, with
// what rows hold in addition: positions and data keys. Verify and the tests compare rows
// with it. It shares no fold with the projections.
type foldedMessage struct {
	id       uuid.UUID
	message  message.Message
	queued   event.Recorded
	last     eventPlace
	lastWork eventPlace // of the last event that the work list is interested in
	requeued bool
	sealed   int // events with a data key
}

// eventPlace is where an event is in its stream and in the log.
type eventPlace struct {
	revision event.Revision
	position event.Position
}

// rowValues are the values of a row's columns by name.
type rowValues map[string]any

// workEvents are the types of the events that change the work list.
var workEvents = func() map[string]bool {
	types := make(map[string]bool)
	for _, name := range work.EventTypes() {
		types[name] = true
	}
	return types
}()

func (f *foldedMessage) apply(r event.Recorded, e message.Event) {
	f.message = f.message.Apply(message.Record{Event: e, At: r.Meta.RecordedAt})
	f.last = eventPlace{r.Revision, r.Position}
	if workEvents[r.Type] {
		f.lastWork = f.last
	}
	if r.Key != "" {
		f.sealed++
	}
	switch e := e.(type) {
	case message.Queued:
		f.queued = r
	case message.Substituted:
		f.requeued = f.requeued || e.AfterAcceptance
	case message.Requeued:
		f.requeued = true
	}
}

// rows returns the rows that the message must have, by table.
func (f *foldedMessage) rows() map[string]rowValues {
	rows := make(map[string]rowValues, 3)
	m := f.message
	if !m.Exists() {
		return rows
	}
	rows["message"] = f.messageRow()
	if m.Status.Open() {
		rows["work_item"] = f.workRow()
	}
	switch m.Status {
	case message.StatusQueued, message.StatusSending, message.StatusDelivered, message.StatusRead:
		if m.Failure == nil {
			return rows
		}
	case message.StatusRetrying, message.StatusAmbiguous, message.StatusSent, message.StatusFailed, message.StatusDeadLettered,
		message.StatusCancelled, message.StatusExpired, message.StatusDiscarded, message.StatusSuppressed:
	}
	rows["message_exception"] = f.exceptionRow()
	return rows
}

// messageRow returns the columns of message, except those with sealed personal data.
func (f *foldedMessage) messageRow() rowValues {
	m := f.message
	row := rowValues{
		"id": f.id, "revision": f.last.revision, "position": f.last.position, "queued_position": f.queued.Position,
		"sender": m.Sender, "kind": m.Kind, "priority": m.Priority.Rank(), "on_ambiguous": m.OnAmbiguous, "template": orNull(m.Template),
		"queued_at": m.QueuedAt, "send_at": orNull(m.SendAt), "expires_at": orNull(m.ExpiresAt),
		"status": m.Status, "status_reason": orNull(storableText(m.Reason)), "attempts": m.Attempts, "calls": len(m.Calls),
		"sent_at": orNull(m.SentAt), "delivered_at": orNull(m.DeliveredAt), "read_at": orNull(m.ReadAt), "retry_at": nil,
		"dead_lettered_at": orNull(m.DeadLetteredAt), "failure": nil, "sent_twice": m.SentTwice,
		"data_key": orNull(f.queued.Key), "personal_events": f.sealed,
		"deliver_within_us": orNull(m.DeliverWithin.Microseconds()), "deliver_by": nil, "overdue_since": orNull(m.OverdueSince),
	}
	switch m.Status {
	case message.StatusRetrying:
		row["retry_at"] = orNull(m.DueAt)
	case message.StatusSent:
		row["deliver_by"] = orNull(m.DueAt)
	default: // DueAt means something else, or nothing
	}
	if m.Failure != nil {
		row["failure"] = asJSONColumn(query.MessageFailure{Failure: m.Failure.Failure, At: m.Failure.At})
	}
	return row
}

func (f *foldedMessage) workRow() rowValues {
	m := f.message
	sendAt := any(pgtype.NegativeInfinity)
	if m.SendAt.After(m.QueuedAt) && !f.requeued {
		sendAt = m.SendAt.Truncate(time.Second)
	}
	return rowValues{
		"message_id": f.id, "sender": m.Sender, "priority": m.Priority.Rank(), "state": workStates[m.Status],
		"fresh":        len(m.Calls) == 0 && !m.SendAt.After(m.QueuedAt) && m.SubstitutedAt.IsZero() && m.UncertainSince.IsZero() && m.LimitedSince.IsZero(),
		"awaits_limit": m.AwaitsLimit,
		"due_at":       m.DueAt, "expires_at": orNull(m.ExpiresAt), "recipient": cmp.Or(string(f.queued.Key), m.Recipient()),
		"attempt": m.Attempts, "call": len(m.Calls), "on_ambiguous": m.OnAmbiguous, "template": message.TemplateKey(m.Template, m.TemplateLanguage),
		"revision": f.lastWork.revision, "position": f.lastWork.position, "queued_position": f.queued.Position, "send_at": sendAt,
	}
}

// workStates are the values of work_item.state by the status of an open message.
var workStates = map[message.Status]int{
	message.StatusQueued: 0, message.StatusRetrying: 0, message.StatusSending: 1, message.StatusAmbiguous: 2,
}

// exceptionRow returns the columns of message_exception, except the hashes of labels.
func (f *foldedMessage) exceptionRow() rowValues {
	m := f.message
	row := rowValues{
		"message_id": f.id, "sender": m.Sender, "status": m.Status, "queued_position": f.queued.Position,
		"error_category": nil, "error_code": nil, "dead_lettered_at": orNull(m.DeadLetteredAt),
		"deliver_by": nil, "overdue_since": orNull(m.OverdueSince),
	}
	if m.Status == message.StatusSent {
		row["deliver_by"] = orNull(m.DueAt)
	}
	if m.Failure != nil {
		row["error_category"] = orNull(m.Failure.Category)
		if m.Failure.Code != nil {
			row["error_code"] = storableInt(*m.Failure.Code)
		}
	}
	return row
}

// orNull returns v, or nil if it is the zero value.
func orNull[V comparable](v V) any {
	if v == *new(V) {
		return nil
	}
	return v
}

// asJSONColumn returns v as a jsonb column is read.
func asJSONColumn(v any) (read any) {
	text, err := storableJSON(v)
	if err != nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		return nil
	}
	return read
}

// differing returns the names of the columns whose values aren't those expected, sorted.
// It ignores columns that are not expected to have any particular value.
func (row rowValues) differing(expected rowValues) []string {
	var names []string
	for name, want := range expected {
		if canonical(row[name]) != canonical(want) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// canonical returns a column's value in a form that is equal for equal values, whether
// Postgres or the aggregate gave it. Postgres keeps microseconds.
func canonical(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case time.Time:
		return fmt.Sprint(v.UnixMicro())
	case [16]byte:
		return uuid.UUID(v).String()
	case float64:
		if v == math.Trunc(v) {
			return fmt.Sprintf("%.0f", v)
		}
	case []uuid.UUID:
		return canonical(anySlice(v))
	case [][]byte:
		return canonical(anySlice(v))
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			list[i] = canonical(e)
		}
		return fmt.Sprint(list)
	case []byte:
		return fmt.Sprintf("%x", v)
	}
	return fmt.Sprint(v)
}

func anySlice[V any](list []V) []any {
	values := make([]any, len(list))
	for i, v := range list {
		values[i] = v
	}
	return values
}
