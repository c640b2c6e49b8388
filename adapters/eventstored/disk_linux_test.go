package eventstored_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/polltest"
)

// While the disk has too little free space, appends fail and reads work. With enough space again, appends resume.
func TestFullDisk(t *testing.T) {
	const gib = int64(1) << 30
	dir := t.TempDir()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	if free < 5*gib {
		t.Skip("less than 5 GiB free: not enough to fill the disk without disturbing others")
	}
	ballast, err := os.Create(filepath.Join(t.TempDir(), "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ballast.Close() }) // contains no data
	_, c := start(t, func(o *eventstored.Options) { o.Dir, o.MinFreeBytes = dir, free-2*gib })
	mustAppend(t, c, "s", esdb.NoStream{}, newEvent("Before"))

	// It reserves space without writing, so it is fast.
	if err := syscall.Fallocate(int(ballast.Fd()), 0, 0, 4*gib); err != nil {
		t.Skipf("the file system cannot reserve space: %v", err)
	}
	polltest.Until(t, "appends are rejected", func() bool {
		_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvent("During"))
		return err != nil && strings.Contains(err.Error(), "disk is full")
	})
	if _, err := readStream(t, c, "s", esdb.ReadStreamOptions{}); err != nil {
		t.Errorf("reads fail as well: %v", err)
	}
	if err := ballast.Truncate(0); err != nil {
		t.Fatal(err)
	}
	polltest.Until(t, "appends are accepted again", func() bool {
		_, err := c.AppendToStream(testContext(t), "s", esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}, newEvent("After"))
		return err == nil
	})
}
