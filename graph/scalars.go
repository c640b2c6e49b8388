package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/sosodev/duration"
)

// MarshalTime encodes a time in RFC 3339, in UTC.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(t.UTC().Format(time.RFC3339Nano)))
	})
}

// UnmarshalTime parses a time in RFC 3339, with any offset.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errors.New("must be a string in RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time in RFC 3339, such as 2026-01-31T12:00:00Z", s)
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is outside the years 0001 to 9999 in UTC", s)
	}
	return t, nil
}

// MarshalDuration encodes a duration in ISO 8601, to the microsecond.
func MarshalDuration(d time.Duration) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(formatDuration(d)))
	})
}

// formatDuration uses days at most, as UnmarshalDuration does, and whole numbers,
// because a float would show its rounding.
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

// UnmarshalDuration parses a duration in ISO 8601. Years and months have no fixed
// length and are rejected.
func UnmarshalDuration(v any) (time.Duration, error) {
	s, ok := v.(string)
	if !ok {
		return 0, errors.New("must be a string in ISO 8601, such as PT5M")
	}
	d, err := duration.Parse(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration in ISO 8601, such as PT5M", s)
	}
	if d.Years != 0 || d.Months != 0 {
		return 0, fmt.Errorf("%q contains years or months, whose length varies; use days", s)
	}
	const most = 100 * 365 * 24 // in hours; the longest time.Duration is 292 years
	hours := ((d.Weeks*7+d.Days)*24 + d.Hours) + d.Minutes/60 + d.Seconds/3600
	if math.IsNaN(hours) || math.Abs(hours) > most {
		return 0, fmt.Errorf("%q is longer than a hundred years", s)
	}
	return d.ToTimeDuration(), nil
}

// MarshalInt64 encodes a 64-bit integer.
func MarshalInt64(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalInt64 parses a 64-bit integer.
func UnmarshalInt64(v any) (int64, error) { return graphql.UnmarshalInt64(v) }

// MarshalJSON writes a JSON value unchanged.
func MarshalJSON(raw json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		if len(raw) == 0 {
			raw = json.RawMessage("null")
		}
		_, _ = w.Write(raw)
	})
}

// UnmarshalJSON accepts any JSON value.
func UnmarshalJSON(v any) (json.RawMessage, error) { return json.Marshal(v) }
