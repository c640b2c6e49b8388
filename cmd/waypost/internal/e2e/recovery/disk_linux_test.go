package recovery

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// diskSize is that of the disk of the test: room for both stores and what the
	// event store wants to be free.
	diskSize = "size=300m"
	// diskLeft is the free space of a full disk: less than the event store needs
	// for an append, enough for Postgres.
	diskLeft = 64 << 20
)

// On a full disk, nothing is accepted, and callers, Meta, and load balancers are notified. Once there is space, everything resumes
// automatically.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	dir := t.TempDir()
	disk := filepath.Join(dir, "data")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", 0, diskSize); errors.Is(err, syscall.EPERM) {
		t.Skip("this user may not mount a small disk")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the platform
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	r, err := harness.Start(ctx, dir, []string{"WAYPOST_LOG_LEVEL=warn"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "before-", 20)
	e2etest.Await(ctx, t, "the first are read", func() bool { return settled(ctx, r, 20) })

	logged := logLines(t, r.Serve)
	full := time.Now()
	ballast := fillDisk(t, disk)
	away := []map[string]any{harness.Message("shop", "away", 1)}
	e2etest.Await(ctx, t, "a message is refused", func() bool { // the store looks at the disk now and then
		_, err := r.Client.QueueMessages(ctx, away)
		var refused *apiclient.Error
		return errors.As(err, &refused) && refused.Extensions.Code == "UNAVAILABLE" && strings.Contains(refused.Message, "disk is full")
	})
	if status := deliver(ctx, t, r, "wamid.away"); status != http.StatusServiceUnavailable {
		t.Errorf("on a full disk a webhook is answered %d", status)
	}
	status, lacks := readiness(ctx, t, r, "")
	for _, role := range []string{"api", "webhook", "dispatch"} {
		if status != http.StatusServiceUnavailable || !strings.Contains(lacks, role+": event store") {
			t.Errorf("readyz answers %d, lacking %q", status, lacks)
		}
	}
	e2etest.Elapse(ctx, t, time.Until(full.Add(outage)))
	if n := logLines(t, r.Serve) - logged; n > maxOutageLines {
		t.Errorf("%d lines were logged in %s", n, time.Since(full))
	}

	freed := time.Now()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	e2etest.Await(ctx, t, "ready again", func() bool { status, _ := readiness(ctx, t, r, ""); return status == http.StatusOK })
	ready := time.Since(freed)
	before, err := r.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The repeated request is accepted once, whatever the outcome of the first.
	if _, err := r.Client.QueueMessages(ctx, away); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "after-", 20)
	awaitSend(ctx, t, r, before.Accepted)
	sent := time.Since(freed)
	e2etest.Await(ctx, t, "all are read", func() bool { return settled(ctx, r, 41) })
	t.Logf("disk full for %s: ready %s after there was room, first send after %s, all read after %s", freed.Sub(full).Round(100*time.Millisecond),
		ready.Round(time.Millisecond), sent.Round(time.Millisecond), time.Since(freed).Round(time.Millisecond))
	checkNothingTwice(ctx, t, r)
}

// fillDisk takes the room of a disk, all but diskLeft.
func fillDisk(t *testing.T, disk string) (path string) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(disk, &fs); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-diskLeft); err != nil {
		t.Fatal(err)
	}
	return path
}
