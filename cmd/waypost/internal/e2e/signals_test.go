package e2e

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

// A terminal that closes ends the platform as Ctrl-C and SIGTERM do: calls in flight
// finish, and their outcome is recorded.
func TestSignalsDrain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	// A child inherits an ignored signal, for example from nohup, but not one that is handled.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP, syscall.SIGINT)
	defer signal.Stop(handled)
	r := e2etest.Start(ctx, t, nil, map[string]any{"latency": "1s"})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	for i, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		stats, err := r.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Client.QueueMessages(ctx, []map[string]any{harness.Message("shop", "order-"+strconv.Itoa(i), i)}); err != nil {
			t.Fatal(err)
		}
		e2etest.Await(ctx, t, "the call is in flight", func() bool {
			now, err := r.Stats(ctx)
			return err == nil && now.Calls > stats.Calls
		})
		if err := r.Serve.Cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		select {
		case <-r.Serve.Done:
		case <-ctx.Done():
			t.Fatalf("%s does not end it", s)
		}
		if r.Serve.Err != nil {
			t.Fatalf("%s ends it with %v; its log ends: %s", s, r.Serve.Err, r.Serve.Tail())
		}
		if _, err := os.Stat(platform.RunPath(r.DataDir())); !os.IsNotExist(err) {
			t.Errorf("%s leaves run.json: %v", s, err)
		}
		if err := r.StartServe(ctx); err != nil {
			t.Fatal(err)
		}
		b, err := r.Client.Ledger(ctx)
		if err != nil || b.Accepted != int64(i+1) || b.SentTwice != 0 || b.Ambiguous != 0 {
			t.Errorf("after %s the ledger is %+v, %v; want the call's outcome recorded", s, b, err)
		}
	}
	if n := strings.Count(e2etest.ReadLog(t, r.Serve.Log), "waypost has ended"); n != 3 {
		t.Errorf("it ended in good order %d times; want 3", n)
	}
}

// Under nohup the program outlives its terminal.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `trap "" HUP INT; exec "$0" eventstore --addr "" --data-dir "$1"`, harness.Program, dir)
	cmd.Env = harness.ChildEnv()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGHUP} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	// The last of them would have ended it at once; ended, it could not be asked.
	if out, err := e2etest.Command(t.Context(), "eventstore", "scavenge", "--data-dir", dir).CombinedOutput(); err != nil {
		t.Errorf("it is gone: %v: %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
	case <-time.After(e2etest.Timeout):
		t.Error("SIGTERM does not end it")
	}
}
