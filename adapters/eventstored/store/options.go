package store

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure a Store. Dir, Logger, and Now are required. For every other field, the zero value selects the
// default given in its comment.
type Options struct {
	// Dir is the data directory. It is created if it does not exist.
	Dir string
	// Logger receives faults and warnings, never the content of events.
	Logger *slog.Logger
	// Now returns the time that is recorded with events and that $maxAge is compared with.
	Now func() time.Time
	// CacheBytes is the size of the block cache, 64 MiB by default. Memtables are part of it.
	CacheBytes int64
	// MemTableBytes is the size of one memtable, 16 MiB by default. Two or three exist at a time under load.
	MemTableBytes uint64
	// MaxAppendBytes is the size of the largest append: data, metadata, and twice the type of all its events. The
	// default is 1 MiB, the limit of EventStoreDB 24.
	MaxAppendBytes int
	// MinFreeBytes is the free disk space below which appends fail with ErrDiskFull. The default of 128 MiB is enough
	// for Pebble to flush what it holds in memory. A negative value disables the check.
	MinFreeBytes int64
	// TailRecords and TailBytes limit the newest records that are held in memory for live subscribers. The defaults are
	// 16384 and 32 MiB.
	TailRecords int
	TailBytes   int
	// RecentIDs is the number of event IDs by which repeated appends without an expected revision are recognized, 65536
	// by default (about 5 MiB).
	RecentIDs int
	// AcceptShorter opens the store even if the log ends before events that were acknowledged (see ShorterError). Those
	// events are lost.
	AcceptShorter bool

	// fs is the file system. Tests make it fail.
	fs vfs.FS
}

const (
	defaultCacheBytes     = 64 << 20
	defaultMemTableBytes  = 16 << 20
	defaultMaxAppendBytes = 1 << 20
	defaultMinFreeBytes   = 128 << 20
	defaultTailRecords    = 1 << 14
	defaultTailBytes      = 32 << 20
	defaultRecentIDs      = 1 << 16
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("event store: no data directory configured")
	}
	if o.Logger == nil {
		return o, errors.New("event store: no logger configured")
	}
	if o.Now == nil {
		return o, errors.New("event store: no clock configured")
	}
	orDefault(&o.CacheBytes, defaultCacheBytes)
	orDefault(&o.MemTableBytes, defaultMemTableBytes)
	orDefault(&o.MaxAppendBytes, defaultMaxAppendBytes)
	orDefault(&o.MinFreeBytes, defaultMinFreeBytes)
	orDefault(&o.TailRecords, defaultTailRecords)
	orDefault(&o.TailBytes, defaultTailBytes)
	orDefault(&o.RecentIDs, defaultRecentIDs)
	if o.fs == nil {
		o.fs = vfs.Default
	}
	return o, nil
}

func orDefault[T int | int64 | uint64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
