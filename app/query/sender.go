package query

import (
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// Sender is a sender with what waits for it.
type Sender struct {
	sender.Sender

	Revision event.Revision
	Position event.Position
	Queue    QueueDepth
}

// QueueDepth is how much a sender has to send.
type QueueDepth struct {
	// Depth counts what is due and not yet accepted, of all lanes.
	Depth int64
	// Scheduled counts what waits for its sendAt.
	Scheduled int64
	// OldestDueAge is the age of the oldest that is due; nil if nothing is.
	OldestDueAge *time.Duration
	// Lanes has one entry for each priority, the most urgent first.
	Lanes []LaneDepth
}

// EmptyQueue is that of a sender for which nothing waits.
func EmptyQueue() (q QueueDepth) {
	for _, p := range message.Priorities() {
		q.Lanes = append(q.Lanes, LaneDepth{Priority: p})
	}
	return q
}

// LaneDepth is how much waits in one lane.
type LaneDepth struct {
	Priority     message.Priority
	Depth        int64
	OldestDueAge *time.Duration
}

// LaneStatus is how a sender's lane stands, as the process that owns it has told.
type LaneStatus struct {
	// EffectiveRate is how many calls a second it may make now.
	EffectiveRate float64
	// ThrottledUntil is nil unless WhatsApp has throttled it.
	ThrottledUntil *time.Time
	// NextProbeAt is when a held sender is looked at again; nil if it is not held.
	NextProbeAt *time.Time
}
