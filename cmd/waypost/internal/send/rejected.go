package send

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

// rejectedFile takes the lines that were refused, in their order and each with
// the reason, so that they can be fixed and sent as a file of their own. It is in
// UTF-8 next to the file they came from, is created with the first of them, and never
// replaces another.
type rejectedFile struct {
	source string
	format Format
	header []string // of the CSV file
	comma  rune
	// marked is set if it begins with a byte order mark: the other file has another
	// encoding or a mark. Spreadsheets read it as UTF-8 then, and --encoding is ignored.
	marked bool

	path string
	file *os.File
	csv  *csv.Writer
}

func newRejectedFile(source *Source, format Format, lines *lineReader) *rejectedFile {
	r := &rejectedFile{source: source.name, format: format, header: lines.header, marked: source.foreign}
	if source.name == standardInputName {
		r.source = "stdin." + string(format)
	}
	if lines.csv != nil {
		r.comma = rune(lines.csv.comma)
	}
	return r
}

// add writes a line. Its key goes with it: once it is fixed, it is still the same message.
func (r *rejectedFile) add(line *sendLine, why *Refusal) error {
	if r.file == nil {
		if err := r.create(); err != nil {
			return err
		}
	}
	key, _ := line.input["idempotencyKey"].(string)
	if r.format == FormatCSV {
		return r.csv.Write(r.row(line, key, why))
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

// row returns a line's cells under the header, and the reason. Cells for which
// the header has no column come behind it.
func (r *rejectedFile) row(line *sendLine, key string, why *Refusal) []string {
	cells := make([]string, len(r.header))
	more := line.cells[copy(cells, line.cells):]
	if i := slices.Index(r.header, "key"); i >= 0 {
		cells[i] = key
		cells = r.withoutReasons(cells)
	} else {
		cells = append(r.withoutReasons(cells), key)
	}
	for len(more) > 0 && trimmed(more[len(more)-1]) == "" {
		more = more[:len(more)-1]
	}
	return slices.Concat(cells, []string{strconv.Itoa(line.number), why.String()}, more)
}

// withoutReasons drops what an earlier run said of the lines.
func (r *rejectedFile) withoutReasons(cells []string) []string {
	var kept []string
	for i, cell := range cells {
		if !strings.HasPrefix(r.header[i], rejectedColumn) {
			kept = append(kept, cell)
		}
	}
	return kept
}

// create makes the file: NAME.rejected.csv, or with a number when that is there.
func (r *rejectedFile) create() error {
	ext := filepath.Ext(r.source)
	for n := 1; ; n++ {
		r.path = strings.TrimSuffix(r.source, ext) + ".rejected" + ext
		if n > 1 {
			r.path = fmt.Sprintf("%s.rejected-%d%s", strings.TrimSuffix(r.source, ext), n, ext)
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
	if r.marked {
		if _, err := r.file.WriteString(byteOrderMark); err != nil {
			return err
		}
	}
	if r.format != FormatCSV {
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
