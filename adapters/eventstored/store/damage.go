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

// Pebble reports problems with its files in several ways. Not all of them are typed, and not all name the file. This
// file turns them into one error that does.

// missingTable matches a table that Pebble reports as missing.
var missingTable = regexp.MustCompile(`file (\d+) \(type sstable\)`)

// checkMarker returns an error for a directory that contains data but no marker. The marker names the list of tables in
// use. Without it, Pebble would treat the directory as new and remove its content.
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
		// An interrupted first start also leaves files, but they are empty.
		if ext := filepath.Ext(name); (ext == ".sst" || ext == ".log") && info.Size() > 0 {
			return &damageError{file: "marker.manifest.*", err: fmt.Errorf("the file is missing, but the directory contains data: %s", name)}
		}
	}
	return nil
}

// damageError reports a damaged file, or several files of which one is damaged. It wraps ErrCorrupted.
type damageError struct {
	file string // within the data directory
	log  bool   // a write-ahead log; everything before the damage can be read
	err  error
}

func (e *damageError) Error() string {
	text := oneLine(e.err)
	if e.file == "" {
		return fmt.Sprintf("%v: %s", ErrCorrupted, text)
	}
	return fmt.Sprintf("%v in file %s: %s", ErrCorrupted, e.file, text)
}

// Unwrap returns ErrCorrupted and the cause.
func (e *damageError) Unwrap() []error { return []error{ErrCorrupted, e.err} }

// oneLine returns the first line of an error. After it, Pebble repeats itself.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// damage returns err as a *damageError if it reports damaged data, and nil otherwise.
func (s *Store) damage(err error) *damageError {
	var known *damageError
	if err == nil {
		return nil
	}
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
		return &damageError{file: s.logs(), log: true, err: err}
	case pebble.IsCorruptionError(err), errors.Is(err, ErrCorrupted),
		strings.Contains(text, "object size mismatch"), // of a table that the text names
		strings.Contains(text, "could not open manifest file") && errors.Is(err, fs.ErrNotExist):
		return &damageError{err: err}
	default:
		return nil
	}
}

// isMissing reports whether a file does not exist.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// logs returns the names of the write-ahead logs that are not empty.
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
