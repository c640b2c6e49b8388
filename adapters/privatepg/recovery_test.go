package privatepg_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/privatepg"
)

// rounds is how often each kind of kill is repeated, each time at another moment.
const rounds = 6

// write commits the numbers 1, 2, 3 … until the server is gone, and returns the last
// one that was acknowledged.
func write(t *testing.T, url string, from int64, acknowledged *atomic.Int64) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		return // already gone
	}
	defer conn.Close(context.Background())
	for n := from; ; n++ {
		if _, err := conn.Exec(t.Context(), `INSERT INTO numbers VALUES ($1)`, n); err != nil {
			return
		}
		acknowledged.Store(n)
	}
}

// checkNumbers compares the stored numbers with the acknowledged ones and returns the
// number to continue with. One more than acknowledged can be there.
func checkNumbers(t *testing.T, conn *pgx.Conn, acknowledged int64) (next int64) {
	t.Helper()
	highest := query[int64](t, conn, `SELECT coalesce(max(n), 0) FROM numbers`)
	count := query[int64](t, conn, `SELECT count(*) FROM numbers`)
	if highest < acknowledged || count != highest {
		t.Fatalf("%d rows up to %d after a kill, %d were acknowledged", count, highest, acknowledged)
	}
	return highest + 1
}

func TestKillOfTheProgram(t *testing.T) {
	t.Parallel()
	testKill(t, func(p *program) { p.kill() })
}

func TestKillOfProgramAndPostgres(t *testing.T) {
	t.Parallel()
	testKill(t, func(p *program) {
		_ = syscall.Kill(p.pgPID, syscall.SIGKILL) // may be stopping already
		p.kill()
	})
}

func TestKillOfPostgresThenProgram(t *testing.T) {
	t.Parallel()
	testKill(t, func(p *program) {
		_ = syscall.Kill(p.pgPID, syscall.SIGKILL)
		randomMoment(400 * time.Millisecond) // of the restart
		p.kill()
	})
}

func testKill(t *testing.T, kill func(*program)) {
	t.Helper()
	dir := existing(t)
	c := start(t, dir)
	execute(t, connect(t, c.URL()), `CREATE TABLE numbers (n bigint PRIMARY KEY)`)
	stop(t, c)

	var acknowledged atomic.Int64
	next := int64(1)
	n := rounds
	if testing.Short() {
		n = 1
	}
	for round := range n {
		p := startProgram(t, dir)
		next = checkNumbers(t, connect(t, p.url), acknowledged.Load())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			write(t, p.url, next, &acknowledged)
		}()
		if round == 0 { // later rounds also end before the first write
			polltest.Until(t, "a number is written", func() bool { return acknowledged.Load() > 0 })
		}
		randomMoment(300 * time.Millisecond)
		kill(p)
		<-ended
	}
	checkNumbers(t, connect(t, start(t, dir).URL()), acknowledged.Load())
}

func TestKilledPostgresComesBackUnderItsURL(t *testing.T) {
	t.Parallel()
	c := start(t, existing(t))
	execute(t, connect(t, c.URL()), `CREATE TABLE numbers (n bigint PRIMARY KEY)`)
	var acknowledged atomic.Int64
	for range 3 {
		next := checkNumbers(t, connect(t, c.URL()), acknowledged.Load())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			write(t, c.URL(), next, &acknowledged)
		}()
		randomMoment(200 * time.Millisecond)
		killed := c.PID()
		must(t, syscall.Kill(killed, syscall.SIGKILL))
		<-ended
		polltest.Until(t, "it is back", func() bool { return c.PID() != killed })
	}
	checkNumbers(t, connect(t, c.URL()), acknowledged.Load())
	select {
	case err := <-c.Err():
		t.Errorf("the supervisor gave up: %v", err)
	default:
	}
}

// A session that outlives a killed server may still write to the files, so the next
// server must wait for it.
func TestStartWaitsForALingeringSession(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	p := startProgram(t, dir)
	lingering := query[int](t, connect(t, p.url), `SELECT pg_backend_pid()`)
	must(t, syscall.Kill(lingering, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(lingering, syscall.SIGCONT) }) // it has ended if all went well
	must(t, syscall.Kill(p.pgPID, syscall.SIGKILL))
	p.kill()
	continued := make(chan error, 1)
	time.AfterFunc(500*time.Millisecond, func() { continued <- syscall.Kill(lingering, syscall.SIGCONT) })
	connect(t, start(t, dir).URL())
	select {
	case err := <-continued:
		must(t, err)
	default:
		t.Error("started while a session of the last server was alive")
	}
}

func TestServerThatCannotComeBackIsReported(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	c := start(t, dir)
	must(t, os.Remove(filepath.Join(dir, "cluster", "global", "pg_control")))
	must(t, syscall.Kill(c.PID(), syscall.SIGKILL))
	select {
	case err := <-c.Err():
		if !strings.Contains(err.Error(), "pg_control") {
			t.Errorf("the error contains no reason: %v", err)
		}
	case <-time.After(limit):
		t.Fatal("not reported")
	}
}

func TestKillWhileTheClusterIsMade(t *testing.T) {
	t.Parallel()
	dir := clusterDir(t)
	for range 4 {
		p, _ := launchProgram(t, dir)
		polltest.Until(t, "initdb works", func() bool {
			found, _ := filepath.Glob(filepath.Join(dir, "initdb-*", "*"))
			return len(found) > 0
		})
		randomMoment(150 * time.Millisecond)
		p.kill()
		if _, err := os.Stat(filepath.Join(dir, "cluster")); err == nil {
			break // it was quick; the other rounds have hit
		}
	}
	connect(t, start(t, dir).URL())
	if left, _ := filepath.Glob(filepath.Join(dir, "initdb-*")); len(left) > 0 {
		t.Errorf("half-created clusters are left: %v", left)
	}
}

func TestServerThatOutlivedItsProgramIsStopped(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	orphan, ended, err := privatepg.StartOrphan(t.Context(), dir)
	must(t, err)
	c := start(t, dir)
	select {
	case <-ended:
	case <-time.After(limit):
		t.Errorf("process %d still runs", orphan)
	}
	connect(t, c.URL())
}

// The number in a PID file was reused by another process. In a container, that happens
// at every start.
func TestPIDFileOfAnotherProcessIsNotBelieved(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	stranger, ended := startBystander(t, dir)
	cluster := filepath.Join(dir, "cluster")
	file := filepath.Join(cluster, "postmaster.pid")
	must(t, os.WriteFile(file,
		fmt.Appendf(nil, "%d\n%s\n1700000000\n5432\n/tmp\n\n  1234567    123456\nready   \n", stranger, cluster), 0o600))
	owner := ownerOf(t, cluster)
	must(t, os.Chown(file, int(owner.Uid), int(owner.Gid)))
	connect(t, start(t, dir).URL())
	select {
	case <-ended:
		t.Error("a process that has nothing to do with it was killed")
	default:
	}
}

func TestDamagedFilesAreNamedWithARemedy(t *testing.T) {
	t.Parallel()
	dir := existing(t)
	segments, err := filepath.Glob(filepath.Join(dir, "*", "pg_wal", "0*"))
	must(t, err)
	if len(segments) == 0 {
		t.Fatal("there is no WAL")
	}
	for _, s := range segments {
		must(t, os.Truncate(s, 0))
	}
	c, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: dir})
	if err == nil {
		stop(t, c)
		t.Fatal("it starts without its WAL")
	}
	if !errors.Is(err, privatepg.ErrDamaged) || !strings.Contains(err.Error(), "checkpoint") || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("the error is %q", err)
	}
}
