package event

import (
	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// LogOpened gives a log its identity. It is the one event of LogStream. A copy
// or a restored log gets another identity, so that positions and cursors of the
// one are not taken for those of the other.
type LogOpened struct {
	ID uuid.UUID `json:"id"`
}

// EventType is the name under which LogOpened stands in the log.
func (LogOpened) EventType() string { return "LogOpened" }

// Types lists the event types of the log itself, for the codec.
func Types() []domain.Type {
	return []domain.Type{domain.TypeOf[LogOpened](), domain.TypeOf[PersonalErased]()}
}
