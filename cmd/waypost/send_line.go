package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Columns of a CSV file whose names begin so hold a value each.
const (
	paramColumn = "param."
	labelColumn = "label."
	// rejectedColumn marks what a file of refused lines says beside them; it is
	// passed over when such a file is sent.
	rejectedColumn = "rejected"
)

// maxLine bounds a line of JSON, in bytes: the platform takes 4 MiB at once.
const maxLine = 4 << 20

// sendLine is one message of a file.
type sendLine struct {
	number int
	// cells are a CSV line's, object is that of a JSON line; raw is what is none.
	cells  []string
	object map[string]any
	raw    string
	input  map[string]any
	// problem is why it cannot be sent as it stands.
	problem error
}

// lineReader reads a file's messages.
type lineReader struct {
	format sendFormat
	header []string // of CSV
	csv    *csv.Reader
	lines  *bufio.Scanner
	number int
	seen   map[[sha256.Size]byte]int // how often a line stood before
	// campaign goes into the keys that are made.
	campaign string
	// defaults are the cells that complete every line, and input is what they make
	// of a message.
	defaults map[string]string
	input    map[string]any
}

// newLineReader reads the header, if there is one.
func newLineReader(r io.Reader, format sendFormat, campaign string, defaults map[string]string) (*lineReader, error) {
	l := &lineReader{format: format, campaign: campaign, defaults: defaults, seen: make(map[[sha256.Size]byte]int)}
	var err error
	if l.input, err = inputOf(defaults); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(r, 64<<10)
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) { // what spreadsheets put before UTF-8
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	if format == formatJSONL {
		l.lines = bufio.NewScanner(in)
		l.lines.Buffer(nil, maxLine)
		return l, nil
	}
	l.csv = csv.NewReader(in)
	first, _ := in.Peek(4096)
	if line, _, _ := bytes.Cut(first, []byte("\n")); !bytes.Contains(line, []byte(",")) && bytes.Contains(line, []byte(";")) {
		l.csv.Comma = ';'
	}
	if l.header, err = l.csv.Read(); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	for i, name := range l.header {
		l.header[i] = strings.ToLower(strings.TrimSpace(name))
	}
	return l, l.checkHeader()
}

// sendColumns are the columns of a CSV file, beside params and labels.
func sendColumns() []string {
	return []string{
		"to", "key", "sender", "text", "template", "language", "content", "priority", "send_at", "expires_at", "on_ambiguous", "reply_to",
	}
}

func (l *lineReader) checkHeader() error {
	seen := make(map[string]bool, len(l.header))
	for _, name := range l.header {
		known := slices.Contains(sendColumns(), name) || strings.HasPrefix(name, rejectedColumn) ||
			(strings.HasPrefix(name, paramColumn) && name != paramColumn) || (strings.HasPrefix(name, labelColumn) && name != labelColumn)
		switch {
		case !known:
			return fmt.Errorf("the header has the column %q; known are %s, param.1, param.NAME and label.NAME", name, strings.Join(sendColumns(), ", "))
		case seen[name]:
			return fmt.Errorf("the header has the column %q twice", name)
		}
		seen[name] = true
	}
	if !seen["to"] {
		return errors.New("the header has no column to, which holds the recipients")
	}
	return nil
}

// next is the next message; io.EOF after the last. Another error means that what
// follows cannot be read either.
func (l *lineReader) next() (*sendLine, error) {
	if l.format == formatCSV {
		cells, err := l.csv.Read()
		if err != nil {
			return nil, err
		}
		line := &sendLine{cells: cells}
		line.number, _ = l.csv.FieldPos(0)
		given := make(map[string]string, len(cells))
		for i, cell := range cells {
			if !strings.HasPrefix(l.header[i], rejectedColumn) && cell != "" {
				given[l.header[i]] = cell
			}
		}
		line.input, line.problem = inputOf(completed(given, l.defaults))
		l.makeKey(line, given)
		return line, nil
	}
	for l.lines.Scan() {
		l.number++
		text := strings.TrimSpace(l.lines.Text())
		if text == "" {
			continue
		}
		line := &sendLine{number: l.number, raw: text}
		if line.object, line.problem = decodeObject(text); line.problem == nil {
			delete(line.object, rejectedColumn)
			line.input = merged(line.object, l.input)
			l.makeKey(line, line.object)
		}
		return line, nil
	}
	if err := l.lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", l.number+1, err)
	}
	return nil, io.EOF
}

// completed is a line with what the defaults add to it. One with content of its
// own takes none of theirs.
func completed(line, defaults map[string]string) map[string]string {
	own := line["text"] != "" || line["template"] != "" || line["content"] != ""
	out := make(map[string]string, len(line)+len(defaults))
	for column, value := range defaults {
		content := strings.HasPrefix(column, paramColumn) || slices.Contains([]string{"text", "template", "content"}, column)
		if !own || !content {
			out[column] = value
		}
	}
	maps.Copy(out, line)
	return out
}

// makeKey gives a line without an idempotency key one of its own: of the
// campaign, what stands in the line, and how often the same stood before. So the
// keys of a file stay the same when lines are added, and a line that is changed
// becomes another message.
func (l *lineReader) makeKey(line *sendLine, given any) {
	if line.input == nil || line.input["idempotencyKey"] != nil {
		return
	}
	text, err := json.Marshal(given) // members are sorted
	if err != nil {
		line.problem = err
		return
	}
	sum := sha256.Sum256(text)
	l.seen[sum]++
	whole := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", l.campaign, l.seen[sum], text))
	line.input["idempotencyKey"] = "send-" + base64.RawURLEncoding.EncodeToString(whole[:24])
}

// inputOf is the GraphQL input of a CSV line's cells, those that are not empty.
// The error begins with the column at fault.
func inputOf(cells map[string]string) (map[string]any, error) {
	input := make(map[string]any)
	for column, member := range map[string]string{
		"to": "to", "sender": "senderId", "key": "idempotencyKey", "priority": "priority",
		"on_ambiguous": "onAmbiguous", "reply_to": "replyTo",
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
			return input, fmt.Errorf("%s: %q is no time of RFC 3339, such as 2026-01-31T12:00:00Z", column, cells[column])
		}
		input[member] = cells[column]
	}
	var labels []any
	for _, column := range slices.Sorted(maps.Keys(cells)) {
		if name, ok := strings.CutPrefix(column, labelColumn); ok && cells[column] != "" {
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
		content, err := decodeObject(cells["content"])
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
		name, ok := strings.CutPrefix(column, paramColumn)
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
			return nil, fmt.Errorf("%s%d: is missing, but one of a higher number is given", paramColumn, place+1)
		}
		parameters = append(parameters, map[string]any{"type": "text", "text": value})
	}
	return parameters, nil
}

// countLines reads the file once to the end: what cannot be read is found before
// the first message is sent.
func countLines(path string, format sendFormat) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	l, err := newLineReader(f, format, "", nil)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	for n := 0; ; n++ {
		if _, err := l.next(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
}
