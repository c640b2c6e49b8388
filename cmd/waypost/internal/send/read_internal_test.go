package send

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// rowsOf reads all of a CSV text.
func rowsOf(text []byte, known func(string) bool) (rows [][]string, lines []int, err error) {
	r, err := newCSVReader(bufio.NewReaderSize(bytes.NewReader(text), peekedText), known)
	if err != nil {
		return nil, nil, err
	}
	for {
		cells, line, err := r.read()
		if errors.Is(err, io.EOF) {
			return rows, lines, nil
		}
		if err != nil {
			return rows, lines, err
		}
		rows, lines = append(rows, cells), append(lines, line)
	}
}

// What encoding/csv reads is read in the same way, line numbers included.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"to,text\n+1,x\n", "a,\"b\nc\",d\r\n\r\n\"e\"\"f\",", "\r\n\"\"\n,,\n", "a\rb\n", "\"a\r\nb\"\r\n", "x,\"", "\"a\"b", "a\"b", "=\"1\",2\n", "\"x\"\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte(`="`)) || separatorLine.Match(text) {
			return // of these encoding/csv knows nothing
		}
		std := csv.NewReader(bytes.NewReader(text))
		std.FieldsPerRecord = -1
		var want [][]string
		var lines []int
		for {
			row, err := std.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			line, _ := std.FieldPos(0)
			want, lines = append(want, row), append(lines, line)
		}
		got, at, err := rowsOf(text, func(string) bool { return false })
		if err != nil || !slices.EqualFunc(got, want, slices.Equal[[]string]) || !slices.Equal(at, lines) {
			t.Fatalf("%q is read as %q at %v with %v, want %q at %v", text, got, at, err, want, lines)
		}
	})
}

func TestCSVAsSpreadsheetsWriteIt(t *testing.T) {
	t.Parallel()
	want := [][]string{{"to", "text"}, {"+4915123456789", "Hi, you"}}
	for name, text := range map[string]string{
		"commas":            "to,text\n+4915123456789,\"Hi, you\"\n",
		"semicolons":        "to;text\r\n+4915123456789;Hi, you\r\n",
		"tabs":              "to\ttext\n+4915123456789\tHi, you",
		"pipes":             "to|text\n+4915123456789|Hi, you\n",
		"sep":               "sep=;\r\nto;text\r\n+4915123456789;Hi, you\r\n",
		"SEP, quoted":       "\"SEP=\t\"\nto\ttext\n+4915123456789\tHi, you\n",
		"formula":           "to,text\n=\"+4915123456789\",\"Hi, you\"\n",
		"formula of quotes": "to,text\n\"=\"\"+4915123456789\"\"\",\"=\"\"Hi, you\"\"\"\n",
		"formula of commas": "to,text\n+4915123456789,=\"Hi, you\"\n",
	} {
		known := func(cell string) bool { name, err := columnName(cell); return err == nil && isColumn(name) }
		rows, _, err := rowsOf([]byte(text), known)
		for _, row := range rows {
			for i := range row {
				row[i] = plainCell(row[i])
			}
		}
		if err != nil || !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
			t.Errorf("%s: %q, %v", name, rows, err)
		}
	}
	for given, column := range map[string]string{
		" TO ": "to", "Send At": "send_at", "sendAt": "send_at", "deliverWithin": "deliver_within", "reply-to": "reply_to", "Param. 1": "param.1", "LABEL.Spring sale": "label.spring sale", "": "",
	} {
		if name, err := columnName(given); name != column || err != nil {
			t.Errorf("the column %q is %q, %v, want %q", given, name, err, column)
		}
	}
}

