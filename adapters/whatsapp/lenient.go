package whatsapp

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// text is a string that WhatsApp sends also as a number, such as an id.
type text string

// UnmarshalJSON takes a string or a number, and anything else as empty.
func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) > 1 && data[0] == '"':
		if plain := data[1 : len(data)-1]; isPlain(plain) {
			*t = text(plain)
			return nil
		}
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(s)
	case len(data) > 0 && (data[0] == '-' || data[0] >= '0' && data[0] <= '9'):
		*t = text(data)
	default:
		*t = ""
	}
	return nil
}

// isPlain tells whether the inside of a JSON string is the string itself, as it is for ids.
func isPlain(inside []byte) bool {
	for _, c := range inside {
		if c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// number is a whole number that may come as a string, or not at all.
type number struct {
	value int
	known bool // apart from the value, since 0 is an error code
}

// UnmarshalJSON takes a number or a string with one, and anything else as none.
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
	// firstMillis tells milliseconds from seconds: the year 33658 in seconds, 2001 in milliseconds.
	firstMillis = 1_000_000_000_000
	// lastMillis bounds what is a time at all: the year 9999.
	lastMillis = 253_402_300_799_999
)

// UnmarshalJSON takes any value; what is no time gives the zero time.
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
