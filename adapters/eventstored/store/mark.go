package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The mark records where the log ends, outside Pebble's write-ahead log. Pebble stops replaying a write-ahead log at the
// first record that it cannot read and, in the newest log, usually takes that record for the torn end of a crash: a single
// flipped bit then drops everything after it. With the mark, unreadable records below it are damage, and unreadable records
// above it are a torn end that was never acknowledged.
//
// The committer writes the mark after each synced commit and before it acknowledges the appends. So the mark is never ahead
// of the disk, and it covers every acknowledged event as long as the machine runs, even if the process is killed. It is one
// small write, without a sync, to a file that already has its final size. Another goroutine syncs the file at most once per
// markSyncEvery, and not at all while nothing is appended. After a power failure, the mark can therefore be older by that
// time. Then the offsets that Pebble writes into its own log distinguish damage from a torn end.

const (
	// markName is the name of the mark's file in the data directory.
	markName = "high-water"
	// markSyncEvery is the minimum time between two syncs of the mark, and its maximum age after a power failure.
	markSyncEvery = time.Second
	// The file has two slots that are written in turn, so that a torn write leaves the previous slot intact.
	markSlots    = 2
	markSlotSize = 8 + 8 + 4 // sequence, position, checksum
	// markCategory names the writes in Pebble's statistics, which the store does not use.
	markCategory vfs.DiskWriteCategory = "waypost-high-water"
)

var markTable = crc32.MakeTable(crc32.Castagnoli)

// mark is the open file. Its methods, except sync, must not be called concurrently.
type mark struct {
	file     vfs.File
	sequence uint64
	position uint64
	buf      [markSlotSize]byte

	written chan struct{} // holds a value while a write is not synced
	stop    chan struct{}
	syncing sync.WaitGroup
}

// openMark opens the mark of a directory, and creates it if it does not exist.
func openMark(fs vfs.FS, dir string) (m *mark, err error) {
	m = &mark{written: make(chan struct{}, 1), stop: make(chan struct{})}
	path := fs.PathJoin(dir, markName)
	content, err := readMark(fs, path)
	if err != nil {
		return nil, err
	}
	if m.sequence, m.position, _, err = parseMark(content); err != nil {
		return nil, err
	}
	if len(content) == markSlots*markSlotSize {
		m.file, err = fs.OpenReadWrite(path, markCategory)
		return m, err
	}
	if m.file, err = fs.Create(path, markCategory); err != nil {
		return nil, err
	}
	_, err = m.file.Write(make([]byte, markSlots*markSlotSize))
	if err = errors.Join(err, m.file.Sync()); err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return nil, errors.Join(err, m.file.Close())
	}
	return m, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readMark returns the content of the file, or nil if it does not exist.
func readMark(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, markSlots*markSlotSize+1))
	return content, errors.Join(err, f.Close())
}

// parseMark returns the newest position in the content of a mark's file. found is false if no position was ever
// written: the file is missing or unchanged since its creation.
func parseMark(content []byte) (sequence, position uint64, found bool, err error) {
	blank := true
	for _, b := range content {
		blank = blank && b == 0
	}
	if blank {
		return 0, 0, false, nil
	}
	for ; len(content) >= markSlotSize; content = content[markSlotSize:] {
		slot := content[:markSlotSize]
		if crc32.Checksum(slot[:16], markTable) != binary.LittleEndian.Uint32(slot[16:]) {
			continue
		}
		if s := binary.LittleEndian.Uint64(slot); s > sequence {
			sequence, position, found = s, binary.LittleEndian.Uint64(slot[8:]), true
		}
	}
	if !found {
		return 0, 0, false, &damageError{file: markName, err: errors.New("neither of its two entries can be read")}
	}
	return sequence, position, true, nil
}

// write records that every event before position is synced and can be acknowledged.
func (m *mark) write(position uint64) error {
	m.sequence++
	binary.LittleEndian.PutUint64(m.buf[:], m.sequence)
	binary.LittleEndian.PutUint64(m.buf[8:], position)
	binary.LittleEndian.PutUint32(m.buf[16:], crc32.Checksum(m.buf[:16], markTable))
	if _, err := m.file.WriteAt(m.buf[:], int64(m.sequence%markSlots)*markSlotSize); err != nil {
		return fmt.Errorf("write %s: %w", markName, err)
	}
	m.position = position
	signal(m.written)
	return nil
}

