package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
	webhook "github.com/waypost/waypost/domain/coverage"
)

// webhooks are processes that record webhooks, on one Postgres.
type webhooks struct {
	t      *testing.T
	pool   *pgxpool.Pool
	leases *postgres.Leases
	model  *postgres.ReadModel
}

func newWebhooks(t *testing.T) *webhooks {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgrestest.Migrated(t))
	must(t, err)
	t.Cleanup(pool.Close)
	return &webhooks{t, pool, postgres.NewLeases(pool), postgres.NewReadModel(pool)}
}

func (w *webhooks) beat(b postgres.RecordingBeat) {
	w.t.Helper()
	must(w.t, w.leases.RecordingBeat(w.t.Context(), b))
}

// pass makes everything that is stored older.
func (w *webhooks) pass(d time.Duration) {
	w.t.Helper()
	for _, statement := range []string{
		`UPDATE waypost_run.webhook_recording SET since = since - $1::interval, heard_at = heard_at - $1::interval,
			broke_at = broke_at - $1::interval, bridged_at = bridged_at - $1::interval`,
		`UPDATE waypost_run.webhook_recorder SET heard_at = heard_at - $1::interval`,
		`UPDATE waypost_run.webhook_number SET since = since - $1::interval, heard_at = heard_at - $1::interval`,
	} {
		_, err := w.pool.Exec(w.t.Context(), statement, d)
		must(w.t, err)
	}
}

func (w *webhooks) of(number string) webhook.Coverage {
	w.t.Helper()
	found, err := w.model.Coverage(w.t.Context(), time.Now())
	must(w.t, err)
	return found[number]
}

func TestCoverageOfWebhooks(t *testing.T) {
	t.Parallel()
	w := newWebhooks(t)
	a, b := uuid.New(), uuid.New()
	if c := w.of("1"); c.Known(time.Now()) || !c.KnownFrom(time.Now()).IsZero() {
		t.Fatalf("before the first heartbeat: %+v", c)
	}
	w.beat(postgres.RecordingBeat{Process: a, First: true, Numbers: []string{"1", "2"}})
	w.pass(23 * time.Hour)
	w.beat(postgres.RecordingBeat{Process: a, SinceLast: 23 * time.Hour, Unbroken: true, Numbers: []string{"1"}})
	if c := w.of("1"); c.Known(time.Now()) {
		t.Errorf("after 23 hours: %+v", c)
	}
	w.pass(time.Hour + time.Minute)
	w.beat(postgres.RecordingBeat{Process: a, SinceLast: time.Hour, Unbroken: true})
	for number, known := range map[string]bool{"1": true, "2": false, "3": false} {
		if c := w.of(number); c.Known(time.Now()) != known {
			t.Errorf("after a day, number %s: %+v", number, c)
		}
	}
	// The process dies and another takes its place: nothing is confirmed until the silence of the
	// first is a break, which is bridged.
	w.pass(2 * time.Second)
	w.beat(postgres.RecordingBeat{Process: b, First: true})
	c := w.of("1")
	if !c.Known(time.Now()) || time.Since(c.ConfirmedAt) < 2*time.Second || time.Until(c.Recording.BridgedAt) < 15*time.Second {
		t.Errorf("after a restart: %+v", c)
	}
	w.pass(2 * time.Second)
	w.beat(postgres.RecordingBeat{Process: b, SinceLast: 2 * time.Second, Unbroken: true})
	if again := w.of("1"); time.Since(again.ConfirmedAt) > time.Second || again.Recording.BridgedAt.Before(c.Recording.BridgedAt.Add(-2*time.Second)) {
		t.Errorf("once the dead process was noticed: %+v", again)
	}
	// A long break ends the coverage.
	w.pass(2 * time.Minute)
	w.beat(postgres.RecordingBeat{Process: b, SinceLast: 2 * time.Minute})
	if c := w.of("1"); c.Known(time.Now()) || time.Until(c.KnownFrom(time.Now())) < 23*time.Hour {
		t.Errorf("after a break of two minutes: %+v", c)
	}
}

// While Postgres is unavailable, no process can report. None counts as dead for that.
func TestPostgresOutagesAreNoBreaks(t *testing.T) {
	t.Parallel()
	w := newWebhooks(t)
	a, b := uuid.New(), uuid.New()
	w.beat(postgres.RecordingBeat{Process: a, First: true})
	w.beat(postgres.RecordingBeat{Process: b, First: true, Numbers: []string{"1"}})
	before := w.of("1").Recording.BridgedAt
	w.pass(10 * time.Minute)
	w.beat(postgres.RecordingBeat{Process: a, SinceLast: 10 * time.Minute, Unbroken: true})
	w.beat(postgres.RecordingBeat{Process: b, SinceLast: 10 * time.Minute, Unbroken: true})
	w.beat(postgres.RecordingBeat{Process: a, SinceLast: time.Second, Unbroken: true})
	c := w.of("1")
	if c.Recording.BridgedAt.After(before.Add(-9*time.Minute)) || time.Since(c.Recording.Since) < 10*time.Minute {
		t.Errorf("after an outage of Postgres: %+v", c)
	}
}

// A heartbeat that fails between BEGIN and COMMIT leaves no transaction open: its lock would stop all
// other heartbeats.
func TestAFailedHeartbeatDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	w := newWebhooks(t)
	const notText = "\x00" // Postgres rejects it
	err := w.leases.RecordingBeat(t.Context(), postgres.RecordingBeat{Process: uuid.New(), First: true, Numbers: []string{notText}})
	if err == nil {
		t.Fatal("a phone number ID that Postgres can't store was stored")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, w.leases.RecordingBeat(ctx, postgres.RecordingBeat{Process: uuid.New(), First: true, Numbers: []string{"1"}}))
}
