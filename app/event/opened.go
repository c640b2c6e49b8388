package event

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// LogOpened gives a log its identity. It is the only event of LogStream. A copied or
// restored log gets another identity, so that positions and cursors of one log are not used
// on the other.
type LogOpened struct {
	ID uuid.UUID `json:"id"`
	// Format is the LogFormat of the version that opened the log. Versions without this
	// member wrote format 1.
	Format int `json:"format,omitempty"`
}

// LogFormat is the version of the rules by which events are read as a whole. It grows
// when an older program would misread the log: when it must not ignore a new event type,
// or when the streams of an aggregate change. New members of events, and new types that
// an older program can ignore, don't change it.
const LogFormat = 1

// NewerLogError reports that a newer version of Waypost wrote the log.
type NewerLogError struct{ Format int }

func (e *NewerLogError) Error() string {
	return fmt.Sprintf("the event log is from a newer version of Waypost: it has format %d, and this version reads format %d; "+
		"run that version or a later one, or restore a backup made before the upgrade", e.Format, LogFormat)
}

// EventType returns the name of LogOpened in the event log.
func (LogOpened) EventType() string { return "LogOpened" }

// Types returns the event types of the log itself, for the codec.
func Types() []domain.Type {
	return []domain.Type{domain.TypeOf[LogOpened](), domain.TypeOf[PersonalErased](), domain.TypeOf[PositionBeyondEnd](), domain.TypeOf[LogShortened]()}
}
