package eventstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app/event"
)

// A store whose disk fails accepts no appends, and the log reports that to its callers.
func TestStoreInProcessThatHasFailed(t *testing.T) {
	ctx := testContext(t)
	st := startStore(t)
	log := openInProcess(t, st)
	if _, err := log.Append(ctx, "a", event.Any(), count(1)); err != nil {
		t.Fatal(err)
	}
	failWrites(t, filepath.Join(st.opts.Dir, "*.log"))
	unavailable(ctx, t, log, "append")
	if err := <-st.s.Err(); err == nil {
		t.Error("the store reports no fault")
	}
	unavailable(ctx, t, log, "append", "ping")
}

// failWrites makes all writes of this process to the matching open files fail.
func failWrites(t *testing.T, pattern string) {
	t.Helper()
	null, err := os.Open(os.DevNull) // not for writing
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, entry := range open {
		path, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name()))
		if err != nil {
			continue // closed in the meantime
		}
		if match, err := filepath.Match(pattern, path); err != nil || !match {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		failed++
	}
	if failed == 0 {
		t.Fatalf("no open file matches %s", pattern)
	}
}

// While the disk has too little free space, appends fail, reads work, and the log reports the reason.
func TestFullDisk(t *testing.T) {
	onBoth(t, func(t *testing.T, open opener) {
		const gib = int64(1) << 30
		ctx := testContext(t)
		dir := t.TempDir()
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		free := int64(fs.Bavail) * fs.Bsize
		if free < 5*gib {
			t.Skip("less than 5 GiB free: not enough to fill the disk without disturbing others")
		}
		log := open(t, startStore(t, func(o *eventstored.Options) { o.Dir, o.MinFreeBytes = dir, free-2*gib }))
		if _, err := log.Append(ctx, "a", event.Any(), count(1)); err != nil || log.CheckDiskSpace() != nil {
			t.Fatalf("with space: %v, %v", err, log.CheckDiskSpace())
		}
		ballast, err := os.Create(filepath.Join(t.TempDir(), "ballast"))
		if err != nil {
			t.Fatal(err)
		}
		defer ballast.Close()
		// It reserves space without writing, so it is fast.
		if err := syscall.Fallocate(int(ballast.Fd()), 0, 0, 4*gib); err != nil {
			t.Skipf("the file system cannot reserve space: %v", err)
		}
		polltest.Until(t, "appends are rejected", func() bool {
			_, err := log.Append(ctx, "a", event.Any(), count(2))
			if err != nil && (!errors.Is(err, event.ErrDiskFull) || !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "MiB free")) {
				t.Fatal(err)
			}
			return err != nil
		})
		if err := log.CheckDiskSpace(); !errors.Is(err, event.ErrDiskFull) {
			t.Errorf("the log reports %v", err)
		}
		if got, err := log.Read(ctx, "a", 0, 1); err != nil || len(got) != 1 {
			t.Errorf("read: %d events, %v", len(got), err)
		}
		if err := ballast.Truncate(0); err != nil {
			t.Fatal(err)
		}
		polltest.Until(t, "appends are accepted again", func() bool {
			_, err := log.Append(ctx, "a", event.Any(), count(3))
			return err == nil
		})
		if err := log.CheckDiskSpace(); err != nil {
			t.Errorf("afterwards, the log reports %v", err)
		}
	})
}
