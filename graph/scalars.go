package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/sosodev/duration"
)

// MarshalTime writes an instant in RFC 3339, in UTC.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(t.UTC().Format(time.RFC3339Nano)))
	})
}

// UnmarshalTime reads an instant in RFC 3339, of any offset.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errors.New("must be a string in RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no instant in RFC 3339, such as 2026-01-31T12:00:00Z", s)
	}
	return t.UTC(), nil
}

// MarshalDuration writes a length of time in ISO 8601, to the microsecond.
func MarshalDuration(d time.Duration) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(formatDuration(d)))
	})
}

// formatDuration counts in days at most, as UnmarshalDuration reads, and in whole
// numbers: a float would show its rounding.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Microsecond)
	if d == 0 {
		return "PT0S"
	}
	var s strings.Builder
	if d < 0 {
		s.WriteByte('-')
		d = -d
	}
	s.WriteByte('P')
	if d >= day {
		fmt.Fprintf(&s, "%dD", d/day)
	}
	if d %= day; d > 0 {
		s.WriteByte('T')
	}
	if d >= time.Hour {
		fmt.Fprintf(&s, "%dH", d/time.Hour)
	}
	if d %= time.Hour; d >= time.Minute {
		fmt.Fprintf(&s, "%dM", d/time.Minute)
	}
	if d %= time.Minute; d > 0 {
		digits := fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
		s.WriteString(strings.TrimRight(strings.TrimRight(digits, "0"), ".") + "S")
	}
	return s.String()
}

// UnmarshalDuration reads a length of time in ISO 8601. Years and months have no
// fixed length and are refused.
func UnmarshalDuration(v any) (time.Duration, error) {
	s, ok := v.(string)
	if !ok {
		return 0, errors.New("must be a string in ISO 8601, such as PT5M")
	}
	d, err := duration.Parse(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no length of time in ISO 8601, such as PT5M", s)
	}
	if d.Years != 0 || d.Months != 0 {
		return 0, fmt.Errorf("%q counts in years or months, whose length varies; use days", s)
	}
	return d.ToTimeDuration(), nil
}

// MarshalInt64 writes a whole number of 64 bits.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 reads a whole number of 64 bits.
func UnmarshalInt64(v any) (int64, error) { return graphql.UnmarshalInt64(v) }

// MarshalJSON writes a JSON value as it is.
func MarshalJSON(raw json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		if len(raw) == 0 {
			raw = json.RawMessage("null")
		}
		_, _ = w.Write(raw)
	})
}

// UnmarshalJSON reads any JSON value.
func UnmarshalJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }
