package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// rejectedFile takes the lines that were refused, each with the reason, so that
// they can be mended and sent as a file of their own. It stands beside the file
// they came from, is made with the first of them, and never replaces another.
type rejectedFile struct {
	beside string
	format sendFormat
	header []string // of the CSV file
	comma  rune

	path string
	file *os.File
	csv  *csv.Writer
}

// add writes a line. Its key goes with it: mended, it is still the same message.
func (r *rejectedFile) add(line *sendLine, why *sendRefusal) error {
	if r.file == nil {
		if err := r.create(); err != nil {
			return err
		}
	}
	key, _ := line.input["idempotencyKey"].(string)
	if r.format == formatCSV {
		cells := slices.Clone(line.cells)
		if i := slices.Index(r.header, "key"); i >= 0 {
			cells[i] = key
		} else {
			cells = append(cells, key)
		}
		return r.csv.Write(append(r.withoutReasons(cells), strconv.Itoa(line.number), why.String()))
	}
	object := maps.Clone(line.object)
	reason := map[string]any{"line": line.number, "code": why.Code, "field": why.Field, "message": why.Message}
	if object == nil {
		object, reason["text"] = make(map[string]any), line.raw
	} else if key != "" {
		object["idempotencyKey"] = key
	}
	object[rejectedColumn] = reason
	encoder := json.NewEncoder(r.file)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object)
}

// withoutReasons drops what an earlier run said of the lines.
func (r *rejectedFile) withoutReasons(cells []string) []string {
	var kept []string
	for i, cell := range cells {
		if i >= len(r.header) || !strings.HasPrefix(r.header[i], rejectedColumn) {
			kept = append(kept, cell)
		}
	}
	return kept
}

// create makes the file: NAME.rejected.csv, or with a number when that is there.
func (r *rejectedFile) create() error {
	ext := filepath.Ext(r.beside)
	for n := 1; ; n++ {
		r.path = strings.TrimSuffix(r.beside, ext) + ".rejected" + ext
		if n > 1 {
			r.path = fmt.Sprintf("%s.rejected-%d%s", strings.TrimSuffix(r.beside, ext), n, ext)
		}
		f, err := os.OpenFile(r.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the file of refused lines: %w", err)
		}
		r.file = f
		break
	}
	if r.format != formatCSV {
		return nil
	}
	r.csv = csv.NewWriter(r.file)
	r.csv.Comma = r.comma
	header := r.withoutReasons(r.header)
	if !slices.Contains(header, "key") {
		header = append(header, "key")
	}
	return r.csv.Write(append(header, rejectedColumn+"_line", rejectedColumn+"_reason"))
}

func (r *rejectedFile) close() error {
	if r.file == nil {
		return nil
	}
	if r.csv != nil {
		r.csv.Flush()
	}
	var err error
	if r.csv != nil {
		err = r.csv.Error()
	}
	return errors.Join(err, r.file.Close())
}
