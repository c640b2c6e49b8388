package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
)

// rebuild builds the read model again and holds that it comes out as it was.
func (b *bundle) rebuild() {
	b.tb.Helper()
	before := b.definitions()
	whole := postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()}
	for _, o := range []postgres.RebuildOptions{whole, whole.InSmallSteps()} {
		done, err := postgres.Rebuild(b.ctx, o)
		must(b.tb, err)
		if !slices.Equal(done.Before, done.After) {
			b.tb.Errorf("a rebuild gives other rows:\n%v\n%v", done.Before, done.After)
		}
	}
	if after := b.definitions(); !slices.Equal(before, after) {
		b.tb.Errorf("a rebuild gives other indexes or settings:\n%v\n%v", before, after)
	}
}

// definitions are the indexes of the read model and the settings of its tables.
func (b *bundle) definitions() []string {
	b.tb.Helper()
	rows, err := b.pool.Query(b.ctx, `SELECT indexdef FROM pg_indexes WHERE schemaname = $1
		UNION ALL SELECT relname || ' ' || coalesce(reloptions::text, '') FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'
		ORDER BY 1`, postgres.ReadModelSchema)
	must(b.tb, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(b.tb, err)
	if len(list) < 30 {
		b.tb.Fatalf("the read model has only %d indexes and tables", len(list))
	}
	return list
}

func (b *bundle) verify() (postgres.Verified, []string) {
	b.tb.Helper()
	var found []string
	v, err := postgres.Verify(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()},
		func(d postgres.Difference) error {
			found = append(found, d.String())
			return nil
		})
	must(b.tb, err)
	return v, found
}

func TestVerifyFindsEveryDifference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make([]uuid.UUID, 20)
	for i := range ids {
		ids[i] = uuid.New()
		b.append(event.MessageStream(ids[i]), queued("acme", fmt.Sprint(i)))
	}
	b.project()
	if v, found := b.verify(); len(found) > 0 || v.Rows == 0 || v.Differences != 0 {
		t.Fatalf("a sound model: %+v, %v", v, found)
	}
	for _, sql := range []string{
		`UPDATE waypost.message SET status = 'READ' WHERE id = '` + ids[3].String() + `'`,
		`DELETE FROM waypost.work_item WHERE message_id = '` + ids[4].String() + `'`,
		`INSERT INTO waypost.message_count (sender, counter, count) VALUES ('nobody', 'QUEUED', 1)`,
	} {
		tag, err := b.pool.Exec(b.ctx, sql)
		must(t, err)
		if tag.RowsAffected() != 1 {
			t.Fatalf("%s changed %d rows", sql, tag.RowsAffected())
		}
	}
	v, found := b.verify()
	want := []string{
		"message id=" + ids[3].String() + ": changed status",
		"message_count counter=QUEUED sender=nobody: surplus",
		"work_count priority=1 send_at=-infinity sender=acme: changed count", // it counts by itself
		"work_item message_id=" + ids[4].String() + ": missing",
	}
	slices.Sort(found)
	if !slices.Equal(found, want) || v.Differences != 4 {
		t.Errorf("%d differences:\n%s\nwant\n%s", v.Differences, strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	// A rebuild mends them, and says that they were there.
	done, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()})
	must(t, err)
	if slices.Equal(done.Before, done.After) {
		t.Error("the rebuild does not see that the old model was wrong")
	}
	if v, found := b.verify(); len(found) > 0 {
		t.Errorf("after the rebuild: %+v, %v", v, found)
	}
}
