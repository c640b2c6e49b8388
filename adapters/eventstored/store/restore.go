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

// restoringSuffix is that of the folder in which a restore works until its end.
const restoringSuffix = ".restoring"

// Restore makes a new data folder, opts.Dir, from a backup, which stays as it is. The folder must be missing or empty. The
// copy is verified as a whole, then prepare, if there is one, may change it by its path, and only then it is put in its
// place; if anything fails there is nothing there.
func Restore(ctx context.Context, opts Options, from string, prepare func(dir string) error) (report VerifyReport, err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return report, err
	}
	dir := filepath.Clean(opts.Dir)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return report, fmt.Errorf("restore into %s: there is something in it; move it away or choose another folder", dir)
	}
	release, err := holdBackup(opts, from)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, release()) }()
	// What an earlier restore left that was killed is removed.
	opts.Dir = dir + restoringSuffix
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(opts.Dir))
		}
	}()
	if err := os.RemoveAll(opts.Dir); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
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
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := os.Rename(opts.Dir, dir); err != nil {
		return report, fmt.Errorf("restore into %s: %w", dir, err)
	}
	return report, syncFolder(filepath.Dir(dir))
}

// holdBackup refuses the folder of a store that is running: its files change while they are copied.
func holdBackup(opts Options, from string) (release func() error, err error) {
	if _, err := os.Stat(filepath.Join(from, "CURRENT")); err != nil {
		// Pebble names its newest manifest in a file with a number; older ones in CURRENT.
		if markers, globErr := filepath.Glob(filepath.Join(from, "marker.manifest.*")); globErr != nil || len(markers) == 0 {
			return nil, fmt.Errorf("%s is no backup of an event store", from)
		}
	}
	lock, err := pebble.LockDirectory(from, opts.fs)
	switch {
	case err == nil:
		return lock.Close, nil
	case isHeld(err):
		return nil, fmt.Errorf("%s: %w; make a backup of it and restore that", from, ErrLocked)
	default: // the backup may lie where nobody can write
		return func() error { return nil }, nil
	}
}

// copyFolder copies the files of a folder, which holds no others, and syncs them.
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

// lockName is the file by which Pebble locks a folder.
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

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
