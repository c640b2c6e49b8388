package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/postgres/postgrestest"
)

func leases(t *testing.T) *postgres.Leases {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgrestest.Migrated(t))
	must(t, err)
	t.Cleanup(pool.Close)
	return postgres.NewLeases(pool)
}

var dispatch = []string{postgres.RoleDispatch}

func TestLanesHaveOneOwner(t *testing.T) {
	t.Parallel()
	l := leases(t)
	var senders []string
	for i := range 20 {
		senders = append(senders, fmt.Sprintf("s%02d", i))
	}
	processes := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for _, p := range processes {
		beat(t, l, p, dispatch, time.Time{}, time.Hour)
	}
	owned, shares := make([][]string, len(processes)), make([]int, len(processes))
	var all sync.WaitGroup
	for i, p := range processes {
		all.Go(func() {
			var err error
			owned[i], shares[i], err = l.Claim(t.Context(), p, senders)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	taken := slices.Sorted(slices.Values(slices.Concat(owned...)))
	if !slices.Equal(taken, slices.Compact(slices.Clone(taken))) {
		t.Errorf("a lane has two owners: %v", owned)
	}
	for i, list := range owned {
		if shares[i] != 7 || len(list) > shares[i] {
			t.Errorf("%d lanes with a share of %d; want at most 7, the share of three processes", len(list), shares[i])
		}
	}
}

func TestLaneGoesOnWhenItsOwnerEnds(t *testing.T) {
	t.Parallel()
	l := leases(t)
	dead, left, heir := uuid.New(), uuid.New(), uuid.New()
	if _, _, err := l.Claim(t.Context(), dead, []string{"a"}); !errors.Is(err, postgres.ErrLapsed) {
		t.Fatalf("claim without a lease: %v", err)
	}
	beat(t, l, dead, dispatch, time.Time{}, time.Hour)
	claim(t, l, dead, []string{"a"}, "a")
	beat(t, l, dead, dispatch, time.Time{}, time.Millisecond)
	beat(t, l, left, dispatch, time.Time{}, time.Hour)
	polltest.Value(t, "the lease has expired by Postgres's clock",
		func() ([]string, error) {
			owned, _, err := l.Claim(t.Context(), left, []string{"a"})
			return owned, err
		},
		func(owned []string) bool { return slices.Equal(owned, []string{"a"}) })
	claim(t, l, left, []string{"a", "b"}, "a", "b")

	// The process that was presumed dead is back, and owns nothing.
	beat(t, l, dead, dispatch, time.Time{}, time.Hour)
	claim(t, l, dead, []string{"a", "b"})
	must(t, l.ReleaseLanes(t.Context(), left, []string{"b"}))
	claim(t, l, dead, []string{"a", "b"}, "b")
	must(t, l.Release(t.Context(), left))
	beat(t, l, heir, dispatch, time.Time{}, time.Hour)
	claim(t, l, heir, []string{"a", "b"}, "a")
}

func beat(t *testing.T, l *postgres.Leases, p uuid.UUID, roles []string, since time.Time, ttl time.Duration) time.Time {
	t.Helper()
	earliest, err := l.Heartbeat(t.Context(), p, roles, since, ttl)
	must(t, err)
	return earliest
}

func claim(t *testing.T, l *postgres.Leases, p uuid.UUID, senders []string, want ...string) {
	t.Helper()
	got, _, err := l.Claim(t.Context(), p, senders)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("owns %v, want %v", got, want)
	}
}

func TestRecordingSince(t *testing.T) {
	t.Parallel()
	l := leases(t)
	webhook := []string{postgres.RoleWebhook}
	for i, b := range []struct {
		roles       []string
		since, want time.Time
	}{
		{dispatch, start.Add(-time.Hour), time.Time{}},
		{webhook, time.Time{}, time.Time{}},
		{webhook, start.Add(time.Minute), start.Add(time.Minute)},
		{webhook, start, start},
		{webhook, start.Add(time.Hour), start},
	} {
		if since := beat(t, l, uuid.New(), b.roles, b.since, time.Hour); !since.Equal(b.want) {
			t.Errorf("after heartbeat %d, webhooks are recorded since %v; want %v", i, since, b.want)
		}
	}
}

func TestInboundIsCountedOverAllProcesses(t *testing.T) {
	t.Parallel()
	l := leases(t)
	must(t, l.AddInbound(t.Context(), start, map[string]int{"a": 2, "b": 1}))
	must(t, l.AddInbound(t.Context(), start.Add(time.Second), map[string]int{"a": 3}))
	must(t, l.AddInbound(t.Context(), start.Add(1200*time.Millisecond), map[string]int{"a": 4}))
	got, err := l.InboundSince(t.Context(), start.Add(time.Second))
	must(t, err)
	if len(got) != 1 || got["a"] != 7 {
		t.Errorf("inbound %v", got)
	}
	got, err = l.InboundSince(t.Context(), start.Add(1500*time.Millisecond))
	must(t, err)
	if got["a"] != 4 {
		t.Errorf("inbound of half a second with 7 in the whole: %v", got)
	}
}

func TestMigrationsGoUpAndDown(t *testing.T) {
	t.Parallel()
	url := postgrestest.New(t)
	pending := func(want bool) {
		t.Helper()
		got, err := postgres.Pending(t.Context(), url)
		must(t, err)
		if got != want {
			t.Fatalf("pending: %v", got)
		}
	}
	pending(true)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := postgres.Up(t.Context(), url); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	pending(false)
	list, err := postgres.Status(t.Context(), url)
	must(t, err)
	if len(list) < 2 || !list[0].Applied || list[0].Set != "readmodel" {
		t.Errorf("status %+v", list)
	}
	for _, state := range []bool{false, true} {
		must(t, postgres.Down(t.Context(), url, state))
		pending(true)
		must(t, postgres.Up(t.Context(), url))
		pending(false)
	}
}

// A claim that a crash of Postgres undid would give a lane two owners, and one that is half
// done a process lanes without a lease.
func TestLeasesAreDurableAndWhole(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), postgrestest.Migrated(t))
	must(t, err)
	t.Cleanup(pool.Close)
	l := postgres.NewLeases(pool)
	process := uuid.New()
	setting := func(b *pgx.Batch, into *string) {
		b.Queue(`SELECT current_setting('synchronous_commit')`).QueryRow(func(row pgx.Row) error { return row.Scan(into) })
	}
	var during, after string
	must(t, l.Durably(t.Context(), func(b *pgx.Batch) { setting(b, &during) }))
	var others pgx.Batch
	setting(&others, &after)
	must(t, pool.SendBatch(t.Context(), &others).Close())
	if during != "on" || after != "off" {
		t.Errorf("synchronous_commit is %q for leases and %q for others", during, after)
	}
	err = l.Durably(t.Context(), func(b *pgx.Batch) {
		b.Queue(`INSERT INTO waypost_run.process (id, roles, heartbeat_at, expires_at) VALUES ($1, '{}', now(), now())`, process)
		b.Queue(`SELECT 1 / (SELECT count(*) FROM waypost_run.lane)`)
	})
	var rows int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM waypost_run.process`).Scan(&rows))
	if err == nil || rows != 0 {
		t.Errorf("after a failed statement, there are %d rows: %v", rows, err)
	}
}
