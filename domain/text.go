package domain

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text that people and programs type has one of two kinds. A line, such as a name, a key, or
// a URL, has no control characters. Lines, such as a message body or a reason, can also
// contain "\n", "\r", and "\t". Lengths are counted in Unicode code points.
//
// Refusing control characters at the edge matters: a text becomes part of an event, and
// events never change. U+0000 in particular can be stored neither in a text nor in a jsonb
// column of Postgres.

// MaxReason is the maximum length of a reason or a note, in characters: it is part of every
// event that it explains.
const MaxReason = 1024

// CheckLine checks that s is a line of least to most characters.
func CheckLine(field, s string, least, most int) error {
	return checkText(field, s, least, most, unicode.IsControl)
}

// CheckLines checks that s consists of lines with least to most characters in total.
func CheckLines(field, s string, least, most int) error {
	return checkText(field, s, least, most, controlInLines)
}

// CheckReason checks that s is a reason that can be missing.
func CheckReason(field, s string) error { return CheckLines(field, s, 0, MaxReason) }

func controlInLines(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }

func checkText(field, s string, least, most int, refused func(rune) bool) error {
	n := 0
	for i, r := range s {
		n++
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return Invalid(field, "is not valid UTF-8 at byte %d; send text as UTF-8", i+1)
		}
		if refused(r) {
			return Invalid(field, "has the control character U+%04X at character %d; remove it", r, n)
		}
	}
	switch {
	case n == 0 && least > 0:
		return Invalid(field, "is empty, %d to %d characters are needed", least, most)
	case n < least || n > most:
		return Invalid(field, "has %d characters, %d to %d are allowed", n, least, most)
	}
	return nil
}

// CheckJSON checks that the texts of a JSON value, member names included, consist of lines,
// and that it has most bytes at most. The error names the text's place below field.
func CheckJSON(field string, raw json.RawMessage, most int) error {
	if len(raw) > most {
		return Invalid(field, "has %d bytes as JSON, at most %d are allowed", len(raw), most)
	}
	if err := CheckEncoding(raw); err != nil {
		return PrefixField(field, err)
	}
	if !mayControl(raw) {
		return nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return Invalid(field, "is not valid JSON: %v", err)
	}
	return CheckValue(field, value, most)
}

// mayControl reports whether JSON may contain a control character other than a line break or
// a tab, raw or as an escape. It is quick, and true for some that do not.
func mayControl(raw []byte) bool {
	for i, c := range raw {
		switch {
		case c == 0x7f, c == 0xc2 && i+1 < len(raw) && raw[i+1] < 0xa0:
			return true
		case c == '\\' && i+1 < len(raw) && strings.IndexByte("ubf", raw[i+1]) >= 0:
			return true
		}
	}
	return false
}

// CheckValue checks the texts of a decoded JSON value as CheckJSON does. Each can have most
// characters at most.
func CheckValue(field string, value any, most int) error {
	switch v := value.(type) {
	case string:
		return CheckLines(field, v, 0, most)
	case []any:
		for i, e := range v {
			if err := CheckValue(below(field, strconv.Itoa(i)), e, most); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, e := range v {
			if err := CheckLines(field, name, 0, most); err != nil {
				return err
			}
			if err := CheckValue(below(field, name), e, most); err != nil {
				return err
			}
		}
	}
	return nil
}

func below(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// CheckEncoding checks that JSON, or text with JSON's escapes, is valid UTF-8 and that its
// escapes of surrogates come in pairs. Decoders replace what is not by U+FFFD without an
// error, and that is what recipients would read.
func CheckEncoding(raw []byte) error {
	if utf8.Valid(raw) && !bytes.Contains(raw, []byte(`\u`)) {
		return nil
	}
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\':
			n, ok := escape(raw[i:])
			if !ok {
				return Invalid("", "has the escape %s at byte %d, which is one half of a character; send both halves, or the character itself", raw[i:i+6], i+1)
			}
			i += n
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			if r == utf8.RuneError && size == 1 {
				return Invalid("", "is not valid UTF-8 at byte %d; send text as UTF-8", i+1)
			}
			i += size
		}
	}
	return nil
}

// escape returns the length of the escape that raw begins with, and false if that is one
// half of a surrogate pair.
func escape(raw []byte) (length int, ok bool) {
	const unit = len(`\u0000`)
	first, isUnit := utf16Unit(raw)
	switch {
	case !isUnit:
		return min(2, len(raw)), true
	case first < 0xd800 || first > 0xdfff:
		return unit, true
	}
	second, isUnit := utf16Unit(raw[unit:])
	return 2 * unit, isUnit && first < 0xdc00 && second >= 0xdc00 && second <= 0xdfff
}

// utf16Unit returns the number of the escape \uXXXX that raw begins with.
func utf16Unit(raw []byte) (uint64, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return n, err == nil
}

// CleanLines returns a text that comes from outside, and cannot be refused, as lines of at
// most that many bytes: U+FFFD replaces each control character and all bytes that are not
// valid UTF-8.
func CleanLines(s string, most int) string { return clean(s, most, controlInLines) }

// CleanLine returns such a text as a line.
func CleanLine(s string, most int) string { return clean(s, most, unicode.IsControl) }

func clean(s string, most int, refused func(rune) bool) string {
	if len(s) > most {
		end := max(most, 0)
		for end > most-utf8.UTFMax && end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, refused) {
		return s
	}
	const replacement = string(utf8.RuneError)
	return strings.Map(func(r rune) rune {
		if refused(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, replacement))
}
