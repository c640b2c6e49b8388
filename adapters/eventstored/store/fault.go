package store

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// fault is the first fault that a store cannot recover from.
type fault struct {
	once  *sync.Once
	first *atomic.Pointer[error]
	c     chan error
}

func newFault() fault {
	return fault{once: new(sync.Once), first: new(atomic.Pointer[error]), c: make(chan error, 1)}
}

func (f fault) report(err error) {
	f.once.Do(func() {
		f.first.Store(&err)
		f.c <- err
	})
}

func (f fault) err() error {
	if p := f.first.Load(); p != nil {
		return *p
	}
	return nil
}

// Fault returns a channel that delivers at most one error: the fault that stopped the store, for example a disk
// failure. From then on, appends fail. The owner should end the process.
func (s *Store) Fault() <-chan error { return s.fault.c }

// Room returns nil while there is enough disk space for appends. Otherwise it returns an error that wraps
// ErrDiskFull and reports the free space.
func (s *Store) Room() error { return s.checkDiskSpace() }

// checkDiskSpace returns an error while there is too little disk space for Pebble to continue safely. If Pebble itself
// meets a full disk during a commit, it can only stop (see pebbleLogger.Fatalf).
func (s *Store) checkDiskSpace() error {
	if s.opts.MinFreeBytes < 0 {
		return nil
	}
	usage, err := s.opts.fs.GetDiskUsage(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", s.opts.Dir, err)
	}
	if usage.AvailBytes < uint64(s.opts.MinFreeBytes) {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB needed; appends resume when there is enough space",
			ErrDiskFull, usage.AvailBytes>>20, s.opts.Dir, s.opts.MinFreeBytes>>20)
	}
	return nil
}

// readError wraps a read error. Corrupted data is also a fault of the store.
func (s *Store) readError(what string, err error) error {
	damaged := s.damage(err)
	if damaged == nil {
		return fmt.Errorf("event store in %s: read %s: %w", s.opts.Dir, what, err)
	}
	err = fmt.Errorf("event store in %s: read %s: %w", s.opts.Dir, what, damaged)
	s.opts.Logger.Error("event store cannot read its data", "error", err)
	return err
}

// pebbleLogger passes Pebble's messages to the store's logger.
type pebbleLogger struct{ store *Store }

// Infof drops Pebble's messages about its housekeeping.
func (l pebbleLogger) Infof(string, ...any) {}

// Errorf logs a fault that Pebble recovers from.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.store.opts.Logger.Warn("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf reports a fault that Pebble cannot recover from: its log or manifest could not be written. Pebble requires
// that this call does not return. Ending the goroutine instead of the process gives the owner time to shut down in
// order. If the goroutine is the committer, all waiting callers get an error.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("event store in %s: %s", l.store.opts.Dir, fmt.Sprintf(format, args...))
	l.store.opts.Logger.Error("event store has failed", "error", err)
	l.store.fault.report(err)
	runtime.Goexit()
}

func (s *Store) pebbleEvents() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.opts.Logger.Warn("event store: flush or compaction failed, will be retried", "error", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.opts.Logger.Error("event store: data is corrupted", "file", info.Path, "error", info.Details)
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			s.opts.Logger.Warn("event store: disk is slow", "operation", info.OpType.String(), "took", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.opts.Logger.Warn("event store: appends wait for the disk", "reason", info.Reason)
		},
	}
}
