package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// anotherUser is a user of the machine that Waypost doesn't run as.
const anotherUser = 65534

// openToAll makes a directory that other users can enter, and those above it.
func openToAll(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runAs runs a program as another user and returns what it says.
func runAs(ctx context.Context, t *testing.T, uid uint32, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = "/", harness.ChildEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Another user of the machine can neither append to the log, make a key, read one, nor
// sign in, even if the data directory was made for all to enter.
func TestAnotherUserGetsNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	dir := openToAll(t)
	self, err := os.ReadFile(harness.Program)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "waypost")
	syscall.ForkLock.RLock() // a child with the descriptor would make it a busy text file
	err = os.WriteFile(program, self, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := harness.Start(ctx, dir, []string{"WAYPOST_ADMIN_KEY="}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	}()
	run, err := platform.Running(r.DataDir())
	if err != nil || run == nil {
		t.Fatalf("it is not found: %+v, %v", run, err)
	}
	for _, args := range [][]string{
		{"key", "create", "--name", "intruder", "--scope", "ADMIN", "--data-dir", r.DataDir()},
		{"key", "create", "--name", "intruder", "--scope", "ADMIN", "--eventstore-url", run.Eventstore},
		{"query", "--data-dir", r.DataDir(), "{ viewer { name } }"},
		{"eventstore", "scavenge", "--data-dir", filepath.Join(r.DataDir(), "eventstore")},
		{"verify", "--data-dir", r.DataDir(), "--eventstore-url", run.Eventstore, "--postgres-url", run.Postgres, "--secret-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},
	} {
		if out, err := runAs(ctx, t, anotherUser, program, args...); err == nil || !strings.Contains(out, "permission denied") {
			t.Errorf("another user: waypost %s: %v, %s; want permission denied", strings.Join(args, " "), err, out)
		}
	}
	if list := keyRun(t, r.DataDir(), "list", "--all"); strings.Contains(list, "intruder") {
		t.Errorf("another user has made a key: %s", list)
	}
	if out, err := runAs(ctx, t, 0, program, "query", "--data-dir", r.DataDir(), "{ viewer { name } }"); err != nil || !strings.Contains(out, "ADMIN") {
		t.Errorf("its own user: %s, %v", out, err)
	}
	checkModes(t, r.DataDir())
}

// checkModes fails for each file under a data directory that other users can read or
// write, and each directory in it that they can list.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if os.IsNotExist(err) {
			return nil // a file of the stores that has gone
		}
		if err != nil {
			return err
		}
		others := info.Mode().Perm() & 0o077
		if entry.IsDir() {
			others &= 0o066 // the private Postgres's user may have to pass through
		}
		if others != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A run.json that a killed platform left names a process ID and ports that can be
// another user's by now. Nothing is sent there, and nothing treats the platform as running.
func TestStaleRunFileIsNotBelieved(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	var requests atomic.Int64
	intruder := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer intruder.Close()
	r := e2etest.Start(ctx, t, nil, nil)
	r.Serve.Kill()
	for _, pid := range []int{1, os.Getpid()} {
		run := fmt.Sprintf(`{"pid": %d, "url": %q, "eventstore": "esdb://127.0.0.1:1?tls=false", "postgres": "postgres://127.0.0.1:1/x"}`, pid, intruder.URL)
		if err := os.WriteFile(platform.RunPath(r.DataDir()), []byte(run), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(platform.AdminKeyPath(r.DataDir()), []byte(harness.AdminKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := e2etest.Run("query", "--data-dir", r.DataDir(), "{ viewer { name } }"); code != e2etest.ExitFailed || !strings.Contains(errs, "Waypost is not running on") {
			t.Errorf("pid %d: exit code %d, %s", pid, code, errs)
		}
		if list := keyRun(t, r.DataDir(), "list"); !strings.Contains(list, "NAME") {
			t.Errorf("pid %d: %s", pid, list)
		}
	}
	if requests.Load() > 0 {
		t.Error("a key was sent to the address of a stale run.json")
	}
	if err := r.StartServe(ctx); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := e2etest.Run("query", "--data-dir", r.DataDir(), "{ viewer { name } }"); code != e2etest.ExitDone || !strings.Contains(out, "ADMIN") {
		t.Errorf("after the restart: exit code %d, %s%s", code, out, errs)
	}
	// A second platform on the same data directory is refused, by name of the first.
	addr, err := loopback.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	code, _, errs := e2etest.Run("serve", "--addr", addr, "--data-dir", r.DataDir())
	if want := fmt.Sprintf("is in use by process %d; stop the other process or choose another directory with --data-dir", r.Serve.PID()); code != e2etest.ExitFailed || !strings.Contains(errs, want) {
		t.Errorf("a second platform: exit code %d, %s; want %q", code, errs, want)
	}
	if held, err := datadir.Held(r.DataDir()); !held || err != nil {
		t.Errorf("the first has lost its directory: %v", err)
	}
}

// This machine's ADMIN key goes to its own platform, not to one that --url names, over
// http to no other machine, and after no redirect.
func TestKeysStayWithTheirPlatform(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	var requests atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, `{"data": {}}`)
	}))
	defer other.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect))
	defer redirecting.Close()
	dir := t.TempDir()
	if err := os.WriteFile(platform.AdminKeyPath(dir), []byte(harness.AdminKey), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WAYPOST_ADMIN_KEY", harness.AdminKey)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no key":                  {[]string{"query", "--url", other.URL, "{ a }"}, "--url needs a key of that installation"},
		"no key for replay":       {[]string{"replay", "--url", other.URL}, "--url needs a key of that installation"},
		"http to another machine": {[]string{"query", "--url", "http://waypost.example", "--api-key", "x", "{ a }"}, "in clear text"},
		"send over http":          {[]string{"send", "--url", "http://192.0.2.1", "--api-key", "x", "--sender", "a", "--to", "+14155550101", "--text", "a"}, "in clear text"},
		"a name like localhost":   {[]string{"query", "--url", "http://localhost.example", "--api-key", "x", "{ a }"}, "in clear text"},
		"redirect":                {[]string{"query", "--url", redirecting.URL, "--api-key", "x", "{ a }"}, "the server redirects to http://localhost"},
		"send and redirect":       {[]string{"send", "--url", redirecting.URL, "--api-key", "x", "--sender", "a", "--to", "+14155550101", "--text", "a"}, "the server redirects to http://localhost"},
	} {
		code, _, errs := e2etest.Run(append(tt.args, "--data-dir", dir)...)
		if tt.args[0] == "send" {
			code, _, errs = e2etest.Run(tt.args...)
		}
		if code == e2etest.ExitDone || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit code %d, %s; want %q", name, code, errs, tt.want)
		}
	}
	if requests.Load() > 0 {
		t.Error("a key was sent to the wrong server")
	}
	if code, _, errs := e2etest.Run("query", "--url", other.URL, "--api-key", "x", "--data-dir", dir, "{ a }"); code != e2etest.ExitDone || requests.Load() != 1 {
		t.Errorf("with a key of its own: exit code %d, %s", code, errs)
	}
	// A proxy in the environment is not used between the command and Waypost, nor between Waypost and its stores.
	t.Setenv("WAYPOST_ADMIN_KEY", "")
	r := e2etest.Start(ctx, t, []string{"HTTPS_PROXY=" + other.URL, "HTTP_PROXY=" + other.URL}, nil)
	child, err := harness.StartChild(r.Dir, "query", []string{"WAYPOST_ADMIN_KEY=" + harness.AdminKey, "HTTP_PROXY=" + other.URL, "http_proxy=" + other.URL},
		"query", "--data-dir", r.DataDir(), "{ viewer { name } }")
	if err != nil {
		t.Fatal(err)
	}
	if <-child.Done; child.Err != nil || !strings.Contains(child.Tail(), "ADMIN") || requests.Load() != 1 {
		t.Errorf("with a proxy: %v, %s", child.Err, child.Tail())
	}
}

