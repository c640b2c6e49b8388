package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// rebuild rebuilds the read model and checks that its rows are the same as before.
func (b *bundle) rebuild() {
	b.tb.Helper()
	before := b.definitions()
	whole := b.rebuildOptions()
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

// definitions returns the indexes of the read model and the settings of its tables.
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
	return b.verifyWith(b.rebuildOptions())
}

func (b *bundle) rebuildOptions() postgres.RebuildOptions {
	o := postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()}
	if b.vault != nil {
		o.Vault = b.vault
	}
	return o
}

func (b *bundle) verifyWith(o postgres.RebuildOptions) (postgres.Verified, []string) {
	b.tb.Helper()
	var found []string
	v, err := postgres.Verify(b.ctx, o,
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
		`INSERT INTO waypost.message_count (sender, counter, count) VALUES ('unknown', 'QUEUED', 1)`,
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
		"message_count counter=QUEUED sender=unknown: surplus",
		"work_count priority=1 send_at=-infinity sender=acme: changed count", // triggers keep it
		"work_item message_id=" + ids[4].String() + ": missing",
	}
	slices.Sort(found)
	if !slices.Equal(found, want) || v.Differences != 4 {
		t.Errorf("%d differences:\n%s\nwant\n%s", v.Differences, strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	// A rebuild fixes them and reports that they existed.
	done, err := postgres.Rebuild(b.ctx, postgres.RebuildOptions{URL: b.url, Log: b.log, LogID: b.logID, Logger: discard()})
	must(t, err)
	if slices.Equal(done.Before, done.After) {
		t.Error("the rebuild does not see that the old model was wrong")
	}
	if v, found := b.verify(); len(found) > 0 {
		t.Errorf("after the rebuild: %+v, %v", v, found)
	}
}

// Verify compares with the aggregate's own fold. So it finds a wrong row that the
// projection's code would write again, as it did for lost probes.
func TestVerifyFindsFaultsOfTheProjectionItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := uuid.New()
	stream := event.MessageStream(id)
	b.append(stream, queued("acme", "1"))
	b.append(stream, message.SendAttempted{Call: 1, Attempt: 1, Probe: true, AnswerBy: b.now.Add(time.Minute)})
	b.append(stream, message.OutcomeUnknown{Call: 1, Attempt: new(0), Cause: "timeout", SettleBy: b.now.Add(time.Minute)})
	for i := range 20 { // more than a verification in small steps holds
		b.append(event.MessageStream(uuid.New()), queued("acme", fmt.Sprint("other ", i)))
	}
	for _, g := range postgres.Groups() {
		p, err := postgres.NewProjector(b.projectorOptions(g).KeepingLostProbes())
		must(t, err)
		must(t, p.CatchUp(b.ctx))
	}
	want := []string{
		"message id=" + id.String() + ": changed attempts",
		"work_item message_id=" + id.String() + ": changed attempt",
	}
	o := b.rebuildOptions().KeepingLostProbes()
	for name, o := range map[string]postgres.RebuildOptions{"in one step": o, "in small steps": o.InSmallSteps()} {
		if v, found := b.verifyWith(o); !slices.Equal(found, want) || v.Differences != 2 {
			t.Errorf("%s: %d differences %q, want %q", name, v.Differences, found, want)
		}
	}
	if v, found := b.verifyWith(o.WithoutFold()); v.Differences != 0 {
		t.Errorf("compared only with rebuilt rows, the test must not see the defect: %q", found)
	}
	// The projections of this version fix the rows.
	_, err := postgres.Rebuild(b.ctx, b.rebuildOptions())
	must(t, err)
	if v, found := b.verify(); v.Differences != 0 {
		t.Errorf("after a rebuild: %q", found)
	}
}

// A rebuild by an older program must not replace tables that a newer one has migrated in the meantime.
func TestARebuildDoesNotReplaceNewerTables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append(event.MessageStream(uuid.New()), queued("acme", "1"))
	b.project()
	const later = 99_999
	_, err := b.pool.Exec(b.ctx, `INSERT INTO schema_version (version_id, is_applied) VALUES ($1, true)`, later)
	must(t, err)
	_, err = postgres.Rebuild(b.ctx, b.rebuildOptions())
	var newer *postgres.NewerSchemaError
	if !errors.As(err, &newer) || newer.Applied != later {
		t.Errorf("the rebuild returns %v", err)
	}
	var applied int64
	must(t, b.pool.QueryRow(b.ctx, `SELECT max(version_id) FROM schema_version`).Scan(&applied))
	if applied != later {
		t.Errorf("the tables are at migration %d", applied)
	}
}
