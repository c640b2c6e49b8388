// Package audit defines the events that record who read what.
package audit

import "github.com/waypost/waypost/domain"

// Types lists the event types of these streams, for the codec.
func Types() []domain.Type { return []domain.Type{domain.TypeOf[LogRead]()} }

// LogRead records that someone read the log, or personal data. The event's metadata names
// them. It contains nothing personal itself: of the request, it has only IDs of messages and
// senders.
type LogRead struct {
	// Scopes are the scopes that the read needed: AUDIT, PERSONAL.
	Scopes []string `json:"scopes"`
	// Fields are the fields of the schema that were read, the roots first.
	Fields []string `json:"fields"`
	// Messages and Senders are the requested IDs, if any.
	Messages []string `json:"messages,omitempty"`
	Senders  []string `json:"senders,omitempty"`
}

// EventType returns the name of LogRead in the log.
func (LogRead) EventType() string { return "LogRead" }