func TestTextOfAFileIsReadInItsEncoding(t *testing.T) {
	t.Parallel()
	const text = "to,text\n+1,Grüße €\n"
	in := func(e transform.Transformer) string {
		out, _, err := transform.String(e, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	latin := in(charmap.Windows1252.NewEncoder())
	for name, c := range map[string]struct{ file, encoding, want string }{
		"UTF-8":                      {file: text},
		"with a mark":                {file: byteOrderMark + text},
		"mark beats the flag":        {file: byteOrderMark + text, encoding: "windows-1252"},
		"UTF-16 LE":                  {file: in(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder())},
		"UTF-16 BE":                  {file: in(unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder())},
		"UTF-16 LE without a mark":   {file: in(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder())},
		"UTF-16 BE without a mark":   {file: in(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder())},
		"UTF-16 in spite of a flag":  {file: in(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()), encoding: "utf-8"},
		"Windows-1252":               {file: latin, encoding: "windows-1252"},
		"Windows-1252, by its alias": {file: latin, encoding: "CP1252"},
		"Macintosh":                  {file: strings.ReplaceAll(in(charmap.Macintosh.NewEncoder()), "\n", "\r"), encoding: "macintosh"},
		"returns":                    {file: strings.ReplaceAll(text, "\n", "\r")},
		"Windows-1252 as UTF-8":      {file: latin, want: "line 2: the byte 0xFC is not UTF-8"},
		"returns, Windows-1252":      {file: strings.ReplaceAll(latin, "\n", "\r"), want: "line 2: the byte 0xFC"},
		"late":                       {file: strings.Repeat("+1,x\n", 50_000) + latin, want: "line 50002: the byte 0xFC"},
		"cut":                        {file: text[:len(text)-3], want: "line 2: the byte 0xE2"},
		"UTF-32":                     {file: in(utf32.UTF32(utf32.LittleEndian, utf32.UseBOM).NewEncoder()), want: "NUL"},
	} {
		path := filepath.Join(t.TempDir(), "a.csv")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		source, err := OpenSource(path, nil, c.encoding)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 { // it is read twice
			in, err := source.text()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(in)
			switch {
			case c.want == "NUL":
				if err == nil && !bytes.ContainsRune(got, 0) {
					t.Errorf("%s: %q", name, got)
				}
			case c.want != "":
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, want %s", name, err, c.want)
				}
			case err != nil || string(got) != text:
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A line's key is that of its values and of how often they came before, whatever
// lines come after or before it. The plain hash, which older versions used, is
// its former key.
func TestKeysOfLinesStayTheSame(t *testing.T) {
	t.Parallel()
	keys := func(secret, campaign string, lines ...string) (keys, former []string) {
		t.Helper()
		in := bufio.NewReader(strings.NewReader("to;text\n" + strings.Join(lines, "\n")))
		l, err := newLineReader(in, FormatCSV, newLineKeys(campaign, []byte(secret)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range lines {
			line, err := l.next()
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, line.input["idempotencyKey"].(string))
			former = append(former, line.input["formerKeys"].([]any)[0].(string))
		}
		return keys, former
	}
	first, former := keys("s", "c", "+1;a", "+2;a", "+1;a")
	if slices.Contains(first[:2], first[2]) || first[0] == first[1] {
		t.Errorf("keys repeat: %v", first)
	}
	if again, _ := keys("s", "c", "+3;a", "+2;a", "+1;a", "+1;a", "+1;b"); again[1] != first[1] || again[2] != first[0] || again[3] != first[2] {
		t.Errorf("keys change: %v, then %v", first, again)
	}
	if other, _ := keys("s", "d", "+1;a"); other[0] == first[0] {
		t.Error("campaigns share a key")
	}
	if other, same := keys("another installation", "c", "+1;a"); other[0] == first[0] || same[0] != former[0] {
		t.Error("a key does not depend on the installation alone")
	}
	if want := []string{"send-aXy86bosX08Zd2hts72C2C9nemANa2R7", "send-fUF_92RolehQ6woJ31vwJ1OxIU4NE4MV"}; !slices.Equal(former[:2], want) {
		t.Errorf("former keys are %v, want those of older versions, %v", former[:2], want)
	}
}
