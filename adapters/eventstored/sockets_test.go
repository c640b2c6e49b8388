package eventstored_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/adapters/eventstored"
)

// childSocket names the variable with the socket that a child process of the test connects to.
const childSocket = "EVENTSTORED_TEST_CHILD_SOCKET"

func runDialer(path string) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = conn.Close()
	os.Exit(0)
}

// dialAs connects to a socket as another user of the machine.
func dialAs(t *testing.T, program string, uid uint32, path string) error {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), program)
	cmd.Env, cmd.Dir = []string{childSocket + "=" + path}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// socketOf returns the path for connecting to a server's socket.
func socketOf(t *testing.T, s *eventstored.Server) string {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil || u.Scheme != "esdb+unix" {
		t.Fatalf("URL %q, %v", s.URL(), err)
	}
	path, err := datadir.FindSocket(u.Path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Without an address there is no port, and another user cannot connect to the sockets, even if the directories above
// them are open to all.
func TestSocketsAreTheUsersAlone(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(o *eventstored.Options) { o.Dir, o.Addr, o.Insecure = filepath.Join(dir, "data"), "", false })
	if s.Addr() != "" || s.TCPURL() != "" {
		t.Errorf("it listens on %s, %s", s.Addr(), s.TCPURL())
	}
	grpc := socketOf(t, s)
	operator := filepath.Join(filepath.Dir(grpc), "operator")
	for path, want := range map[string]fs.FileMode{filepath.Dir(grpc): 0o700, grpc: 0o700, operator: 0o700, filepath.Join(dir, "data"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can act as another user")
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	syscall.ForkLock.RLock() // a child with the descriptor would make it a busy text file
	err = os.WriteFile(program, self, 0o755)
	syscall.ForkLock.RUnlock()
	for _, path := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "data")} {
		if chmodErr := os.Chmod(path, 0o755); err == nil {
			err = chmodErr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{grpc, operator} {
		if err := dialAs(t, program, 0, path); err != nil {
			t.Errorf("its own user: %v", err)
		}
		if err := dialAs(t, program, 65534, path); err == nil || !strings.Contains(err.Error(), "connect: permission denied") {
			t.Errorf("another user gets %v from %s; want permission denied", err, path)
		}
	}
}

// TLS and users protect the address. Clients of the socket need neither.
func TestSocketBesideAProtectedAddress(t *testing.T) {
	files := certificates(t)
	s := startServer(t, withTLS(t, files), withUsers(t, "ops:secret"))
	call, err := streams.NewStreamsClient(dial(t, "unix:"+socketOf(t, s))).Read(testContext(t), readRequest())
	if err == nil {
		_, err = call.Recv()
	}
	if err != nil {
		t.Errorf("over the socket: %v", err)
	}
	c := connect(t, urlOf(s, "", files))
	_, err = c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvent("Happened"))
	if grpcCode(err) != codes.PermissionDenied {
		t.Errorf("over the address without a user: %v", err)
	}
}

// A killed server leaves its sockets behind. The next one starts and is found at the same URL, even with a long path.
func TestStaleSocketDoesNotPreventAStart(t *testing.T) {
	for name, sub := range map[string]string{"short": "d", "long": strings.Repeat("long/", 30)} {
		t.Run(name, func(t *testing.T) {
			base, err := os.MkdirTemp("/tmp", "es") //nolint:usetesting // its path would be too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(base) })
			dir := filepath.Join(base, sub)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			killed, _ := startChild(t, dir)
			second := eventstored.Options{Dir: dir}
			if s, err := eventstored.Open(context.Background(), second); err == nil {
				_ = s.Close(context.Background())
				t.Fatal("two servers serve one directory")
			}
			left, err := datadir.FindSocket(filepath.Join(dir, "socket", "grpc"))
			if err != nil {
				t.Fatal(err)
			}
			_ = killed.Process.Kill()
			_ = killed.Wait()
			if _, err := os.Lstat(left); err != nil {
				t.Fatalf("the killed server left no socket, so this proves nothing: %v", err)
			}
			s := startServer(t, func(o *eventstored.Options) { o.Dir, o.Addr = dir, "" })
			conn, err := net.Dial("unix", socketOf(t, s))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			if err := s.Close(testContext(t)); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{filepath.Dir(left), filepath.Join(dir, "socket")} {
				if _, err := os.Lstat(path); !os.IsNotExist(err) {
					t.Errorf("%s is left: %v", path, err)
				}
			}
		})
	}
}
