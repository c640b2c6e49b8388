package store_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// diskFS is a file system that reports a free space of its own.
type diskFS struct {
	vfs.FS
	free atomic.Uint64
}

func (fs *diskFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: fs.free.Load()}, nil
}

// Once the store reports that there is space again, the next append is accepted. A readiness check relies on it.
func TestAppendsResumeWhenThereIsSpace(t *testing.T) {
	const needed = 128 << 20
	fs := &diskFS{FS: vfs.NewMem()}
	fs.free.Store(needed)
	opts := options("data").OnFS(fs)
	opts.MinFreeBytes = needed
	s := open(t, opts)

	fs.free.Store(needed - 1)
	if err := s.Room(); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("Room returns %v, want %v", err, store.ErrDiskFull)
	}
	if _, err := s.Append(testContext(t), "s", store.Any, newEvents(1)); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("append returns %v, want %v", err, store.ErrDiskFull)
	}
	fs.free.Store(needed)
	if err := s.Room(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(testContext(t), "s", store.Any, newEvents(1)); err != nil {
		t.Errorf("there is space, but the append returns %v", err)
	}
}
