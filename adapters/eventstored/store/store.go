package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/google/uuid"
)

const (
	// formatVersion is the version of keys and values. A store on disk with another version is rejected.
	formatVersion = "1"
	metaFormat    = "format"
	metaID        = "id"
	// firstPosition is not 0, so that a zero position never names an event.
	firstPosition = 1
	// bloomBits per key give 1% false positives: the committer learns without reading a block that a new stream has no
	// head.
	bloomBits = 10
	// queueLength limits the requests waiting for the committer. The committer puts at most as many into one commit.
	queueLength = 1024
)

// Store is an event store in one directory. All its methods can be called concurrently.
type Store struct {
	opts Options
	id   uuid.UUID
	db   *pebble.DB
	lock *pebble.Lock
	mark *mark
	// shorter describes what was missing when the store was opened, if that loss was accepted.
	shorter *ShorterError

	requests chan *request
	stop     chan struct{} // closed by Close: no new requests
	stopped  chan struct{} // closed when the committer has ended
	closing  sync.Once
	closeErr error

	// reading is held shared by reads and exclusively while Pebble closes, because Pebble must not close during a read.
	reading sync.RWMutex
	closed  bool

	scavenging atomic.Bool

	// committed is the position after the last synced record.
	committed atomic.Uint64
	tail      *tail
	watchers  *watchers
	fault     fault
	counters  counters
}

// Open opens the store in opts.Dir, creating it if it does not exist, and starts its committer.
func Open(opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := openWithoutCommitter(opts)
	if err != nil {
		return nil, err
	}
	s.mark.syncing.Go(func() { s.mark.syncNowAndThen(s.fault.report) })
	go s.commitLoop()
	return s, nil
}

func openWithoutCommitter(opts Options) (*Store, error) {
	if err := opts.fs.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, (&Store{opts: opts}).openError(err)
	}
	s, err := locked(opts)
	if err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(s.openError(err), s.abandon())
	}
	return s, nil
}

// locked returns a store that holds the lock of its directory and has not opened anything yet.
func locked(opts Options) (*Store, error) {
	s := &Store{
		opts:     opts,
		requests: make(chan *request, queueLength),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		watchers: newWatchers(),
		fault:    newFault(),
	}
	// Pebble's own lock would do, but Pebble's Open does not distinguish a failed lock from other failures.
	var err error
	s.lock, err = pebble.LockDirectory(opts.Dir, opts.fs)
	if err != nil {
		if isHeld(err) {
			return nil, fmt.Errorf("event store in %s: %w; stop it or choose another directory", opts.Dir, ErrLocked)
		}
		return nil, s.openError(err)
	}
	return s, nil
}

// isHeld reports whether err means that another process, or this one, holds the lock. Pebble has no typed error for the
// latter.
func isHeld(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process")
}

func (s *Store) open() error {
	if err := s.checkDiskSpace(); err != nil {
		return err
	}
	if err := s.checkMarker(); err != nil {
		return err
	}
	if err := s.checkMark(); err != nil {
		return err
	}
	db, err := pebble.Open(s.opts.Dir, s.pebbleOptions())
	if err != nil {
		return err
	}
	s.db = db
	if err := s.identify(); err != nil {
		return err
	}
	next, err := endOfLog(s.db)
	if err != nil {
		return err
	}
	if s.mark, err = openMark(s.opts.fs, s.opts.Dir); err != nil {
		return err
	}
	if s.mark.position != next {
		if err := errors.Join(s.mark.write(next), s.mark.file.SyncData()); err != nil {
			return err
		}
	}
	s.committed.Store(next)
	s.tail = newTail(s.opts.TailRecords, s.opts.TailBytes, next)
	return nil
}

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                    s.opts.fs,
		CacheSize:             s.opts.CacheBytes,
		FormatMajorVersion:    pebble.FormatWALSyncChunks,
		Lock:                  s.lock,
		Logger:                pebbleLogger{store: s},
		EventListener:         s.pebbleEvents(),
		MemTableSize:          s.opts.MemTableBytes,
		MaxOpenFiles:          500,
		L0CompactionThreshold: 4,
		L0StopWritesThreshold: 64,
	}
	o.CompactionConcurrencyRange = func() (int, int) { return 1, 1 } // the other cores belong to the rest of the process
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return o
}

