package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// unfinishedName marks the working directory of a backup or a restore, so that the next one can remove what an
// interrupted run left, and never anything else.
const unfinishedName = ".waypost-unfinished"

// MakeUnfinished creates a directory for work that can be interrupted. It first removes an unfinished directory of that
// name. Any other existing directory is an error. The caller must call Finish before it renames the directory to its
// final name.
func MakeUnfinished(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		if _, err := os.Lstat(filepath.Join(dir, unfinishedName)); err != nil {
			return fmt.Errorf("%s exists and was not left by an earlier run; move it away", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, unfinishedName), nil, 0o600)
}

// Finish removes the mark of an unfinished directory.
func Finish(dir string) error { return os.Remove(filepath.Join(dir, unfinishedName)) }