// What is on the command line, others read in the list of processes.
func TestSecretsOnTheCommandLineAreWarnedOf(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		warns string // empty: of nothing
	}{
		"a key":                  {[]string{"--admin-key", "k"}, "--admin-key: every user of this machine can read its value in the list of processes; set WAYPOST_ADMIN_KEY instead"},
		"a URL with a password":  {[]string{"--postgres-url", "postgres://me:secret@127.0.0.1:1/x"}, "set WAYPOST_POSTGRES_URL instead"},
		"a URL without":          {[]string{"--postgres-url", "postgres://127.0.0.1:1/x"}, ""},
		"no secret":              {[]string{"--log-level", "warn"}, ""},
		"an empty one":           {[]string{"--secret-key="}, ""},
		"one of the environment": {nil, ""},
	} {
		t.Setenv("WAYPOST_WHATSAPP_TOKEN", "token")
		_, _, errs := e2etest.Run(append([]string{"serve", "--addr", "nonsense", "--data-dir", t.TempDir()}, tt.args...)...)
		if tt.warns == "" && strings.Contains(errs, "warning:") || !strings.Contains(errs, tt.warns) || strings.Contains(errs, "me:secret") {
			t.Errorf("%s: %s; want %q", name, errs, tt.warns)
		}
	}
}
