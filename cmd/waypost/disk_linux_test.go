package main

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
)

const (
	// diskSize is that of the disk of the test: room for both stores and what the
	// event store wants to be free.
	diskSize = "size=300m"
	// diskLeft is what is left when it counts as full: less than the event store wants
	// for an append, enough for Postgres.
	diskLeft = 64 << 20
)

// On a full disk nothing is accepted, callers, Meta and load balancers are told so,
// and with room again everything goes on by itself.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a disk")
	}
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
	r, err := startRig(ctx, dir, []string{"WAYPOST_LOG_LEVEL=warn"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := r.client.registerSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "before-", 20)
	await(ctx, t, "the first are read", func() bool { return settled(ctx, r, 20) })

	logged := r.serve.lines(t)
	full := time.Now()
	ballast := fillDisk(t, disk)
	away := []map[string]any{benchMessage("shop", "away", 1)}
	await(ctx, t, "a message is refused", func() bool { // the store looks at the disk now and then
		_, err := r.client.queueMessages(ctx, away)
		var refused *graphqlError
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
	time.Sleep(time.Until(full.Add(outage)))
	if n := r.serve.lines(t) - logged; n > maxOutageLines {
		t.Errorf("%d lines were logged in %s", n, time.Since(full))
	}

	freed := time.Now()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "ready again", func() bool { status, _ := readiness(ctx, t, r, ""); return status == http.StatusOK })
	ready := time.Since(freed)
	before, err := r.stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The same again is accepted once, whatever became of the first.
	if _, err := r.client.queueMessages(ctx, away); err != nil {
		t.Fatal(err)
	}
	queueSome(ctx, t, r, "after-", 20)
	awaitSend(ctx, t, r, before.Accepted)
	sent := time.Since(freed)
	await(ctx, t, "all are read", func() bool { return settled(ctx, r, 41) })
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
