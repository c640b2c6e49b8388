package datadir_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/adapters/datadir"
)

// asHolder names the variable that makes the test binary hold the lock of a directory until its input ends.
const asHolder = "WAYPOST_TEST_HOLD"

func TestMain(m *testing.M) {
	dir := os.Getenv(asHolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := datadir.Hold(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startHolder starts a process that holds the lock of dir.
func startHolder(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asHolder+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder printed %q, %v", line, err)
	}
	return cmd
}

func held(t *testing.T, dir string) bool {
	t.Helper()
	is, err := datadir.Held(dir)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

func TestLockEndsWithItsProcess(t *testing.T) {
	dir := t.TempDir()
	if held(t, dir) {
		t.Error("a new directory is held")
	}
	holder := startHolder(t, dir)
	if !held(t, dir) {
		t.Error("a directory that a process holds isn't held")
	}
	_, err := datadir.Hold(dir)
	var taken *datadir.HeldError
	if !errors.As(err, &taken) || taken.PID != strconv.Itoa(holder.Process.Pid) {
		t.Errorf("got %v, want the process %d as its holder", err, holder.Process.Pid)
	}
	_ = holder.Process.Kill() // like kill -9
	_ = holder.Wait()
	if held(t, dir) {
		t.Error("the lock outlived its process")
	}
	l, err := datadir.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !held(t, dir) {
		t.Error("a directory that this process holds isn't held")
	}
	l.Release()
	l.Release()
	if held(t, dir) {
		t.Error("the lock outlived its release")
	}
	if is, err := datadir.Held(filepath.Join(dir, "missing")); is || err != nil {
		t.Errorf("a missing directory: %v, %v", is, err)
	}
}

// Processes that check whether a directory is held must not prevent it from being locked.
func TestHeldDoesNotDisturbHold(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = datadir.Held(dir)
			}
		}
	})
	for range 50 {
		l, err := datadir.Hold(dir)
		if err != nil {
			t.Error(err)
			break
		}
		l.Release()
	}
	close(stop)
	looking.Wait()
}

// listenAndDial checks that a process that knows only path reaches a socket in the directory.
func listenAndDial(t *testing.T, d datadir.SocketDir, path, name string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(d.Path(), name))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	found, err := datadir.FindSocket(filepath.Join(path, name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", found)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestSocketDir(t *testing.T) {
	const name = "grpc"
	long := strings.Repeat("long/", 30)
	for what, sub := range map[string]string{"short": "socket", "long": long + "socket"} {
		t.Run(what, func(t *testing.T) {
			base, err := os.MkdirTemp("/tmp", "wp") //nolint:usetesting // its path would be too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(base) })
			path := filepath.Join(base, sub)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			options := datadir.SocketOptions{Longest: name, Prefix: "waypost-test-"}
			crashed, err := datadir.MakeSocketDir(path, options)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(crashed.Path())
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("mode %v, %v; want 0700", info.Mode(), err)
			}
			// A killed process also leaves its socket file.
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(crashed.Path(), name), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
			d, err := datadir.MakeSocketDir(path, options)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(crashed.Path()); d.Path() != crashed.Path() && !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", crashed.Path(), err)
			}
			listenAndDial(t, d, path, name)
			d.Remove()
			d.Remove()
			for _, gone := range []string{d.Path(), path} {
				if _, err := os.Lstat(gone); !os.IsNotExist(err) {
					t.Errorf("%s is left: %v", gone, err)
				}
			}
		})
	}
}

func TestFindSocketNamesAPathThatIsTooLong(t *testing.T) {
	path := "/" + strings.Repeat("a", 120) + "/grpc"
	if _, err := datadir.FindSocket(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
