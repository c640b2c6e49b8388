package event

import (
	"encoding/json"
	"strconv"
	"time"
)

// encodeMeta returns m as json.Marshal does. Each event has metadata, and almost all of it needs
// no escapes, so it is written directly, in one allocation instead of six.
func encodeMeta(m *Meta) ([]byte, error) {
	if !isPlainTime(m.RecordedAt) || !isPlainTime(m.OccurredAt) ||
		!isPlain(m.Sender) || !isPlain(m.CorrelationID) || !isPlain(m.CausationID) ||
		!isPlain(string(m.By.Kind)) || !isPlain(m.By.ID) || !isPlain(m.OnBehalfOf) || !isPlain(m.Traceparent) {
		return json.Marshal(m) //nolint:wrapcheck // the caller adds the type
	}
	b := append(make([]byte, 0, 512), `{"v":`...)
	b = strconv.AppendInt(b, int64(m.V), 10)
	b = appendTime(b, `,"recordedAt":"`, m.RecordedAt)
	if !m.OccurredAt.IsZero() {
		b = appendTime(b, `,"occurredAt":"`, m.OccurredAt)
	}
	b = appendText(b, `,"sender":"`, m.Sender)
	b = appendText(b, `,"$correlationId":"`, m.CorrelationID)
	b = appendText(b, `,"$causationId":"`, m.CausationID)
	b = append(append(b, `,"by":{"kind":"`...), m.By.Kind...)
	b = append(append(append(b, `","id":"`...), m.By.ID...), `"}`...)
	b = appendText(b, `,"onBehalfOf":"`, m.OnBehalfOf)
	b = appendText(b, `,"traceparent":"`, m.Traceparent)
	return append(b, '}'), nil
}

func appendTime(b []byte, member string, t time.Time) []byte {
	return append(t.AppendFormat(append(b, member...), time.RFC3339Nano), '"')
}

// appendText appends a member, unless it is empty.
func appendText(b []byte, member, s string) []byte {
	if s == "" {
		return b
	}
	return append(append(append(b, member...), s...), '"')
}

// isPlainTime reports whether json.Marshal formats a time as time.RFC3339Nano.
func isPlainTime(t time.Time) bool {
	return t.Location() == time.UTC && t.Year() >= 0 && t.Year() <= 9999
}

// isPlain reports whether json.Marshal writes a text without escapes.
func isPlain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}
