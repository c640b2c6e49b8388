package privatepg_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/privatepg"
)

func TestClusterKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	c := start(t, dir)
	execute(t, connect(t, c.URL()), `CREATE TABLE kept AS SELECT 42 AS answer`)
	stop(t, c)
	stop(t, c) // a second time does nothing

	if got := query[int](t, connect(t, start(t, dir).URL()), `SELECT answer FROM kept`); got != 42 {
		t.Errorf("read back %d, want 42", got)
	}
}

func TestSettingsThatEverythingRestsOn(t *testing.T) {
	t.Parallel()
	conn := connect(t, start(t, clusterDir(t)).URL())
	for name, want := range map[string]string{
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",
		"listen_addresses":   "",
		"server_encoding":    "UTF8",
		"lc_collate":         "C",
		"TimeZone":           "UTC",
		"log_min_messages":   "log",
	} {
		// Since Postgres 16, lc_collate is not a setting but a property of the
		// database.
		sql := `SELECT current_setting($1)`
		if name == "lc_collate" {
			sql = `SELECT datcollate FROM pg_database WHERE datname = current_database() AND $1 <> ''`
		}
		if got := query[string](t, conn, sql, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestSettingsOfTheCallerGoFirst(t *testing.T) {
	t.Parallel()
	c, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: existing(t), Settings: map[string]string{"work_mem": "3MB"}})
	must(t, err)
	t.Cleanup(func() { stop(t, c) })
	if got := query[string](t, connect(t, c.URL()), `SHOW work_mem`); got != "3MB" {
		t.Errorf("work_mem is %s, want 3MB", got)
	}
}

func TestSecondProgramOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	other := startProgram(t, dir)
	_, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: dir})
	if !errors.Is(err, privatepg.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	connect(t, other.url) // unharmed
	must(t, other.stdin.Close())
	must(t, other.cmd.Wait())
	start(t, dir)
}

func TestSeveralClustersBesideEachOther(t *testing.T) {
	t.Parallel()
	a, b := start(t, existing(t)), start(t, existing(t))
	execute(t, connect(t, a.URL()), `CREATE TABLE only_here ()`)
	if query[*string](t, connect(t, b.URL()), `SELECT to_regclass('only_here')::text`) != nil {
		t.Error("both URLs lead to one database")
	}
}

func TestLongPathGetsAShortSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(clusterDir(t), strings.Repeat("long/", 30), "pg")
	c := start(t, dir)
	conn := connect(t, c.URL())
	socket := conn.Config().Host
	info, err := os.Stat(socket)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of %s is %v, want 0700", socket, info.Mode().Perm())
	}
	stop(t, c)
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", socket, err)
	}
}

func TestShortSocketOfAKilledProgramIsRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(clusterDir(t), strings.Repeat("long/", 30), "pg")
	copyStopped(t, dir)
	p := startProgram(t, dir)
	config, err := pgx.ParseConfig(p.url)
	must(t, err)
	p.kill()
	start(t, dir)
	if _, err := os.Stat(config.Host); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", config.Host, err)
	}
}

func TestStopEndsSessionsThatAreBusy(t *testing.T) {
	t.Parallel()
	c := start(t, existing(t))
	conn := connect(t, c.URL())
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), `SELECT pg_sleep(3600)`)
		ended <- err
	}()
	watcher := connect(t, c.URL())
	polltest.Until(t, "the session sleeps", func() bool {
		return query[bool](t, watcher, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')`)
	})
	stop(t, c)
	if err := <-ended; err == nil {
		t.Error("the session outlived the server")
	}
}

func TestStopWithoutTimeIsImmediateAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	c, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: dir})
	must(t, err)
	execute(t, connect(t, c.URL()), `CREATE TABLE kept AS SELECT 42 AS answer`)
	none, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(none); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("stop: %v", err)
	}
	if syscall.Kill(c.PID(), 0) == nil {
		t.Error("the server still runs after Stop")
	}
	if got := query[int](t, connect(t, start(t, dir).URL()), `SELECT answer FROM kept`); got != 42 {
		t.Errorf("read back %d, want 42", got)
	}
}

func TestStartCanBeCancelled(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // initdb takes longer
	defer cancel()
	if _, err := privatepg.Start(ctx, privatepg.Options{DataDir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a deadline exceeded", err)
	}
	start(t, dir)
}

// A Ctrl-C on a terminal goes to the whole process group. Waypost drains first, and
// needs its database for that.
func TestServerIsOutsideOfTheProgramsProcessGroup(t *testing.T) {
	t.Parallel()
	group, err := syscall.Getpgid(start(t, existing(t)).PID())
	must(t, err)
	if group == syscall.Getpgrp() {
		t.Error("Postgres would receive Waypost's Ctrl-C")
	}
}

func TestStatementsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	const secret = "391234567890"
	var log lockedBuffer
	c := start(t, existing(t), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	conn := connect(t, c.URL())
	execute(t, conn, `CREATE TABLE recipients (number text PRIMARY KEY)`)
	execute(t, conn, `INSERT INTO recipients VALUES ($1)`, secret)
	for _, sql := range []string{
		`INSERT INTO recipients VALUES ('` + secret + `')`, // quoted in DETAIL
		`SELECT '` + secret + `x'::bigint`,                 // quoted in the message
		`SELECT FROM "` + secret + `"`,
		`DO $$ BEGIN RAISE WARNING '` + secret + `'; RAISE EXCEPTION '` + secret + `'; END $$`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Fatalf("%s went well", sql)
		}
	}
	// When a session crashes, Postgres reports the statement that the session was
	// running.
	victim := connect(t, c.URL())
	pid := query[int](t, victim, `SELECT pg_backend_pid()`)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = victim.Exec(context.Background(), `SELECT pg_sleep(3600), '`+secret+`'`) // it is killed
	}()
	polltest.Until(t, "the session sleeps", func() bool {
		return query[bool](t, conn, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')`, pid)
	})
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	<-ended
	polltest.Until(t, "the crash is logged", func() bool { return strings.Contains(log.String(), "terminated by signal 9") })
	stop(t, c)
	if got := log.String(); strings.Contains(got, secret) || strings.Contains(got, "pg_sleep") {
		t.Errorf("the log quotes a statement:\n%s", got)
	}
}

func BenchmarkStartOnExistingData(b *testing.B) {
	dir := clusterDir(b)
	stop(b, start(b, dir))
	for b.Loop() {
		stop(b, start(b, dir))
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
