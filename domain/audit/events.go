// Package audit holds the events that record who read what.
package audit

import "github.com/waypost/waypost/domain"

// Types lists the event types of these streams, for the codec.
func Types() []domain.Type { return []domain.Type{domain.TypeOf[LogRead]()} }

// LogRead records that someone read the log, or personal data. Who it was stands
// in the event's metadata. It holds nothing personal itself: of what was asked for
// only ids of messages and senders are kept.
type LogRead struct {
	// Scopes are those that the read needed: AUDIT, PERSONAL.
	Scopes []string `json:"scopes"`
	// Fields are the fields of the schema that were read, the roots first.
	Fields []string `json:"fields"`
	// Messages and Senders are the ids that were asked for, if any were.
	Messages []string `json:"messages,omitempty"`
	Senders  []string `json:"senders,omitempty"`
}

// EventType is the name under which LogRead stands in the log.
func (LogRead) EventType() string { return "LogRead" }
