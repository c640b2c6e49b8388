package send

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	textunicode "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// StandardInput is how the command line and messages name standard input.
const (
	StandardInput     = "-"
	standardInputName = "standard input"
)

// byteOrderMark begins UTF-8 that a spreadsheet wrote, or shall read.
const byteOrderMark = "\ufeff"

// peekedText is how much of a file is looked at to recognize its form, in bytes.
const peekedText = 64 << 10

// Source is what messages are read from. It is read twice: what cannot be
// read is found before the first message is queued.
type Source struct {
	name     string
	file     *os.File
	encoding encoding.Encoding // nil: recognize it
	// foreign is set by open if the text is not UTF-8, or begins with a byte order mark.
	foreign bool
}

// OpenSource opens a file. Standard input is copied to a temporary file that has
// no name, where the system allows that.
func OpenSource(path string, stdin io.Reader, encodingName string) (*Source, error) {
	s := &Source{name: path}
	var err error
	if encodingName != "" {
		if s.encoding, err = EncodingByName(encodingName); err != nil {
			return nil, err
		}
	}
	if path != StandardInput {
		s.file, err = os.Open(path)
		return s, err
	}
	s.name = standardInputName
	if s.file, err = os.CreateTemp("", "waypost-send-*"); err != nil {
		return nil, err
	}
	_ = os.Remove(s.file.Name()) // where an open file cannot be removed, close does
	if _, err = io.Copy(s.file, stdin); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.name, err), s.Close())
	}
	return s, nil
}

// Close closes the source and removes its temporary file, if it has one.
func (s *Source) Close() error {
	if s.name == standardInputName {
		defer func() { _ = os.Remove(s.file.Name()) }()
	}
	return s.file.Close()
}

// EncodingByName returns the encoding of a name as browsers or IANA know it, nil
// for UTF-8.
func EncodingByName(name string) (encoding.Encoding, error) {
	found, err := htmlindex.Get(name)
	if err != nil {
		found, err = ianaindex.IANA.Encoding(name)
	}
	switch {
	case err != nil || found == nil || found == encoding.Replacement:
		return nil, fmt.Errorf("--encoding: unknown encoding %q; use a name such as windows-1252, iso-8859-15, utf-16, or IBM850", name)
	case found == textunicode.UTF8:
		return nil, nil //nolint:nilnil // UTF-8 is not decoded, but checked
	}
	return found, nil
}

// text returns the source from its beginning as UTF-8, without a byte order mark
// and with "\n" or "\r\n" at the ends of its lines. Its Read fails at the first
// byte of a source in UTF-8 that is not; what another encoding does not know
// becomes U+FFFD.
func (s *Source) text() (*bufio.Reader, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	raw := bufio.NewReaderSize(s.file, peekedText)
	first, _ := raw.Peek(4) // a read error comes again
	decode, mark := recognized(first)
	if mark == 0 && s.encoding != nil { // a mark is stronger, as in browsers
		decode = s.encoding
	}
	s.foreign = decode != nil || mark > 0
	if _, err := raw.Discard(mark); err != nil {
		return nil, err
	}
	var in io.Reader = &utf8Reader{in: transform.NewReader(raw, encoding.UTF8Validator), source: s.file, at: int64(mark)}
	if decode != nil {
		in = transform.NewReader(raw, decode.NewDecoder())
	}
	text := bufio.NewReaderSize(in, peekedText)
	head, _ := text.Peek(peekedText)
	if i := bytes.IndexAny(head, "\r\n"); i >= 0 && i+1 < len(head) && head[i] == '\r' && head[i+1] != '\n' {
		text = bufio.NewReaderSize(&oldMacReader{text}, peekedText)
	}
	return text, nil
}

// recognized returns the encoding that the first bytes of a text show, nil for
// UTF-8, and how many of them are its byte order mark. UTF-16 without a mark
// is recognized by the zeros next to its first two characters.
func recognized(b []byte) (decode encoding.Encoding, mark int) {
	little := textunicode.UTF16(textunicode.LittleEndian, textunicode.IgnoreBOM)
	big := textunicode.UTF16(textunicode.BigEndian, textunicode.IgnoreBOM)
	switch {
	case bytes.HasPrefix(b, []byte(byteOrderMark)):
		return nil, len(byteOrderMark)
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return little, 2
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return big, 2
	case len(b) < 4:
		return nil, 0
	case b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		return little, 0
	case b[0] == 0 && b[1] != 0 && b[2] == 0 && b[3] != 0:
		return big, 0
	}
	return nil, 0
}

// utf8Reader passes UTF-8 on and says where it ends to be UTF-8.
type utf8Reader struct {
	in     io.Reader // valid UTF-8, then encoding.ErrInvalidUTF8
	source io.ReaderAt
	at     int64 // in source
	breaks lineBreaks
}

func (r *utf8Reader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.at += int64(n)
	r.breaks.add(p[:n])
	if !errors.Is(err, encoding.ErrInvalidUTF8) {
		return n, err
	}
	wrong := make([]byte, 1)
	if _, err := r.source.ReadAt(wrong, r.at); err != nil {
		return n, err
	}
	return n, fmt.Errorf("line %d: the byte 0x%02X is not UTF-8; give the encoding of the file, for example --encoding windows-1252 if it comes from Excel on Windows",
		r.breaks.line(), wrong[0])
}

// lineBreaks counts the lines of a text that ends them by "\n", "\r\n", or "\r".
type lineBreaks struct{ feeds, returns int }

func (l *lineBreaks) add(text []byte) {
	l.feeds += bytes.Count(text, []byte("\n"))
	l.returns += bytes.Count(text, []byte("\r"))
}

func (l *lineBreaks) line() int {
	if l.feeds == 0 {
		return l.returns + 1
	}
	return l.feeds + 1
}

// oldMacReader gives lines that end with "\r" a "\n" instead.
type oldMacReader struct{ in io.Reader }

func (r *oldMacReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// CheckCharacters finds what a conversion left of a character that it could not read.
func CheckCharacters(s string) error {
	for i, r := range s {
		if r == utf8.RuneError {
			return fmt.Errorf("has U+FFFD at position %d, which replaces a character that was lost when the text was converted; correct it, or give the right --encoding",
				utf8.RuneCountInString(s[:i])+1)
		}
	}
	return nil
}

// lostCharacterIn is lostCharacter for all strings of a JSON value. The error
// begins with the path of the string.
func lostCharacterIn(value any) error {
	switch v := value.(type) {
	case string:
		return CheckCharacters(v)
	case []any:
		for i, item := range v {
			if err := lostCharacterIn(item); err != nil {
				return fmt.Errorf("%d.%w", i, err)
			}
		}
	case map[string]any:
		for name, member := range v {
			if err := errors.Join(CheckCharacters(name), lostCharacterIn(member)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// invisibleCharacter finds a character that cannot be seen and that makes another
// word of the one it is in.
func invisibleCharacter(s string) error {
	for i, r := range s {
		if r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			continue
		}
		return fmt.Errorf("has the invisible character %U at position %d; remove it", r, utf8.RuneCountInString(s[:i])+1)
	}
	return nil
}

// trimmed is a cell without the spaces around it.
func trimmed(cell string) string { return strings.Trim(cell, " \t\r\n") }