// identify reads the format and the identity of the store, or writes them on the first start.
func (s *Store) identify() error {
	format, err := s.fact(metaFormat)
	if err != nil {
		return err
	}
	if format == nil {
		s.id = uuid.New()
		batch := s.db.NewBatch()
		defer batch.Close()
		if err := errors.Join(
			batch.Set(appendMetaKey(nil, metaFormat), []byte(formatVersion), nil),
			batch.Set(appendMetaKey(nil, metaID), s.id[:], nil),
			batch.Commit(pebble.Sync),
		); err != nil {
			return fmt.Errorf("first write: %w", err)
		}
		return nil
	}
	if string(format) != formatVersion {
		return fmt.Errorf("data has format %q, but this version reads %q", format, formatVersion)
	}
	id, err := s.fact(metaID)
	if err != nil {
		return err
	}
	if s.id, err = uuid.FromBytes(id); err != nil {
		return fmt.Errorf("identity of the log: %w", ErrCorrupted)
	}
	return nil
}

func (s *Store) fact(name string) ([]byte, error) {
	value, closer, err := s.db.Get(appendMetaKey(nil, name))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, value...), closer.Close()
}

// endOfLog returns the position after the newest record.
func endOfLog(db *pebble.DB) (uint64, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{logKey}, UpperBound: []byte{logKey + 1}})
	if err != nil {
		return 0, err
	}
	next := uint64(firstPosition)
	if it.Last() {
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, errors.Join(err, it.Close())
		}
		next = logKeyPosition(it.Key()) + uint64(len(value))
	}
	return next, it.Close()
}

// ID returns the identity of the log. It is created with the log and kept in its copies.
func (s *Store) ID() uuid.UUID { return s.id }

// End returns the position after the last synced event. All events are below it.
func (s *Store) End() uint64 { return s.committed.Load() }

// Close stops the committer, which still responds to the requests it has taken, waits for reads in progress, and closes
// the data. It can be called more than once. After a fault, Pebble may be unable to close. In that case Close returns
// when ctx ends, the directory stays locked until the process ends, and the next Open recovers from the log.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		close(s.stop)
		s.closeErr = s.close(ctx)
	})
	return s.closeErr
}

func (s *Store) close(ctx context.Context) error {
	select {
	case <-s.stopped:
	case <-ctx.Done():
		return fmt.Errorf("close event store in %s: a commit is still running: %w", s.opts.Dir, ctx.Err())
	}
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done) // also when Pebble ends this goroutine, see pebbleLogger.Fatalf
		s.reading.Lock()
		defer s.reading.Unlock()
		s.closed = true
		err = s.db.Close()
		if s.fault.err() != nil {
			err = nil // the fault already reported what could not be written
		}
		err = errors.Join(err, s.closeMark(), s.lock.Close())
	}()
	select {
	case <-done:
		if err != nil {
			return fmt.Errorf("close event store in %s: %w", s.opts.Dir, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close event store in %s: %w", s.opts.Dir, ctx.Err())
	}
}

// closeMark closes the mark. It ignores sync errors of a store that has failed.
func (s *Store) closeMark() error {
	if s.mark == nil {
		return nil
	}
	err := s.mark.close()
	if s.fault.err() != nil {
		return nil //nolint:nilerr // the store has reported why it failed
	}
	return err
}

// beginRead registers a read. If it succeeds, the caller must call endRead.
func (s *Store) beginRead() error {
	s.reading.RLock()
	if s.closed {
		s.reading.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) endRead() { s.reading.RUnlock() }

// abandon closes everything that a failed Open has opened.
func (s *Store) abandon() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, s.closeMark(), s.lock.Close())
}

// openError describes in one line what is wrong with the data directory.
func (s *Store) openError(err error) error {
	dir := s.opts.Dir
	damaged := s.damage(err)
	var shorter *ShorterError
	switch {
	case errors.As(err, &shorter):
		return fmt.Errorf("event store in %s: %w", dir, shorter)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("event store: data directory %s is not writable: %w", dir, err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("event store: cannot create data directory %s: part of its path is a file: %w", dir, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("event store in %s: %w: %w", dir, ErrDiskFull, err)
	case errors.Is(err, ErrDiskFull):
		return fmt.Errorf("event store in %s: %w", dir, err)
	case damaged != nil && damaged.log:
		return fmt.Errorf("event store in %s: %w; restore a backup, or accept the loss of everything after the damage with %s", dir, damaged, acceptRemedy)
	case damaged != nil:
		return fmt.Errorf("event store in %s: %w; restore a backup", dir, damaged)
	default:
		return fmt.Errorf("event store in %s: %w", dir, err)
	}
}
