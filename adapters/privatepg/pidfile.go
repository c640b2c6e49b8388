package privatepg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// orphanTimeout is how long a server that outlived its Waypost process gets for an
// orderly stop, and again for an immediate one.
const orphanTimeout = 10 * time.Second

// pidFile is what a server writes about itself in its directory.
type pidFile struct {
	pid   int
	ready bool // it accepts connections
}

const pidFileName = "postmaster.pid"

// readPIDFile reads the file, if it exists and names a process.
func readPIDFile(cluster string) (f pidFile, found bool) {
	text, err := os.ReadFile(filepath.Join(cluster, pidFileName))
	if err != nil {
		return pidFile{}, false
	}
	// Line 1 is the process ID and line 8 the state, padded. The lines between are
	// added one after the other while the server starts.
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return pidFile{}, false // torn by a crash; kill(2) gives 0 and negative numbers another meaning
	}
	return pidFile{pid: pid, ready: len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"}, true
}

// stopOrphan stops a server that outlived the Waypost process that started it. The
// server is stopped rather than taken over: this process could not wait for it because
// it is not its child, it has no log, and it may run with the settings of an older
// version.
func stopOrphan(ctx context.Context, cluster string, log *slog.Logger) error {
	f, found := readPIDFile(cluster)
	if !found || !isServerOf(f.pid, cluster) {
		return nil // none, or the file is stale
	}
	log.InfoContext(ctx, "stopping the private Postgres of a process that has ended", "pid", f.pid)
	for _, signal := range []syscall.Signal{fastShutdown, immediateShutdown, syscall.SIGKILL} {
		if err := syscall.Kill(f.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot stop process %d, which runs Postgres on this data: %w", f.pid, err)
		}
		for asked := time.Now(); time.Since(asked) < orphanTimeout; {
			if !isServerOf(f.pid, cluster) {
				return nil
			}
			if retry.Sleep(ctx, pollInterval) != nil {
				return context.Cause(ctx)
			}
		}
	}
	return fmt.Errorf("process %d, which runs Postgres on this data, survives SIGKILL; restart the machine", f.pid)
}

// removeStalePIDFile removes a PID file that names a living process that is something
// else: the number was reused, which happens in containers at every start. Postgres would
// mistake it for a server. Postgres itself handles any other file best.
func removeStalePIDFile(cluster string) error {
	f, found := readPIDFile(cluster)
	if !found {
		return nil
	}
	if alive := syscall.Kill(f.pid, 0) == nil; !alive || isServerOf(f.pid, cluster) {
		return nil
	}
	if err := os.Remove(filepath.Join(cluster, pidFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