// syncNowAndThen syncs written positions until close. If it ends because of an error, it passes the error to report.
func (m *mark) syncNowAndThen(report func(error)) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-pause.C:
		}
		select {
		case <-m.stop:
			return
		case <-m.written:
		}
		if err := m.file.SyncData(); err != nil {
			report(fmt.Errorf("sync %s: %w", markName, err))
			return
		}
		pause.Reset(markSyncEvery)
	}
}

// close syncs the last written position.
func (m *mark) close() error {
	close(m.stop)
	m.syncing.Wait()
	return errors.Join(m.file.SyncData(), m.file.Close())
}

// acceptRemedy is the command by which an operator accepts that events are lost.
const acceptRemedy = "waypost rebuild --accept-shorter-log (a store of its own: waypost eventstore --accept-shorter-log)"

// ShorterError reports that the log on disk ends before events that were acknowledged.
type ShorterError struct {
	// End is the position after the last readable event, Acknowledged the position after the last acknowledged one.
	// Positions are byte offsets, so their difference is the number of missing bytes.
	End, Acknowledged uint64
	// Logs are the write-ahead logs of which one may be damaged.
	Logs string
}

func (e *ShorterError) Error() string {
	cause := "files were removed or replaced"
	if e.Logs != "" {
		cause = fmt.Sprintf("%s is damaged or was cut off, or %s", e.Logs, cause)
	}
	return fmt.Sprintf("%v: the log ends at position %d, but events up to position %d were acknowledged, so %d bytes of events are missing; %s; "+
		"nothing was changed: put the missing files back or restore a backup, or accept the loss with %s",
		ErrCorrupted, e.End, e.Acknowledged, e.Acknowledged-e.End, cause, acceptRemedy)
}

// Unwrap returns ErrCorrupted.
func (e *ShorterError) Unwrap() error { return ErrCorrupted }

// checkMark compares the log with the mark before anything is changed. Pebble removes the write-ahead logs that it has
// replayed, together with what it could not read.
func (s *Store) checkMark() error {
	content, err := readMark(s.opts.fs, s.opts.fs.PathJoin(s.opts.Dir, markName))
	if err != nil {
		return err
	}
	_, acknowledged, found, err := parseMark(content)
	if err != nil && s.opts.AcceptShorter {
		s.opts.Logger.Warn("event store does not know where its log ended", "dir", s.opts.Dir, "error", err)
		return s.opts.fs.Remove(s.opts.fs.PathJoin(s.opts.Dir, markName))
	}
	if err != nil || !found {
		return err
	}
	if s.opts.AcceptShorter {
		if err := s.keepLogs(); err != nil {
			return err
		}
	}
	end, err := s.endOnDisk()
	if damaged := s.damage(err); s.opts.AcceptShorter && damaged != nil && damaged.log {
		s.opts.Logger.Warn("event store cuts its write-ahead log at the damage", "dir", s.opts.Dir, "error", damaged)
		if err = s.cutAtDamage(err); err == nil {
			end, err = s.endOnDisk()
		}
	}
	if err != nil || end >= acknowledged {
		return err
	}
	shorter := &ShorterError{End: end, Acknowledged: acknowledged, Logs: s.logs()}
	if !s.opts.AcceptShorter {
		return shorter
	}
	s.shorter = shorter
	s.opts.Logger.Warn("event store accepts that its log is shorter than it was", "dir", s.opts.Dir, "end", end, "acknowledged", acknowledged)
	return nil
}

// endOnDisk returns the end of the log as Open will find it. It changes nothing.
func (s *Store) endOnDisk() (end uint64, err error) {
	options := s.pebbleOptions()
	options.ReadOnly = true
	db, err := pebble.Open(s.opts.Dir, options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return endOfLog(db)
}

// Shorter returns what is missing if the store was opened in spite of it (see Options.AcceptShorter), and nil
// otherwise.
func (s *Store) Shorter() *ShorterError { return s.shorter }

// Inspection is the result of Inspect.
type Inspection struct {
	// End is the position after the last readable event.
	End uint64
}

// Inspect checks the store in a directory that is not being served, without changing it. If it is damaged, Inspect
// returns the error that Open would return.
func Inspect(opts Options) (found Inspection, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return found, err
	}
	opts.AcceptShorter = false
	s, err := locked(opts)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, s.abandon()) }()
	if err = s.checkMarker(); err == nil {
		err = s.checkMark()
	}
	if err == nil {
		found.End, err = s.endOnDisk()
	}
	if err != nil {
		err = s.openError(err)
	}
	return found, err
}
