package store

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// fault is the first fault that a store cannot go on from.
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

// Fault gives at most one error: what made the store unable to go on, for instance a disk that failed. Appends are
// refused from then on; the owner should end the process.
func (s *Store) Fault() <-chan error { return s.fault.c }

// Room is nil while there is room for appends; else it wraps ErrDiskFull and says how much there is.
func (s *Store) Room() error { return s.checkDiskSpace() }

// checkDiskSpace refuses while there is too little room for Pebble to go on safely. When Pebble itself meets a full
// disk while it commits, its only way out is to give up (see pebbleLogger.Fatalf).
func (s *Store) checkDiskSpace() error {
	if s.opts.MinFreeBytes < 0 {
		return nil
	}
	usage, err := s.opts.fs.GetDiskUsage(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", s.opts.Dir, err)
	}
	if usage.AvailBytes < uint64(s.opts.MinFreeBytes) {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB needed; appends go on when there is room",
			ErrDiskFull, usage.AvailBytes>>20, s.opts.Dir, s.opts.MinFreeBytes>>20)
	}
	return nil
}

// readError wraps what went wrong while reading; corrupted data is a fault of the store too.
func (s *Store) readError(what string, err error) error {
	damaged := s.damage(err)
	if damaged == nil {
		return fmt.Errorf("event store in %s: read %s: %w", s.opts.Dir, what, err)
	}
	err = fmt.Errorf("event store in %s: read %s: %w", s.opts.Dir, what, damaged)
	s.opts.Logger.Error("event store cannot read its data", "error", err)
	return err
}

// pebbleLogger lets Pebble speak through the store's logger.
type pebbleLogger struct{ store *Store }

// Infof drops what Pebble tells of its housekeeping.
func (l pebbleLogger) Infof(string, ...any) {}

// Errorf logs a fault that Pebble goes on from.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.store.opts.Logger.Warn("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf reports a fault that Pebble cannot go on from: its log or manifest could not be written. Pebble demands that
// this call does not return. Ending the goroutine instead of the process leaves the owner time to stop in order; if the
// goroutine is the committer, everybody who waits for it is refused.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("event store in %s: %s", l.store.opts.Dir, fmt.Sprintf(format, args...))
	l.store.opts.Logger.Error("event store has failed", "error", err)
	l.store.fault.report(err)
	runtime.Goexit()
}

func (s *Store) pebbleEvents() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.opts.Logger.Warn("event store: flush or compaction failed, will be tried again", "error", err)
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
