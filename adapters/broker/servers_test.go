package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/privatepg"
)

// A server is a broker that a test can kill. Afterward it still has its data, address, and
// user.
type server struct {
	tb  testing.TB
	url string
	// start starts the server and returns when it accepts connections. kill ends it with
	// SIGKILL.
	start, kill func()
}

// restart kills the server and starts it again.
func (s *server) restart() {
	s.tb.Helper()
	s.kill()
	s.start()
}

// kinds returns the brokers of the suite, with a function that starts a server of each.
func kinds() []struct {
	name  string
	serve func(testing.TB) *server
} {
	return []struct {
		name  string
		serve func(testing.TB) *server
	}{
		{"Postgres", servePostgres},
		{"Redis", serveRedis},
		{"RabbitMQ", serveRabbitMQ},
		{"SQS", serveSQS},
	}
}

// lacking skips a test whose server is not installed. If REQUIRE_STORES is set, it fails
// the test instead.
func lacking(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("REQUIRE_STORES") != "" {
		tb.Fatalf("%s is not installed; run .ci/install test", what)
	}
	tb.Skipf("%s is not installed; run .ci/install test", what)
}

// servePostgres starts a cluster with the Postgres installed on this machine. After kill,
// privatepg restarts it.
func servePostgres(tb testing.TB) *server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "waypost-broker-") //nolint:usetesting // the server's user has no access to directories in TempDir
	must(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(tb, os.Chmod(dir, 0o711))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cluster, err := privatepg.Start(ctx, privatepg.Options{DataDir: filepath.Join(dir, "postgres")})
	if errors.Is(err, privatepg.ErrNoBinaries) {
		lacking(tb, "Postgres")
	}
	must(tb, err)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(tb, cluster.Stop(ctx))
	})
	return &server{
		tb: tb, url: cluster.URL(),
		start: func() {},
		kill:  func() { must(tb, syscall.Kill(cluster.PID(), syscall.SIGKILL)) },
	}
}

func serveRedis(tb testing.TB) *server {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		lacking(tb, "redis-server")
	}
	dir, port := tb.TempDir(), freePort(tb)
	p := &process{tb: tb, port: port, command: func() *exec.Cmd {
		// SIGKILL loses no confirmed data; only a machine failure would. With everysec, it would: while an fsync takes long,
		// Redis keeps confirmed data in its memory for up to two seconds.
		return exec.Command(program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
			"--appendonly", "yes", "--appendfsync", "no", "--save", "")
	}}
	return p.serve(fmt.Sprintf("redis://127.0.0.1:%d/0", port))
}

func serveRabbitMQ(tb testing.TB) *server {
	tb.Helper()
	program := "/usr/lib/rabbitmq/bin/rabbitmq-server" // the one in PATH switches to another user
	if _, err := os.Stat(program); err != nil {
		lacking(tb, "rabbitmq-server")
	}
	dir := tb.TempDir()
	port, names := freePort(tb), freePort(tb)
	must(tb, os.WriteFile(filepath.Join(dir, "plugins"), []byte("[]."), 0o600))
	must(tb, os.WriteFile(filepath.Join(dir, "env"), nil, 0o600))
	environment := append(os.Environ(),
		"HOME="+dir, // for the Erlang cookie
		fmt.Sprintf("ERL_EPMD_PORT=%d", names), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=waypost%d@localhost", port), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", port), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", freePort(tb)),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "env"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RUNNING_UNDER_SYSTEMD=true", // the script then becomes the server, so that kill waits for the server and not for the script
	)
	p := &process{tb: tb, port: port, command: func() *exec.Cmd {
		c := exec.Command(program)
		c.Env = environment
		return c
	}}
	tb.Cleanup(func() { // Erlang's name server outlives the node, and only this test uses it
		polltest.Until(tb, "epmd no longer knows the node and ends", func() bool {
			c := exec.Command("epmd", "-port", strconv.Itoa(names), "-kill")
			c.Env = environment
			out, err := c.CombinedOutput()
			return err == nil && string(out) == "Killed\n"
		})
	})
	return p.serve(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", port))
}

// serveSQS starts fauxqs, an npm package that stores its queues in SQLite.
func serveSQS(tb testing.TB) *server {
	tb.Helper()
	home := os.Getenv("WAYPOST_TEST_FAUXQS")
	if home == "" {
		cache, err := os.UserCacheDir()
		must(tb, err)
		home = filepath.Join(cache, "waypost", "fauxqs")
	}
	node := filepath.Join(home, "node_modules", ".bin", "node")
	if _, err := os.Stat(filepath.Join(home, "node_modules", "fauxqs")); err != nil {
		tb.Skip("fauxqs is not installed; install npm and run .ci/install test") // npm is optional
	}
	dir, port := tb.TempDir(), freePort(tb)
	p := &process{tb: tb, port: port, command: func() *exec.Cmd {
		c := exec.Command(node, "--no-warnings", "--input-type=module", "--eval", fmt.Sprintf(`
			import net from "node:net";
			import { startFauxqs } from "fauxqs";
			const listen = net.Server.prototype.listen; // it would listen on all interfaces
			net.Server.prototype.listen = function (options, ...more) {
				return listen.call(this, { ...options, host: "127.0.0.1" }, ...more);
			};
			await startFauxqs({ port: %d, dataDir: %q, logger: false });`, port, dir))
		c.Dir = home
		return c
	}}
	return p.serve(fmt.Sprintf("sqs://key:secret@us-east-1?endpoint=http://127.0.0.1:%d", port))
}

// A process runs a server as a process with children.
type process struct {
	tb      testing.TB
	port    int
	command func() *exec.Cmd
	running *exec.Cmd
	ended   chan error // receives the result of running, once
}

func (p *process) serve(url string) *server {
	p.tb.Helper()
	p.tb.Cleanup(p.kill)
	p.start()
	return &server{tb: p.tb, url: url, start: p.start, kill: p.kill}
}

// start waits as long as the process runs, because a busy machine can take minutes to start
// RabbitMQ. A process that ends fails the test at once, with its output.
func (p *process) start() {
	p.tb.Helper()
	output, err := os.Create(filepath.Join(p.tb.TempDir(), "output"))
	must(p.tb, err)
	defer output.Close()
	c, ended := p.command(), make(chan error, 1)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Stdout, c.Stderr = output, output
	must(p.tb, c.Start())
	p.running, p.ended = c, ended
	go func() { ended <- c.Wait() }() // kill waits for it

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	listens := polltest.Retry(ctx, func() bool {
		select {
		case err := <-ended:
			ended <- err
			cancel()
			return false
		default:
		}
		return p.listens()
	})
	if !listens {
		said, _ := os.ReadFile(output.Name())
		p.tb.Fatalf("%s doesn't listen on port %d:\n%s", c.Path, p.port, said)
	}
}

// kill returns when the server has ended, and so have its children that listened: a server
// that starts while they last would find its address and its name taken.
func (p *process) kill() {
	p.tb.Helper()
	if p.running == nil {
		return
	}
	_ = syscall.Kill(-p.running.Process.Pid, syscall.SIGKILL) // includes its children
	<-p.ended
	p.running = nil
	polltest.Until(p.tb, "the killed server no longer listens", func() bool { return !p.listens() })
}

func (p *process) listens() bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func freePort(tb testing.TB) int {
	tb.Helper()
	addr, err := loopback.FreeAddr()
	must(tb, err)
	return int(netip.MustParseAddrPort(addr).Port())
}
