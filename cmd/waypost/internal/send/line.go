package send

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
)

// Columns with these prefixes contain one value each.
const (
	ParamColumn = "param."
	LabelColumn = "label."
	// rejectedColumn is the prefix of the columns that a file of refused lines adds. They are ignored when such a file is sent.
	rejectedColumn = "rejected"
)

// maxLine is the maximum length of a line of JSON, in bytes. Waypost accepts requests of 4 MiB.
const maxLine = 4 << 20

// sendLine is one message of a file.
type sendLine struct {
	number int
	// cells are a CSV line's, object is that of a JSON line; raw is what is none.
	cells  []string
	object map[string]any
	raw    string
	input  map[string]any
	// problem is the reason why the line cannot be sent, or nil.
	problem error
}

// lineReader reads a file's messages.
type lineReader struct {
	format Format
	header []string // of CSV: columns, or "" for those without a name
	csv    *csvReader
	lines  *bufio.Scanner
	number int
	blank  []int // lines of CSV that have cells, but no values
	// keys gives keys to lines that have none.
	keys lineKeys
	// defaults are the cells that complete every line, and input is what they make
	// of a message.
	defaults map[string]string
	input    map[string]any
}

// newLineReader reads the header, if there is one.
func newLineReader(in *bufio.Reader, format Format, keys lineKeys, defaults map[string]string) (*lineReader, error) {
	l := &lineReader{format: format, keys: keys, defaults: defaults}
	var err error
	if l.input, err = NewInput(defaults); err != nil {
		return nil, err
	}
	if format == FormatJSONL {
		l.lines = bufio.NewScanner(in)
		l.lines.Buffer(nil, maxLine)
		return l, nil
	}
	known := func(cell string) bool {
		name, err := columnName(cell)
		return err == nil && isColumn(name)
	}
	if l.csv, err = newCSVReader(in, known); err != nil {
		return nil, err
	}
	header, _, err := l.csv.read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the header: the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	for _, cell := range header {
		name, err := columnName(cell)
		if err != nil {
			return nil, fmt.Errorf("the header has the column %q, which %w", cell, err)
		}
		l.header = append(l.header, name)
	}
	return l, l.checkHeader()
}

// sendColumns returns the columns of a CSV file, except parameters and labels.
func sendColumns() []string {
	return []string{
		"to", "to_user_id", "key", "sender", "text", "template", "language", "content", "priority", "send_at", "expires_at", "deliver_within",
		"on_ambiguous", "reply_to", "outside_window", "fallback",
	}
}

// columnName returns a column's name as this program knows it: upper and lower
// case, spaces, hyphens, and underscores make no difference.
func columnName(cell string) (string, error) {
	name := strings.ToLower(trimmed(cell))
	if err := errors.Join(CheckCharacters(name), invisibleCharacter(name)); err != nil {
		return "", err
	}
	for _, prefix := range []string{ParamColumn, LabelColumn} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return prefix + trimmed(rest), nil
		}
	}
	letters := strings.NewReplacer(" ", "", "-", "", "_", "")
	for _, column := range sendColumns() {
		if letters.Replace(name) == letters.Replace(column) {
			return column, nil
		}
	}
	return name, nil
}

// isColumn reports whether a name is that of a column with a meaning.
func isColumn(name string) bool {
	return slices.Contains(sendColumns(), name) || strings.HasPrefix(name, rejectedColumn) ||
		(strings.HasPrefix(name, ParamColumn) && name != ParamColumn) || (strings.HasPrefix(name, LabelColumn) && name != LabelColumn)
}

// checkHeader refuses a header with which lines could not be read. A column
// without a name is taken, if it has no values: spreadsheets write such.
func (l *lineReader) checkHeader() error {
	seen := make(map[string]bool, len(l.header))
	for _, name := range l.header {
		switch {
		case name == "":
			continue
		case !isColumn(name):
			return fmt.Errorf("the header has the column %q; known are %s, param.1, param.NAME and label.NAME", name, strings.Join(sendColumns(), ", "))
		case seen[name]:
			return fmt.Errorf("the header has the column %q twice", name)
		}
		seen[name] = true
	}
	if !seen["to"] && !seen["to_user_id"] {
		return errors.New("the header has neither a column to nor to_user_id, which hold the recipients")
	}
	return nil
}

