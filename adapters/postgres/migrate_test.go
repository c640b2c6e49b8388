package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
)

// Waypost refuses a database that a newer version has migrated, and leaves it unchanged.
func TestDatabaseOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, postgres.CheckNotNewer(b.ctx, b.url))
	for _, versions := range []string{"waypost.schema_version", "waypost_run.schema_version", "waypost_egress.schema_version"} {
		_, err := b.pool.Exec(b.ctx, `INSERT INTO `+versions+` (version_id, is_applied) VALUES (99999, true)`)
		must(t, err)
		var newer *postgres.NewerSchemaError
		if err := postgres.Up(b.ctx, b.url); !errors.As(err, &newer) || newer.Applied != 99999 || newer.Known >= 99999 {
			t.Errorf("%s: %v, want a NewerSchemaError", versions, err)
		}
		_, err = b.pool.Exec(b.ctx, `DELETE FROM `+versions+` WHERE version_id = 99999`)
		must(t, err)
	}
	must(t, postgres.Up(b.ctx, b.url))
}

// Older versions recorded a scheduled message as due from the end of its second. An upgrade
// changes that to the start, for messages that were called and for others.
func TestUpgradeMovesScheduledMessagesToTheStartOfTheirSecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := make([]*history, 3)
	for i, delay := range []time.Duration{1400 * time.Millisecond, 2 * time.Second, 60*time.Second + time.Microsecond} {
		list[i] = &history{id: uuid.New(), sender: "acme"}
		q := queued("acme", list[i].id.String())
		q.SendAt = b.now.Add(delay)
		b.append(event.MessageStream(list[i].id), q)
		list[i].record(b.now, q)
	}
	b.now = list[0].message.SendAt
	b.append(event.MessageStream(list[0].id), attempt(1, 2))
	b.project()
	b.downTo(36)
	for _, sql := range []string{
		`UPDATE work_item w SET send_at = date_trunc('second', m.send_at + interval '999999 us') FROM message m WHERE m.id = w.message_id`,
		`DELETE FROM work_count`,
		`INSERT INTO work_count SELECT sender, priority, send_at, count(*) FROM work_item GROUP BY sender, priority, send_at`,
		`DELETE FROM message WHERE id = '` + list[2].id.String() + `'`, // its projection has not come as far
		`DELETE FROM schema_version WHERE version_id = 36`,
	} {
		_, err := b.pool.Exec(b.ctx, sql)
		must(t, err)
	}
	must(t, postgres.Up(b.ctx, b.url))
	for _, h := range list {
		var got time.Time
		var count int
		must(t, b.pool.QueryRow(b.ctx, `SELECT i.send_at, c.count FROM work_item i JOIN work_count c USING (sender, priority, send_at)
			WHERE i.message_id = $1`, h.id).Scan(&got, &count))
		if want := h.message.SendAt.Truncate(time.Second); !got.Equal(want) || count != 1 {
			t.Errorf("a message with sendAt %s is due from %s, counted %d times, want %s", h.message.SendAt, got, count, want)
		}
	}
}

// downTo reverts the migrations of the read model after a version.
func (b *bundle) downTo(version int64) {
	b.tb.Helper()
	list, err := postgres.Status(b.ctx, b.url)
	must(b.tb, err)
	for _, m := range list {
		if m.Set == "readmodel" && m.Version > version {
			must(b.tb, postgres.Down(b.ctx, b.url, false))
		}
	}
}

// Exactly one projection writes each table of the read model. It lists the table, so that a
// reset and a rebuild start with an empty one.
func TestEveryTableHasOneProjection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rows, err := b.pool.Query(b.ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1`, postgres.ReadModelSchema)
	must(t, err)
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	got, err := postgres.Tables()
	must(t, err)
	got = append(got, "parked_event", "projection", "schema_version") // which are not read models
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("projections write %v, the schema has %v; each table must be in the list of exactly one projection", got, want)
	}
}
