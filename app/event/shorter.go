package event

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// A consumer that keeps its position in the log relies on the log never getting shorter. If
// a log was rolled back, for example by restoring only the event store from a backup, the
// consumer would receive nothing until the log has grown past that position. It would then
// skip everything in between. Positions beyond the end are therefore an error, and stay
// one.

// ShorterLogRemedy is how to fix a log that is shorter than it was.
const ShorterLogRemedy = "restore the missing part of the log and start again, or accept the loss with waypost rebuild --accept-shorter-log"

// ShorterError reports that the log ends before a position that a consumer of it had reached.
type ShorterError struct {
	// Consumer is the consumer that had reached Position.
	Consumer string
	Position Position
	// End is the position of the last remaining event when the error was noticed.
	End Position
}

func (e *ShorterError) Error() string {
	return fmt.Sprintf("the event log is shorter than it was: %s reached position %d, but the log ends at position %d; %s",
		e.Consumer, e.Position, e.End, ShorterLogRemedy)
}

// PositionBeyondEnd records that a consumer of the log was at a position beyond its last
// event. The event's own position decides what that means: if it is below the consumer's,
// the log is shorter than it was. A consumer can also be ahead of the last event by the
// length of a record, because EventStoreDB sends such positions to subscriptions.
type PositionBeyondEnd struct {
	// LogID is the log's identity at that time. The record doesn't apply to a log that was
	// given another identity since.
	LogID    uuid.UUID `json:"logId"`
	Consumer string    `json:"consumer"`
	Position Position  `json:"position"`
	// End is the position of the log's last event at that time.
	End Position `json:"end"`
}

// EventType returns the name of PositionBeyondEnd in the event log.
func (PositionBeyondEnd) EventType() string { return "PositionBeyondEnd" }

// LogShortened records that an operator accepted the loss of events, and what was lost, as
// far as that is known. It gives the log another identity, so that positions and cursors
// from before are no longer valid.
type LogShortened struct {
	// LogID is the identity that the log had until then.
	LogID uuid.UUID `json:"logId"`
	// End is the position of the last remaining event, and LastEventAt is when it was
	// recorded.
	End         Position  `json:"end"`
	LastEventAt time.Time `json:"lastEventAt,omitzero"`
	// Consumers are the consumers whose position was changed.
	Consumers []ShortenedConsumer `json:"consumers"`
	// MissingBytes is the length of the events that the embedded event store had
	// acknowledged and lost. It is 0 if the store noticed no loss.
	MissingBytes uint64 `json:"missingBytes,omitempty"`
	// MessagesLost is the number of messages that the read models knew and the log no
	// longer has. MessagesRolledBack is the number of messages that lost a part of their
	// history.
	MessagesLost       int64 `json:"messagesLost"`
	MessagesRolledBack int64 `json:"messagesRolledBack"`
}

// ShortenedConsumer is a consumer of a log that became shorter.
type ShortenedConsumer struct {
	Name string `json:"name"`
	// Position is what the consumer had reached, and NewPosition is where it continues.
	Position    Position `json:"position"`
	NewPosition Position `json:"newPosition"`
	// RecordedAt is when the last event that the consumer had received was recorded, if the
	// consumer keeps that.
	RecordedAt time.Time `json:"recordedAt,omitzero"`
}

// EventType returns the name of LogShortened in the event log.
func (LogShortened) EventType() string { return "LogShortened" }