// next returns the next message, or io.EOF after the last one. After any other error, the rest cannot be read.
func (l *lineReader) next() (*sendLine, error) {
	if l.format == FormatCSV {
		return l.nextRow()
	}
	for l.lines.Scan() {
		l.number++
		text := strings.TrimSpace(l.lines.Text())
		if text == "" {
			continue
		}
		line := &sendLine{number: l.number, raw: text}
		if line.object, line.problem = apiclient.DecodeObject(text); line.problem == nil {
			delete(line.object, rejectedColumn)
			line.problem = lostCharacterIn(line.object)
			line.input = merged(line.object, l.input)
			l.keys.add(line, line.object)
		}
		return line, nil
	}
	if err := l.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: has more than %d bytes", l.number+1, maxLine)
	} else if err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// nextRow is next for CSV.
func (l *lineReader) nextRow() (*sendLine, error) {
	for {
		cells, number, err := l.csv.read()
		if err != nil {
			return nil, err
		}
		if strings.Trim(strings.Join(cells, ""), " \t\u00a0") == "" {
			l.blank = append(l.blank, number)
			continue
		}
		line := &sendLine{number: number, cells: cells}
		given, problem := l.valuesOf(cells)
		line.input, line.problem = NewInput(completed(given, l.defaults))
		if problem != nil {
			line.problem = problem
		}
		l.keys.add(line, given)
		return line, nil
	}
}

// valuesOf returns the values of a row by their columns, and what is wrong with
// them or with the row.
func (l *lineReader) valuesOf(cells []string) (given map[string]string, problem error) {
	given = make(map[string]string, len(cells))
	for i, cell := range cells {
		cell = plainCell(cell)
		switch {
		case cell == "":
		case i >= len(l.header):
			if trimmed(cell) != "" && problem == nil {
				problem = fmt.Errorf("the line has %d cells, but the header has %d columns; put a cell that has a separator in it in quotes", len(cells), len(l.header))
			}
		case l.header[i] == "":
			if trimmed(cell) != "" && problem == nil {
				problem = fmt.Errorf("the line has a value in column %d, which has no name in the header", i+1)
			}
		case !strings.HasPrefix(l.header[i], rejectedColumn):
			given[l.header[i]] = cell
		}
	}
	if n := len(cells); problem == nil && n < len(l.header) && strings.Join(l.header[n:], "") != "" {
		problem = fmt.Errorf("the line has %d cells, but the header has %d columns; add the missing separators", n, len(l.header))
	}
	for _, column := range slices.Sorted(maps.Keys(given)) {
		err := CheckCharacters(given[column])
		if err == nil && isWord(column) {
			err = invisibleCharacter(trimmed(given[column]))
		}
		if err != nil && problem == nil {
			problem = fmt.Errorf("%s: %w", column, err)
		}
	}
	return given, problem
}

// isWord reports whether a column holds words of a computer, in which spaces at
// the ends mean nothing, and not text, of which nothing is changed.
func isWord(column string) bool {
	return slices.Contains([]string{"to", "to_user_id", "sender", "template", "language", "priority", "send_at", "expires_at", "deliver_within", "on_ambiguous", "reply_to", "outside_window"}, column)
}

// completed is a line with what the defaults add to it. One with content of its
// own takes none of theirs.
func completed(line, defaults map[string]string) map[string]string {
	own := line["text"] != "" || line["template"] != "" || line["content"] != ""
	out := make(map[string]string, len(line)+len(defaults))
	for column, value := range defaults {
		content := strings.HasPrefix(column, ParamColumn) || slices.Contains([]string{"text", "template", "content"}, column)
		if !own || !content {
			out[column] = value
		}
	}
	maps.Copy(out, line)
	return out
}

