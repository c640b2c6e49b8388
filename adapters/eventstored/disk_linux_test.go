package eventstored_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
)

// While the disk has too little room appends are refused and reads work; with room again appends go on.
func TestFullDisk(t *testing.T) {
	const gib = int64(1) << 30
	dir := t.TempDir()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if free < 5*gib {
		t.Skip("less than 5 GiB free: no room to fill the disk and leave others in peace")
	}
	ballast, err := os.Create(filepath.Join(t.TempDir(), "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ballast.Close() }) // holds nothing
	_, c := start(t, func(o *eventstored.Options) { o.Dir, o.MinFreeBytes = dir, free-2*gib })
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Before"))

	// Reserves room without writing, so it is quick.
	if err := syscall.Fallocate(int(ballast.Fd()), 0, 0, 4*gib); err != nil {
		t.Skipf("the file system cannot reserve room: %v", err)
	}
	refused := eventually(t, func() bool {
		_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvent("During"))
		return err != nil && strings.Contains(err.Error(), "disk is full")
	})
	if !refused {
		t.Fatal("appends are not refused")
	}
	if _, err := readStream(t, c, "s", esdb.ReadStreamOptions{}); err != nil {
		t.Errorf("reads are refused too: %v", err)
	}
	if err := ballast.Truncate(0); err != nil {
		t.Fatal(err)
	}
	accepted := eventually(t, func() bool {
		_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvent("After"))
		return err == nil
	})
	if !accepted {
		t.Fatal("appends do not go on")
	}
}

func eventually(t *testing.T, ok func() bool) bool {
	t.Helper()
	for deadline := time.Now().Add(patience / 2); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
