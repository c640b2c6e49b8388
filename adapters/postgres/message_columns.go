package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// messageColumn is a column of the table message.
type messageColumn struct {
	name string
	// typ is the type of the elements of the array for unnest. In Postgres, arrays of
	// arrays are rectangular, so elements that are lists are passed as text and cast.
	typ, cast string
	array     func(rows []*messageRow) any
	value     func(r *messageRow) any // for COPY
}

func plainColumn[V any](name, typ string, value func(*messageRow) V) messageColumn {
	cast := ""
	if typ == "jsonb" { // its codec would encode a text as a JSON string
		typ, cast = "text", "::jsonb"
	}
	return messageColumn{
		name: name, typ: typ, cast: cast,
		array: func(rows []*messageRow) any { return column(rows, value) },
		value: func(r *messageRow) any { return value(r) },
	}
}

func listColumn[V any](name, typ string, text func([]V) *string, value func(*messageRow) []V) messageColumn {
	return messageColumn{
		name: name, typ: "text", cast: "::" + typ,
		array: func(rows []*messageRow) any {
			return column(rows, func(r *messageRow) *string { return text(value(r)) })
		},
		value: func(r *messageRow) any {
			if list := value(r); len(list) > 0 {
				return list
			}
			return nil
		},
	}
}

// changingColumns can change with each event; the first of them is the key. lastingColumns
// are set by the first event.
var (
	changingColumns = []messageColumn{
		plainColumn("id", "uuid", func(r *messageRow) uuid.UUID { return r.ID }),
		plainColumn("revision", "bigint", func(r *messageRow) int64 { return int64(r.Revision) }),
		plainColumn("position", "bigint", func(r *messageRow) int64 { return int64(r.Position) }),
		plainColumn("status", "text", func(r *messageRow) string { return string(r.Status) }),
		plainColumn("status_reason", "text", func(r *messageRow) *string { return r.StatusReason }),
		plainColumn("attempts", "integer", func(r *messageRow) int32 { return int32(r.Attempts) }),
		plainColumn("calls", "integer", func(r *messageRow) int32 { return int32(r.Calls) }),
		plainColumn("whatsapp_id", "bytea", func(r *messageRow) []byte { return r.whatsAppID }),
		plainColumn("sent_at", "timestamptz", func(r *messageRow) *time.Time { return r.SentAt }),
		plainColumn("delivered_at", "timestamptz", func(r *messageRow) *time.Time { return r.DeliveredAt }),
		plainColumn("read_at", "timestamptz", func(r *messageRow) *time.Time { return r.ReadAt }),
		plainColumn("retry_at", "timestamptz", func(r *messageRow) *time.Time { return r.RetryAt }),
		plainColumn("dead_lettered_at", "timestamptz", func(r *messageRow) *time.Time { return r.DeadLetteredAt }),
		plainColumn("failure", "jsonb", func(r *messageRow) *string { return jsonOrNil(r.Failure, r.Failure == nil) }),
		plainColumn("sent_twice", "boolean", func(r *messageRow) bool { return r.SentTwice }),
		plainColumn("failure_details", "bytea", func(r *messageRow) []byte { return r.details }),
		listColumn("wamid_hashes", "uuid[]", uuidsOrNil, func(r *messageRow) []uuid.UUID { return r.wamids }),
		plainColumn("personal_events", "integer", func(r *messageRow) int32 { return int32(r.events) }),
		plainColumn("deliver_by", "timestamptz", func(r *messageRow) *time.Time { return r.deliverBy }),
		plainColumn("overdue_since", "timestamptz", func(r *messageRow) *time.Time { return r.OverdueSince }),
	}
	lastingColumns = []messageColumn{
		plainColumn("queued_position", "bigint", func(r *messageRow) int64 { return int64(r.QueuedPosition) }),
		plainColumn("sender", "text", func(r *messageRow) string { return r.SenderID }),
		plainColumn("kind", "text", func(r *messageRow) string { return string(r.Type) }),
		plainColumn("priority", "smallint", func(r *messageRow) int16 { return int16(r.Priority.Rank()) }),
		plainColumn("on_ambiguous", "text", func(r *messageRow) string { return string(r.OnAmbiguous) }),
		plainColumn("template", "text", func(r *messageRow) *string { return r.Template }),
		plainColumn("data_key", "text", func(r *messageRow) *string { return textOrNil(string(r.key)) }),
		plainColumn("personal", "bytea", func(r *messageRow) []byte { return r.personal }),
		plainColumn("idempotency_hash", "bytea", func(r *messageRow) []byte { return r.idempotencyHash }),
		plainColumn("queued_at", "timestamptz", func(r *messageRow) time.Time { return r.QueuedAt }),
		plainColumn("send_at", "timestamptz", func(r *messageRow) *time.Time { return r.SendAt }),
		plainColumn("expires_at", "timestamptz", func(r *messageRow) *time.Time { return r.ExpiresAt }),
		plainColumn("deliver_within_us", "bigint", func(r *messageRow) *int64 { return microsecondsOrNil(r.deliverWithin) }),
		listColumn("label_hashes", "bytea[]", hashesOrNil, func(r *messageRow) [][]byte { return r.labelHashes }),
	}
	messageColumns = slices.Concat(changingColumns, lastingColumns)

	insertMessages = func() string {
		names := columnNames(messageColumns)
		return `INSERT INTO message (` + names + `) SELECT ` + castNames("u", messageColumns) + ` FROM ` + unnested(messageColumns)
	}()
	updateMessages = func() string {
		sets := make([]string, 0, len(changingColumns))
		for _, c := range changingColumns[1:] {
			sets = append(sets, c.name+" = u."+c.name+c.cast)
		}
		return `UPDATE message m SET ` + strings.Join(sets, ", ") + ` FROM ` + unnested(changingColumns) + ` WHERE m.id = u.id`
	}()
)

func columnNames(list []messageColumn) string {
	return strings.Join(column(list, func(c messageColumn) string { return c.name }), ", ")
}

func castNames(of string, list []messageColumn) string {
	return strings.Join(column(list, func(c messageColumn) string { return of + "." + c.name + c.cast }), ", ")
}

// unnested returns a FROM item with the rows of the arrays, as u.
func unnested(list []messageColumn) string {
	arrays := make([]string, len(list))
	for i, c := range list {
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, c.typ)
	}
	return `unnest(` + strings.Join(arrays, ", ") + `) AS u (` + columnNames(list) + `)`
}

// arraysOf returns the arguments of unnested.
func arraysOf(list []messageColumn, rows []*messageRow) []any {
	return column(list, func(c messageColumn) any { return c.array(rows) })
}

func microsecondsOrNil(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := d.Microseconds()
	return &n
}
