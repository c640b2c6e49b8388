package domain_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
)

func TestTextIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want string // empty: accepted
	}{
		{"a line", domain.CheckLine("f", "Grüße 👋\u200d", 1, 10), ""},
		{"lines", domain.CheckLines("f", "a\n\tb\r\n", 1, 10), ""},
		{"U+FFFD itself", domain.CheckLine("f", "\ufffd", 1, 10), ""},
		{"a line break in a line", domain.CheckLine("f", "ü\nb", 1, 10), "has the control character U+000A at character 2"},
		{"U+0000", domain.CheckLines("f", "ab\x00", 1, 10), "has the control character U+0000 at character 3"},
		{"a C1 control character", domain.CheckLines("f", "\u0085", 1, 10), "U+0085 at character 1"},
		{"DEL", domain.CheckLines("f", "\x7f", 1, 10), "U+007F at character 1"},
		{"Windows-1252", domain.CheckLines("f", "Gr\xfc\xdfe", 1, 10), "is not valid UTF-8 at byte 3"},
		{"none", domain.CheckLine("f", "", 1, 10), "is empty, 1 to 10 characters are needed"},
		{"too many", domain.CheckLine("f", "ääää", 1, 3), "has 4 characters, 1 to 3 are allowed"},
		{"a long reason", domain.CheckReason("f", strings.Repeat("x", 900_000)), "has 900000 characters, 0 to 1024 are allowed"},
		{"JSON", domain.CheckJSON("f", json.RawMessage(`{"a":["\n\ud83d\ude00","\u00e9\u003c"]}`), 100), ""},
		{"U+0000 in JSON", domain.CheckJSON("f", json.RawMessage(`{"a":["","\u0000"]}`), 100), "f.a.1: has the control character U+0000"},
		{"U+0000 in a name in JSON", domain.CheckJSON("f", json.RawMessage(`{"\u0000":1}`), 100), "f: has the control character U+0000"},
		{"raw DEL in JSON", domain.CheckJSON("f", json.RawMessage("{\"a\":\"\x7f\"}"), 100), "f.a: has the control character U+007F"},
		{"raw C1 in JSON", domain.CheckJSON("f", json.RawMessage("\"\u0085\""), 100), "f: has the control character U+0085"},
		{"an escaped backspace in JSON", domain.CheckJSON("f", json.RawMessage(`"\b"`), 100), "f: has the control character U+0008"},
		{"a backslash in JSON", domain.CheckJSON("f", json.RawMessage(`"\\u0000"`), 100), ""},
		{"half a character in JSON", domain.CheckJSON("f", json.RawMessage(`"\ud83dx"`), 100), `f: has the escape \ud83d at byte 2`},
		{"large JSON", domain.CheckJSON("f", json.RawMessage(`"aaaa"`), 5), "f: has 6 bytes as JSON, at most 5 are allowed"},
	} {
		switch {
		case c.want == "" && c.err != nil:
			t.Errorf("%s: %v", c.name, c.err)
		case c.want != "" && (domain.CodeOf(c.err) != domain.CodeInvalidInput || !strings.Contains(c.err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, c.err, c.want)
		}
	}
}

// What is cleaned is accepted, and what is accepted is not changed by cleaning.
func FuzzCleanedTextIsAccepted(f *testing.F) {
	for _, s := range []string{"", "x\x00", "Gr\xfc\xdfe", "\x80\x80\x80\x80\x80\x80", "a\n\tb", "👋👋", "\u0085", strings.Repeat("ü", 40)} {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = max(0, min(most, 1<<16))
		for _, kind := range []struct {
			clean func(string, int) string
			check func(string, string, int, int) error
		}{{domain.CleanLine, domain.CheckLine}, {domain.CleanLines, domain.CheckLines}} {
			cleaned := kind.clean(s, most)
			if err := kind.check("f", cleaned, 0, len(cleaned)); err != nil {
				t.Fatalf("%q cleaned is %q: %v", s, cleaned, err)
			}
			if again := kind.clean(cleaned, len(cleaned)); again != cleaned {
				t.Fatalf("%q cleaned again is %q", cleaned, again)
			}
			if len(s) <= most && kind.check("f", s, 0, len(s)) == nil && cleaned != s {
				t.Fatalf("%q is accepted, and cleaned is %q", s, cleaned)
			}
		}
	})
}

// CheckJSON refuses what a walk over the decoded value finds, and nothing else.
func TestCheckJSONFindsEveryControlCharacter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune{0, 7, 8, 9, 10, 12, 13, 0x7f, 0x85, '\\', 'u', '0', 'b', '<'})))
		value := map[string]any{text.Draw(t, "name"): []any{text.Draw(t, "text"), 1, nil}}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		refused := strings.ContainsFunc(flat(value), func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) })
		if got := domain.CheckJSON("f", raw, len(raw)) != nil; got != refused {
			t.Fatalf("%s is refused: %v, want %v", raw, got, refused)
		}
	})
}

// flat joins the texts of a value.
func flat(value map[string]any) string {
	var all strings.Builder
	for name, list := range value {
		all.WriteString(name)
		if l, ok := list.([]any); ok {
			s, _ := l[0].(string)
			all.WriteString(s)
		}
	}
	return all.String()
}

// The encoding is valid exactly if a decoder replaces nothing.
func FuzzCheckEncoding(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d"`, `"\ud83d\ude00"`, `"\ude00"`, `"\\ud83d"`, `"\ud83d\ud83d\ude00"`, "\"Gr\xfc\"", `"\u00e9"`, `"\ufffd"`, `"\uD8`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := domain.CheckEncoding(raw)
		var decoded string
		if json.Unmarshal(raw, &decoded) != nil {
			return // not a JSON string
		}
		// A decoder keeps U+FFFD where it was written.
		written := strings.Count(string(raw), "\ufffd") + strings.Count(strings.ToLower(strings.ReplaceAll(string(raw), `\\`, "")), `\ufffd`)
		replaced := strings.Count(decoded, string(utf8.RuneError)) != written
		if utf8.Valid(raw) && (err != nil) != replaced {
			t.Fatalf("%q decodes to %q, and its encoding gives %v", raw, decoded, err)
		}
		if !utf8.Valid(raw) && err == nil {
			t.Fatalf("%q is not UTF-8", raw)
		}
	})
}
