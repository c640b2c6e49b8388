package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble says what is wrong with its files in several ways, not all of them typed, and does not always say in which file.
// This makes one error of them that names it.

// missingTable is how Pebble tells of a table that is not there.
var missingTable = regexp.MustCompile(`file (\d+) \(type sstable\)`)

// checkMarker refuses a folder with data whose marker is missing. The marker names the list of the tables in use; without
// it Pebble would take the folder for a new one and remove what is in it.
func (s *Store) checkMarker() error {
	found, err := pebble.Peek(s.opts.Dir, s.opts.fs)
	if err != nil || found.Exists {
		return err
	}
	names, err := s.opts.fs.List(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := s.opts.fs.Stat(s.opts.fs.PathJoin(s.opts.Dir, name))
		if err != nil {
			return err
		}
		// A first start that was cut short leaves files, too, but nothing in them.
		if ext := filepath.Ext(name); (ext == ".sst" || ext == ".log") && info.Size() > 0 {
			return &damageError{file: "marker.manifest.*", err: fmt.Errorf("the file is missing, though there is data: %s", name)}
		}
	}
	return nil
}

// damageError tells of a damaged file, or of several of which one is. It wraps ErrCorrupted.
type damageError struct {
	file string // within the data folder
	err  error
}

func (e *damageError) Error() string {
	text := oneLine(e.err)
	if e.file == "" {
		return fmt.Sprintf("%v: %s", ErrCorrupted, text)
	}
	return fmt.Sprintf("%v in file %s: %s", ErrCorrupted, e.file, text)
}

// Unwrap gives ErrCorrupted and the cause.
func (e *damageError) Unwrap() []error { return []error{ErrCorrupted, e.err} }

// oneLine is the first line of an error: behind it Pebble repeats itself.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// damage turns an error into a *damageError if it tells of damaged data; nil if it does not.
func (s *Store) damage(err error) *damageError {
	var known *damageError
	if errors.As(err, &known) {
		return known
	}
	text := err.Error()
	table := missingTable.FindStringSubmatch(text)
	info := pebble.ExtractDataCorruptionInfo(err)
	switch {
	case info != nil && info.Path != "":
		return &damageError{file: filepath.Base(info.Path), err: err}
	case table != nil:
		return &damageError{file: table[1] + ".sst", err: err}
	case strings.Contains(text, "replaying WAL"):
		return &damageError{file: s.logs(), err: err}
	case pebble.IsCorruptionError(err), errors.Is(err, ErrCorrupted),
		strings.Contains(text, "object size mismatch"), // of a table, named in the text
		strings.Contains(text, "could not open manifest file") && errors.Is(err, fs.ErrNotExist):
		return &damageError{err: err}
	default:
		return nil
	}
}

// logs are the names of the write-ahead logs that hold anything.
func (s *Store) logs() string {
	names, err := s.opts.fs.List(s.opts.Dir)
	if err != nil {
		return "*.log"
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		info, err := s.opts.fs.Stat(s.opts.fs.PathJoin(s.opts.Dir, name))
		return filepath.Ext(name) != ".log" || err != nil || info.Size() == 0
	})
	slices.Sort(names)
	return strings.Join(names, " or ")
}
