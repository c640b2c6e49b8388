package whatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/domain"
)

const (
	// maxLine limits an ID or a name, in bytes. A wamid has about 60.
	maxLine = 1 << 10
	// maxProse limits a human-readable text, in bytes.
	maxProse = 4 << 10
)

// text is a string that WhatsApp also sends as a number, such as an ID or a name. It is cleaned, because it becomes
// part of an event and cannot be rejected.
type text string

// UnmarshalJSON decodes a string or a number. Any other value results in an empty text.
func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) > 1 && data[0] == '"':
		if plain := data[1 : len(data)-1]; len(plain) <= maxLine && isPlain(plain) {
			*t = text(plain)
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(domain.CleanLine(s, maxLine))
	case len(data) > 0 && (data[0] == '-' || data[0] >= '0' && data[0] <= '9'):
		*t = text(data[:min(len(data), maxLine)])
	default:
		*t = ""
	}
	return nil
}

// isPlain reports whether the inside of a JSON string is the string itself, as it is for IDs.
func isPlain(inside []byte) bool {
	for _, c := range inside {
		if c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// line cleans an ID or a name that is decoded as a plain string.
func line(s string) string { return domain.CleanLine(s, maxLine) }

// prose cleans a human-readable text, which can have several lines.
func prose(s string) string { return domain.CleanLines(s, maxProse) }

// number is an integer that can be encoded as a string or be missing.
type number struct {
	value int
	known bool // separate from the value, because 0 is an error code
}

// UnmarshalJSON decodes a number or a string that contains one. Any other value results in no number.
func (n *number) UnmarshalJSON(data []byte) error {
	value, err := strconv.Atoi(string(bytes.Trim(data, `"`)))
	*n = number{value, err == nil}
	return nil
}

// pointer returns the value, or nil if there is none.
func (n number) pointer() *int {
	if !n.known {
		return nil
	}
	return &n.value
}

// instant is a Unix time in seconds or milliseconds, as a string or a number.
type instant struct{ time.Time }

const (
	// firstMillis separates milliseconds from seconds: it is the year 33658 in seconds, 2001 in milliseconds.
	firstMillis = 1_000_000_000_000
	// lastMillis is the latest valid time: the year 9999.
	lastMillis = 253_402_300_799_999
)

// UnmarshalJSON decodes any value. A value that is not a time results in the zero time.
func (i *instant) UnmarshalJSON(data []byte) error {
	whole, _, _ := strings.Cut(string(bytes.Trim(data, `"`)), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case err != nil || n <= 0 || n > lastMillis:
		i.Time = time.Time{}
	case n >= firstMillis:
		i.Time = time.UnixMilli(n).UTC()
	default:
		i.Time = time.Unix(n, 0).UTC()
	}
	return nil
}

// maxObject limits an object that becomes part of an event, in bytes. The largest known one has about 150.
const maxObject = 4 << 10

// object is a JSON object that is kept as received, unknown members included. Its problems are not errors of decoding,
// because the members after it would then be missing.
type object struct {
	raw      json.RawMessage // nil if there is none that can be kept
	unusable string
}

// UnmarshalJSON keeps an object of up to maxObject bytes.
func (o *object) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*o = object{}
	case data[0] != '{':
		*o = object{unusable: "is not an object"}
	case len(data) > maxObject:
		*o = object{unusable: "has " + strconv.Itoa(len(data)) + " bytes, more than " + strconv.Itoa(maxObject)}
	default:
		*o = object{raw: bytes.Clone(data)}
	}
	return nil
}

// problem returns why the object, a member of that name, could not be kept, or nil.
func (o *object) problem(name string) error {
	if o.unusable == "" {
		return nil
	}
	return errors.New(name + " " + o.unusable)
}

// member is a member of a JSON object: its quoted name and its value, as received.
type member struct{ name, value []byte }

// restOf returns the members of an object, in their order, except the known ones. The object must be valid JSON. Any other
// value has no members.
func restOf(object json.RawMessage, known ...[]string) []member {
	at := skipSpace(object, 0)
	if at == len(object) || object[at] != '{' {
		return nil
	}
	var rest []member
	for at = skipSpace(object, at+1); object[at] != '}'; {
		end := skipValue(object, at)
		name := object[at:end]
		at = skipSpace(object, skipSpace(object, end)+1) // after the colon
		end = skipValue(object, at)
		isName := func(names []string) bool { return slices.Contains(names, string(name[1:len(name)-1])) }
		if !slices.ContainsFunc(known, isName) {
			rest = append(rest, member{name, object[at:end]})
		}
		if at = skipSpace(object, end); object[at] == ',' {
			at = skipSpace(object, at+1)
		}
	}
	return rest
}

// objectOf returns an object with these members.
func objectOf(members []member) json.RawMessage {
	object := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			object = append(object, ',')
		}
		object = append(append(append(object, m.name...), ':'), m.value...)
	}
	return append(object, '}')
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the value that begins at i.
func skipValue(data []byte, i int) int {
	for depth := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // the end of the object after a number, true, false, or null
				return i
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
