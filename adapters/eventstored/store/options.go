package store

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configure a Store. Dir, Logger and Now are required; every other zero value means the default that stands
// beside it.
type Options struct {
	// Dir is the folder of the data. It is made when it is missing.
	Dir string
	// Logger gets faults and warnings, never the content of events.
	Logger *slog.Logger
	// Now gives the time that is recorded with an event and against which $maxAge is held.
	Now func() time.Time
	// CacheBytes is the size of the block cache; default 64 MiB. Memtables count against it.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; default 16 MiB. Two or three live at a time under load.
	MemTableBytes uint64
	// MaxAppendBytes is the largest append: data, metadata and twice the type of all its events; default 1 MiB, the
	// limit of EventStoreDB 24.
	MaxAppendBytes int
	// MinFreeBytes is the room on the disk below which appends are refused with ErrDiskFull; default 128 MiB, enough
	// for Pebble to flush what it holds in memory. Negative switches the check off.
	MinFreeBytes int64
	// TailRecords and TailBytes bound the newest records that are held in memory for live subscribers; defaults 16384
	// and 32 MiB.
	TailRecords int
	TailBytes   int
	// RecentIDs is the number of event ids against which appends without an expected revision are recognised as
	// repeated; default 65536 (about 5 MiB).
	RecentIDs int

	// fs is the file system; tests let it fail.
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
		return o, errors.New("event store: no data folder given")
	}
	if o.Logger == nil {
		return o, errors.New("event store: no logger given")
	}
	if o.Now == nil {
		return o, errors.New("event store: no clock given")
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
