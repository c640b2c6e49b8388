package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
)

// restoringSuffix is the suffix of the directory that a restore works in until it is done.
const restoringSuffix = ".restoring"

// Restore creates a new data directory, opts.Dir, from a backup, which stays unchanged. The directory must be missing
// or empty. The copy is verified completely. Then prepare, unless it is nil, can change it by its path, and only then
// is it renamed to its final path. If anything fails, nothing is there.
func Restore(ctx context.Context, opts Options, from string, prepare func(dir string) error) (report VerifyReport, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return report, err
	}
	dir := filepath.Clean(opts.Dir)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return report, fmt.Errorf("restore into %s: the directory is not empty; move its content or choose another directory", dir)
	}
	release, err := holdBackup(opts, from)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, release()) }()
	opts.Dir = dir + restoringSuffix
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := MakeUnfinished(opts.Dir); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(opts.Dir))
		}
	}()
	if err := copyFolder(ctx, from, opts.Dir); err != nil {
		return report, fmt.Errorf("restore %s into %s: %w", from, dir, err)
	}
	if report, err = Verify(ctx, opts); err != nil {
		return report, fmt.Errorf("backup %s cannot be used: %w", from, err)
	}
	if prepare != nil {
		if err := prepare(opts.Dir); err != nil {
			return report, err
		}
	}
	if err := Finish(opts.Dir); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := os.Rename(opts.Dir, dir); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	return report, syncFolder(filepath.Dir(dir))
}

// holdBackup returns an error for the directory of a running store, because its files change while they are copied.
func holdBackup(opts Options, from string) (release func() error, err error) {
	if _, err := os.Stat(filepath.Join(from, "CURRENT")); err != nil {
		// Pebble names its newest manifest in a file with a number. Older versions name it in CURRENT.
		if markers, globErr := filepath.Glob(filepath.Join(from, "marker.manifest.*")); globErr != nil || len(markers) == 0 {
			return nil, fmt.Errorf("%s is not a backup of an event store", from)
		}
	}
	lock, err := pebble.LockDirectory(from, opts.fs)
	switch {
	case err == nil:
		return lock.Close, nil
	case isHeld(err):
		return nil, fmt.Errorf("%s: %w; back it up and restore the backup", from, ErrLocked)
	default: // the backup can be in a directory that is not writable
		return func() error { return nil }, nil
	}
}

// copyFolder copies the files of a directory without subdirectories and syncs them.
func copyFolder(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e.Type().IsRegular() && e.Name() != lockName {
			if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	return syncFolder(to)
}

// lockName is the name of the file by which Pebble locks a directory.
const lockName = "LOCK"

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

// syncFolder makes the names in a directory durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
