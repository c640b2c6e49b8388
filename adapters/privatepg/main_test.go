package privatepg_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/waypost/waypost/adapters/privatepg"
)

// The test binary is also the process that tests kill: with one of these variables in
// its environment, it does that instead of running tests.
const (
	asProgram = "PRIVATEPG_TEST_PROGRAM" // start a cluster in this directory, print its URL, wait for stdin's end
	asClient  = "PRIVATEPG_TEST_CLIENT"  // connect to this URL
)

// limit bounds every wait of a test, so that one that hangs is reported.
const limit = 5 * time.Minute

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asProgram) != "":
		exit(runProgram(os.Getenv(asProgram)))
	case os.Getenv(asClient) != "":
		exit(runClient(os.Getenv(asClient)))
	default:
		goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
			os.RemoveAll(stopped.dir)
			os.Exit(code)
		}))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runProgram(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := privatepg.Start(ctx, privatepg.Options{DataDir: dir})
	if err != nil {
		return err
	}
	fmt.Println(c.URL(), c.PID())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return c.Stop(ctx)
}

func runClient(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// program is another process that runs a cluster.
type program struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
	pgPID int
}

// launchProgram starts another process on dir and doesn't wait for its cluster.
func launchProgram(t *testing.T, dir string) (*program, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &program{cmd: cmd, stdin: stdin}
	t.Cleanup(p.kill)
	return p, bufio.NewReader(stdout)
}

func startProgram(t *testing.T, dir string) *program {
	t.Helper()
	p, stdout := launchProgram(t, dir)
	if _, err := fmt.Fscan(stdout, &p.url, &p.pgPID); err != nil {
		t.Fatalf("the other program did not start: %v", err)
	}
	return p
}

// kill ends the process the hard way.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}

// start starts a cluster in dir and stops it with the test.
func start(t testing.TB, dir string, logger ...*slog.Logger) *privatepg.Cluster {
	t.Helper()
	o := privatepg.Options{DataDir: dir}
	if len(logger) > 0 {
		o.Logger = logger[0]
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, err := privatepg.Start(ctx, o)
	must(t, err)
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t testing.TB, c *privatepg.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit) // also called when the test's own context has ended
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	must(t, err)
}

func query[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// randomMoment blocks for a random part of the span, so that the fault that follows hits
// another step in each round. It waits for nothing: any moment will do.
func randomMoment(span time.Duration) { <-time.After(rand.N(span)) }

// writeExecutable writes a file that is run later. No process must be forked in the
// meantime, because it would hold the file open for writing, and running the file would
// fail (text file busy).
func writeExecutable(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	must(t, os.WriteFile(path, content, 0o755))
}

// openDir returns a new directory that all users can enter, unlike the testing
// package's, which is in a closed one.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// clusterDir returns the path of a directory for a cluster, which does not exist yet.
func clusterDir(t testing.TB) string {
	t.Helper()
	return filepath.Join(openDir(t), "pg")
}

// stopped is a cluster that was created once and stopped, and that no test starts again.
var stopped struct {
	sync.Mutex
	dir string // what the process removes at its end; empty before the first use
}

// existing returns the path of a directory with a copy of a stopped cluster, for tests
// that are not about the creation of one, which takes about 15 times the CPU time.
func existing(t testing.TB) string {
	t.Helper()
	dir := clusterDir(t)
	copyStopped(t, dir)
	return dir
}

func copyStopped(t testing.TB, dir string) {
	t.Helper()
	original := createStopped(t)
	must(t, os.MkdirAll(dir, 0o711))
	// -p keeps the owner.
	if out, err := exec.CommandContext(t.Context(), "cp", "-Rp", filepath.Join(original, "cluster"), filepath.Join(dir, "cluster")).CombinedOutput(); err != nil {
		t.Fatalf("copy the cluster: %v: %s", err, out)
	}
}

// createStopped returns the directory of the stopped cluster.
func createStopped(t testing.TB) string {
	t.Helper()
	stopped.Lock()
	defer stopped.Unlock()
	if stopped.dir == "" {
		dir, err := os.MkdirTemp("", "waypost-privatepg-") //nolint:usetesting // it outlives the test
		must(t, err)
		stopped.dir = dir
		must(t, os.Chmod(dir, 0o711))
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		c, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dir, "pg")})
		must(t, err)
		must(t, c.Stop(ctx))
	}
	return filepath.Join(stopped.dir, "pg")
}
