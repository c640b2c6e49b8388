package send

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// csvReader reads CSV as spreadsheets write it. It reads what encoding/csv reads,
// and cells that Excel wrote as formulas, ="+4915123456789", for which
// encoding/csv fails. Rows may have any number of cells.
type csvReader struct {
	in    *bufio.Reader
	comma byte
	line  int // of the next byte
	size  int // of the row, in bytes
}

// separatorLine matches the first line by which Excel knows the separator.
var separatorLine = regexp.MustCompile(`(?i)^"?sep=(.)"?\r?\n`)

// newCSVReader recognizes the separator: by a line sep=, or as the one with which
// the header has the most columns that known reports.
func newCSVReader(in *bufio.Reader, known func(column string) bool) (*csvReader, error) {
	r := &csvReader{in: in, comma: ',', line: 1}
	head, err := in.Peek(peekedText)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, err
	}
	if m := separatorLine.FindSubmatch(head); m != nil {
		r.comma, r.line = m[1][0], 2
		_, err := in.Discard(len(m[0]))
		return r, err
	}
	most := 0
	for _, comma := range []byte{',', ';', '\t', '|'} {
		header := &csvReader{in: bufio.NewReader(bytes.NewReader(head)), comma: comma}
		names, _, err := header.read()
		if err != nil {
			continue // the error comes again
		}
		n := 0
		for _, name := range names {
			if known(name) {
				n++
			}
		}
		if n > most {
			most, r.comma = n, comma
		}
	}
	return r, nil
}

// read returns the next row that is not an empty line, and the line on which it
// begins. It returns io.EOF after the last one.
func (r *csvReader) read() (cells []string, line int, err error) {
	for {
		line, r.size = r.line, 0
		switch b, err := r.in.Peek(1); {
		case err != nil:
			return nil, 0, err
		case b[0] == '\n':
			_, _ = r.in.Discard(1)
			r.line++
			continue
		}
		if b, err := r.in.Peek(2); err == nil && string(b) == "\r\n" {
			_, _ = r.in.Discard(2)
			r.line++
			continue
		}
		for {
			cell, last, err := r.cell()
			if err != nil {
				return nil, line, err
			}
			if cells = append(cells, cell); last {
				return cells, line, nil
			}
		}
	}
}

// cell returns the next cell and whether it is the last one of its row.
func (r *csvReader) cell() (text string, last bool, err error) {
	if b, err := r.in.Peek(2); err == nil && string(b) == `="` {
		_, _ = r.in.Discard(1)
	}
	if b, err := r.in.Peek(1); err == nil && b[0] == '"' {
		_, _ = r.in.Discard(1)
		return r.quoted()
	}
	var cell []byte
	for {
		b, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return string(bytes.TrimSuffix(cell, []byte("\r"))), true, nil
		case err != nil:
			return "", false, err
		case b == '\n':
			return string(bytes.TrimSuffix(cell, []byte("\r"))), true, nil
		case b == r.comma:
			return string(cell), false, nil
		case b == '"':
			return "", false, fmt.Errorf(`line %d: a cell has a " but does not begin with one; put the whole cell in quotes, and write "" for each quote in it`, r.line)
		}
		cell = append(cell, b)
	}
}

// quoted is cell after an opening quote.
func (r *csvReader) quoted() (text string, last bool, err error) {
	opened := r.line
	var cell []byte
	for {
		b, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return "", false, fmt.Errorf("line %d: the quote that opens a cell is not closed; close it", opened)
		case err != nil:
			return "", false, err
		case b == '\n' && bytes.HasSuffix(cell, []byte("\r")):
			cell[len(cell)-1] = '\n'
			continue
		case b != '"':
			cell = append(cell, b)
			continue
		}
		after, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return string(cell), true, nil
		case err != nil:
			return "", false, err
		case after == '"':
			cell = append(cell, '"')
			continue
		case after == r.comma:
			return string(cell), false, nil
		case after == '\n':
			return string(cell), true, nil
		case after == '\r':
			if end, err := r.next(); errors.Is(err, io.EOF) || err == nil && end == '\n' {
				return string(cell), true, nil
			}
		}
		return "", false, fmt.Errorf(`line %d: a cell continues after its closing quote; write "" for each quote in it`, r.line)
	}
}

// next returns the next byte of a row.
func (r *csvReader) next() (byte, error) {
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	if b == '\n' {
		r.line++
	}
	if r.size++; r.size > maxLine {
		return 0, fmt.Errorf("line %d: the row has more than %d bytes; is a quote not closed?", r.line, maxLine)
	}
	return b, nil
}

// formula matches a cell that Excel keeps from becoming a number.
var formula = regexp.MustCompile(`(?s)^="(.*)"$`)

// plainCell is a cell without the formula around it.
func plainCell(cell string) string {
	if m := formula.FindStringSubmatch(cell); m != nil {
		return strings.ReplaceAll(m[1], `""`, `"`)
	}
	return cell
}
