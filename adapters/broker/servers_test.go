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
	"github.com/waypost/waypost/adapters/privatepg"
)

// server is a broker that a test may kill. It keeps its data, its address and its
// user through that.
type server struct {
	tb  testing.TB
	url string
	// start brings it up and returns when it answers; kill ends it as kill -9 does.
	start, kill func()
}

// restart kills the server and brings it up again.
func (s *server) restart() {
	s.tb.Helper()
	s.kill()
	s.start()
}

// kinds are the brokers of the suite, and how a server of each is started.
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

// lacking skips a test whose server is not installed, or fails it where all of them
// have to be.
func lacking(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("REQUIRE_STORES") != "" {
		tb.Fatalf("%s is not installed; run .ci/install test", what)
	}
	tb.Skipf("%s is not installed; run .ci/install test", what)
}

// servePostgres starts a cluster of the machine's Postgres; killed, it is started
// again by its owner.
func servePostgres(tb testing.TB) *server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "waypost-broker-") //nolint:usetesting // its user has to reach it, which it cannot below TempDir
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
		// kill -9 loses nothing that was written; only a machine that fails would.
		return exec.Command(program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
			"--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
	}}
	return p.serve(fmt.Sprintf("redis://127.0.0.1:%d/0", port))
}

func serveRabbitMQ(tb testing.TB) *server {
	tb.Helper()
	program := "/usr/lib/rabbitmq/bin/rabbitmq-server" // the one in PATH becomes another user
	if _, err := os.Stat(program); err != nil {
		lacking(tb, "rabbitmq-server")
	}
	dir := tb.TempDir()
	port, names := freePort(tb), freePort(tb)
	must(tb, os.WriteFile(filepath.Join(dir, "plugins"), []byte("[]."), 0o600))
	must(tb, os.WriteFile(filepath.Join(dir, "env"), nil, 0o600))
	environment := append(os.Environ(),
		"HOME="+dir, // its cookie
		fmt.Sprintf("ERL_EPMD_PORT=%d", names), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=waypost%d@localhost", port), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", port), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", freePort(tb)),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "env"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"), "RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
	)
	p := &process{tb: tb, port: port, command: func() *exec.Cmd {
		c := exec.Command(program)
		c.Env = environment
		return c
	}}
	tb.Cleanup(func() { // Erlang's name server outlives the node; this one is the test's own
		for range 20 {
			c := exec.Command("epmd", "-port", strconv.Itoa(names), "-kill")
			c.Env = environment
			if out, err := c.CombinedOutput(); err == nil && string(out) == "Killed\n" {
				return
			}
			time.Sleep(200 * time.Millisecond) // it still believes in the node
		}
		tb.Error("epmd could not be ended")
	})
	return p.serve(fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", port))
}

// serveSQS starts fauxqs, of npm, which keeps its queues in SQLite.
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
		tb.Skip("fauxqs is not installed; with npm, .ci/install test does it") // not everyone has npm
	}
	dir, port := tb.TempDir(), freePort(tb)
	p := &process{tb: tb, port: port, command: func() *exec.Cmd {
		c := exec.Command(node, "--no-warnings", "--input-type=module", "--eval", fmt.Sprintf(`
			import net from "node:net";
			import { startFauxqs } from "fauxqs";
			const listen = net.Server.prototype.listen; // it would listen to the whole network
			net.Server.prototype.listen = function (options, ...more) {
				return listen.call(this, { ...options, host: "127.0.0.1" }, ...more);
			};
			await startFauxqs({ port: %d, dataDir: %q, logger: false });`, port, dir))
		c.Dir = home
		return c
	}}
	return p.serve(fmt.Sprintf("sqs://key:secret@us-east-1?endpoint=http://127.0.0.1:%d", port))
}

// process is a server that runs as a process with children.
type process struct {
	tb      testing.TB
	port    int
	command func() *exec.Cmd
	running *exec.Cmd
}

func (p *process) serve(url string) *server {
	p.tb.Helper()
	p.tb.Cleanup(p.kill)
	p.start()
	return &server{tb: p.tb, url: url, start: p.start, kill: p.kill}
}

func (p *process) start() {
	p.tb.Helper()
	p.running = p.command()
	p.running.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(p.tb, p.running.Start())
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)), time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			p.tb.Fatalf("%s does not listen: %v", p.running.Path, err)
		}
	}
}

func (p *process) kill() {
	if p.running == nil {
		return
	}
	_ = syscall.Kill(-p.running.Process.Pid, syscall.SIGKILL) // with its children
	_ = p.running.Wait()
	p.running = nil
}

func freePort(tb testing.TB) int {
	tb.Helper()
	addr, err := loopback.FreeAddr()
	must(tb, err)
	return int(netip.MustParseAddrPort(addr).Port())
}
