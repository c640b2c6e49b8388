package privatepg_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/privatepg"
)

// credential returns the credential of a user of the machine.
func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// needRoot skips a test that only root can run.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it acts as several users")
	}
}

// executable copies the test binary to a place where every user can run it.
func executable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(openDir(t), "privatepg.test")
	content, err := os.ReadFile(os.Args[0])
	must(t, err)
	writeExecutable(t, path, content)
	return path
}

func ownerOf(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Sys().(*syscall.Stat_t)
}

// startBystander runs a process of the user that owns the cluster. The channel is
// closed when it has ended.
func startBystander(t *testing.T, dir string) (pid int, ended <-chan struct{}) {
	t.Helper()
	owner := ownerOf(t, filepath.Join(dir, "cluster"))
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // it is always killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the tested code may have killed it
		<-done
	})
	return cmd.Process.Pid, done
}

// This runs what depends on the user again, as an ordinary user. One kill is enough: root kills in all ways.
func TestAsAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("starts many clusters")
	}
	t.Parallel()
	temp := filepath.Join(openDir(t), "tmp")
	nobody := credential(t, "nobody")
	must(t, os.Mkdir(temp, 0o700))
	must(t, os.Chown(temp, int(nobody.Uid), int(nobody.Gid)))
	cmd := exec.CommandContext(t.Context(), executable(t), "-test.v", "-test.short", "-test.timeout=5m", "-test.run=Restart|Second|Short|KillOfTheProgram|PIDFile|Outlived|Lingering|Folder|User")
	cmd.Dir = temp
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "HOME="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestKillOfTheProgram")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Root's data directories are often in directories that only root can enter.
func TestFolderThatOnlyRootCanEnter(t *testing.T) {
	needRoot(t)
	t.Parallel()
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o700))
	dir := filepath.Join(closed, "pg")
	c := start(t, dir)
	execute(t, connect(t, c.URL()), `CREATE TABLE kept AS SELECT 42 AS answer`)
	// Sessions and their checkpoints also reach the files.
	execute(t, connect(t, c.URL()), `CHECKPOINT`)
	killed := c.PID()
	must(t, syscall.Kill(killed, syscall.SIGKILL))
	polltest.Until(t, "it is back", func() bool { return c.PID() != killed })
	stop(t, c)
	if got := query[int](t, connect(t, start(t, dir).URL()), `SELECT answer FROM kept`); got != 42 {
		t.Errorf("read back %d, want 42", got)
	}
}

func TestCopyMadeByRootIsGivenToPostgres(t *testing.T) {
	needRoot(t)
	t.Parallel()
	dir := existing(t)
	must(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		must(t, err)
		return os.Lchown(path, 0, 0)
	}))
	connect(t, start(t, dir).URL())
}

// The socket's directory keeps other users out. If it is ever opened, the kernel's peer
// credentials still do.
func TestOtherUsersAreRefused(t *testing.T) {
	needRoot(t)
	t.Parallel()
	dir := existing(t)
	c := start(t, dir)
	config, err := pgx.ParseConfig(c.URL())
	must(t, err)
	binary := executable(t)
	try := func() string {
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = []string{asClient + "=" + c.URL()}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, "nobody")}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Error("another user connected")
		}
		return string(out)
	}
	if out := try(); !strings.Contains(out, "permission denied") {
		t.Errorf("not kept out by the directory: %s", out)
	}
	must(t, os.Chmod(config.Host, 0o755))
	must(t, os.Chmod(filepath.Join(config.Host, ".s.PGSQL.5432"), 0o777))
	if out := try(); !strings.Contains(out, "eer authentication failed") {
		t.Errorf("not kept out by Postgres: %s", out)
	}
}

func TestDataOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can run any user's data; runs again as an ordinary user")
	}
	t.Parallel()
	dir := clusterDir(t)
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Symlink("/etc", filepath.Join(dir, "cluster"))) // the link belongs to this user, so its target decides
	_, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "/cluster") {
		t.Errorf("got %v, want an error that names the directory", err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can write everywhere; runs again as an ordinary user")
	}
	t.Parallel()
	closed := t.TempDir()
	must(t, os.Chmod(closed, 0o500))
	_, err := privatepg.Start(t.Context(), privatepg.Options{DataDir: filepath.Join(closed, "pg")})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "choose another data directory") {
		t.Errorf("got %v, want the error and a remedy", err)
	}
}