// NewInput is the GraphQL input of a CSV line's cells, those that are not empty.
// The error begins with the column at fault.
func NewInput(given map[string]string) (map[string]any, error) {
	cells := maps.Clone(given)
	for column, cell := range cells {
		if isWord(column) {
			cells[column] = trimmed(cell)
		}
	}
	input := make(map[string]any)
	for column, member := range map[string]string{
		"to": "to", "to_user_id": "toUserId", "sender": "senderId", "key": "idempotencyKey", "priority": "priority",
		"on_ambiguous": "onAmbiguous", "reply_to": "replyTo", "deliver_within": "deliverWithin", "outside_window": "outsideWindow",
	} {
		if cells[column] != "" {
			input[member] = cells[column]
		}
	}
	for column, member := range map[string]string{"send_at": "sendAt", "expires_at": "expiresAt"} {
		if cells[column] == "" {
			continue
		}
		if _, err := time.Parse(time.RFC3339, cells[column]); err != nil {
			return input, fmt.Errorf("%s: %q is not a valid RFC 3339 time; use one like 2026-01-31T12:00:00Z", column, cells[column])
		}
		input[member] = cells[column]
	}
	if cells["fallback"] != "" {
		fallback, err := apiclient.DecodeObject(cells["fallback"])
		if err != nil {
			return input, fmt.Errorf("fallback: %w", err)
		}
		input["fallback"] = fallback
	}
	var labels []any
	for _, column := range slices.Sorted(maps.Keys(cells)) {
		if name, ok := strings.CutPrefix(column, LabelColumn); ok && cells[column] != "" {
			labels = append(labels, map[string]any{"name": name, "value": cells[column]})
		}
	}
	if labels != nil {
		input["labels"] = labels
	}
	content, err := contentOf(cells)
	if content != nil {
		input["content"] = content
	}
	return input, err
}

// contentOf is the content that the cells hold; nil if they hold none.
func contentOf(cells map[string]string) (map[string]any, error) {
	given := 0
	for _, column := range []string{"text", "template", "content"} {
		if cells[column] != "" {
			given++
		}
	}
	if given > 1 {
		return nil, errors.New("content: only one of text, template and content may be given")
	}
	switch {
	case cells["text"] != "":
		return map[string]any{"text": map[string]any{"body": cells["text"]}}, nil
	case cells["content"] != "":
		content, err := apiclient.DecodeObject(cells["content"])
		if err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
		return content, nil
	case cells["template"] != "":
		parameters, err := parametersOf(cells)
		if err != nil {
			return nil, err
		}
		template := map[string]any{"name": cells["template"], "language": cells["language"]}
		if len(parameters) > 0 {
			template["components"] = []any{map[string]any{"type": "BODY", "parameters": parameters}}
		}
		return map[string]any{"template": template}, nil
	}
	return nil, nil //nolint:nilnil // the flags may hold it
}

// parametersOf are the template's body variables: those with a number by their
// place, others by their name.
func parametersOf(cells map[string]string) ([]any, error) {
	byPlace := make(map[int]string)
	var parameters []any
	for _, column := range slices.Sorted(maps.Keys(cells)) {
		name, ok := strings.CutPrefix(column, ParamColumn)
		if !ok || cells[column] == "" {
			continue
		}
		if place, err := strconv.Atoi(name); err == nil {
			byPlace[place] = cells[column]
			continue
		}
		parameters = append(parameters, map[string]any{"type": "text", "parameter_name": name, "text": cells[column]})
	}
	for place := range len(byPlace) {
		value, ok := byPlace[place+1]
		if !ok {
			return nil, fmt.Errorf("%s%d: is missing, but one of a higher number is given", ParamColumn, place+1)
		}
		parameters = append(parameters, map[string]any{"type": "text", "text": value})
	}
	return parameters, nil
}

// countLines reads a source once to its end, and returns its number of messages
// and the lines that have cells but no values.
func countLines(source *Source, format Format) (total int, blank []int, err error) {
	text, err := source.text()
	if err != nil {
		return 0, nil, err
	}
	l, err := newLineReader(text, format, lineKeys{}, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", source.name, err)
	}
	for ; ; total++ {
		if _, err := l.next(); errors.Is(err, io.EOF) {
			return total, l.blank, nil
		} else if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", source.name, err)
		}
	}
}
