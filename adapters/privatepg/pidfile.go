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
)

// orphanTimeout is how long a server that outlived its program gets for an orderly
// stop, and again for an immediate one.
const orphanTimeout = 10 * time.Second

// pidFile is what a server tells of itself in its folder.
type pidFile struct {
	pid   int
	ready bool // it takes connections
}

const pidFileName = "postmaster.pid"

// readPIDFile reads the file if there is one and it names a process.
func readPIDFile(cluster string) (f pidFile, found bool) {
	text, err := os.ReadFile(filepath.Join(cluster, pidFileName))
	if err != nil {
		return pidFile{}, false
	}
	// Line 1 is the process id and line 8 the state, padded; the lines between are
	// added one after the other while the server starts.
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return pidFile{}, false // torn by a crash; kill(2) gives 0 and less another meaning
	}
	return pidFile{pid: pid, ready: len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"}, true
}

// stopOrphan stops a server that outlived the program that had started it. It is
// stopped rather than taken over: as no child of this program it could not be
// waited for, it has no log, and it may run with an older program's settings.
func stopOrphan(ctx context.Context, cluster string, log *slog.Logger) error {
	f, found := readPIDFile(cluster)
	if !found || !isServerOf(f.pid, cluster) {
		return nil // none, or the file is stale
	}
	log.InfoContext(ctx, "stopping the private Postgres of a program that has ended", "pid", f.pid)
	for _, signal := range []syscall.Signal{fastShutdown, immediateShutdown, syscall.SIGKILL} {
		if err := syscall.Kill(f.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot stop process %d, which runs Postgres on this data: %w", f.pid, err)
		}
		for asked := time.Now(); time.Since(asked) < orphanTimeout; {
			if !isServerOf(f.pid, cluster) {
				return nil
			}
			if !sleep(ctx, pollInterval) {
				return context.Cause(ctx)
			}
		}
	}
	return fmt.Errorf("process %d, which runs Postgres on this data, outlives SIGKILL; restart the machine", f.pid)
}

// removeStalePIDFile removes a pid file whose process lives and is something else:
// the number was used again, as happens in containers at every start. Postgres
// would take it for a server. Any other file it judges best by itself.
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
