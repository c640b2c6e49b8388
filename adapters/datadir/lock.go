package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// lockName is the file in a directory that is locked.
	lockName = "lock"
	// probeLimit limits how long Hold retries, because Held also takes the lock for some microseconds.
	probeLimit = 500 * time.Millisecond
	probePause = 5 * time.Millisecond
)

// A HeldError means that another process holds the lock of a directory.
type HeldError struct {
	Dir string
	// PID is the process ID that the holder has written. Empty if it hasn't written one yet.
	PID string
}

func (e *HeldError) Error() string {
	if e.PID == "" {
		return e.Dir + " is in use by another process"
	}
	return fmt.Sprintf("%s is in use by process %s", e.Dir, e.PID)
}

// A Lock is this process's lock on a directory. The operating system releases it when the process ends, however it
// ends, so it can't be stale.
type Lock struct{ file *os.File }

// Hold locks dir, which must exist. It returns a *HeldError if another process holds the lock.
func Hold(dir string) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Lock{file: f}
	if err := l.take(dir); err != nil {
		_ = f.Close()
		return nil, err
	}
	return l, nil
}

func (l *Lock) take(dir string) error {
	for giveUp := time.Now().Add(probeLimit); ; time.Sleep(probePause) {
		err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK) && time.Now().After(giveUp):
			return &HeldError{Dir: dir, PID: holder(l.file)}
		case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("lock %s: %w", l.file.Name(), err)
		}
		err = l.file.Truncate(0)
		if err == nil {
			_, err = l.file.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
		}
		if err != nil {
			l.Release()
			return fmt.Errorf("lock %s: %w", l.file.Name(), err)
		}
		return nil
	}
}

// Release releases the lock. It can be called more than once.
func (l *Lock) Release() {
	// Closing the file would not be enough: a program that is being started at this moment also has the descriptor and
	// would keep the lock (see flock(2)).
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}

// Held reports whether a process holds the lock of dir. It returns false if dir doesn't exist.
func Held(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return false, syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	}
}

// holder returns the process ID that the holder of a lock wrote into its file.
func holder(f *os.File) string {
	text, _ := io.ReadAll(io.NewSectionReader(f, 0, 20)) // without it, the error names no process
	return strings.TrimSpace(string(text))
}
