package store

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// damagedPrefix is the prefix of write-ahead logs that were set aside unchanged when their loss was accepted. Pebble
// ignores files that begin with it and do not end like its own files.
const damagedPrefix = "damaged-"

// aside returns the path that a log is set aside at.
func aside(fs vfs.FS, path string) string {
	name := strings.TrimSuffix(fs.PathBase(path), ".log")
	return fs.PathJoin(fs.PathDir(path), damagedPrefix+name)
}

// replayedWAL matches the write-ahead log that Pebble could not replay, as named in the details of its error.
var replayedWAL = regexp.MustCompile(`replaying wal (\d+)`)

// keepLogs copies the write-ahead logs, because Pebble removes them after it has replayed what it can read.
func (s *Store) keepLogs() error {
	fs := s.opts.fs
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: s.opts.Dir})
	if err != nil {
		return err
	}
	for _, l := range logs {
		_, path := l.SegmentLocation(0)
		if info, err := fs.Stat(path); err != nil || info.Size() == 0 {
			continue
		}
		if err := vfs.Copy(fs, path, aside(fs, path)); err != nil {
			return err
		}
	}
	return syncDir(fs, s.opts.Dir)
}

// cutAtDamage makes a store whose write-ahead log is damaged in the middle openable up to the damage: it truncates that
// log to its readable part and removes the later ones. keepLogs must have kept them. damage is Pebble's error.
func (s *Store) cutAtDamage(damage error) error {
	found := replayedWAL.FindStringSubmatch(fmt.Sprintf("%+v", damage))
	if found == nil {
		return damage
	}
	number, err := strconv.ParseUint(found[1], 10, 64)
	if err != nil {
		return damage
	}
	fs := s.opts.fs
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: s.opts.Dir})
	if err != nil {
		return err
	}
	for _, l := range logs {
		_, path := l.SegmentLocation(0)
		switch {
		case uint64(l.Num) == number:
			end, err := readableEnd(l)
			if err != nil {
				return err
			}
			if err := vfs.LimitedCopy(fs, aside(fs, path), path, end); err != nil {
				return err
			}
		case uint64(l.Num) > number:
			if err := fs.Remove(path); err != nil {
				return err
			}
		}
	}
	return syncDir(fs, s.opts.Dir)
}

// readableEnd returns the offset after the readable records at the beginning of a log.
func readableEnd(l wal.LogicalLog) (int64, error) {
	reader := l.OpenForRead()
	for {
		record, at, err := reader.NextRecord()
		if err == nil {
			_, err = io.Copy(io.Discard, record)
		}
		if err != nil {
			return at.Physical, reader.Close()
		}
	}
}
