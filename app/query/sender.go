package query

import (
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// Sender is a sender with its queue.
type Sender struct {
	sender.Sender

	Revision event.Revision
	Position event.Position
	Queue    QueueDepth
}

// QueueDepth is the size of a sender's queue.
type QueueDepth struct {
	// Depth is the number of messages in all lanes that are due and not yet accepted.
	Depth int64
	// Scheduled is the number of messages that wait for their sendAt.
	Scheduled int64
	// OldestDueAge is the age of the oldest due message, or nil if none is due.
	OldestDueAge *time.Duration
	// Lanes has one entry for each priority, most urgent first.
	Lanes []LaneDepth
}

// EmptyQueue returns the queue depth of a sender without waiting messages.
func EmptyQueue() (q QueueDepth) {
	for _, p := range message.Priorities() {
		q.Lanes = append(q.Lanes, LaneDepth{Priority: p})
	}
	return q
}

// LaneDepth is the number of messages in one lane.
type LaneDepth struct {
	Priority     message.Priority
	Depth        int64
	OldestDueAge *time.Duration
}

// LaneStatus is the status of a sender's lane, as published by the process that owns it.
type LaneStatus struct {
	// EffectiveRate is the current maximum number of calls per second.
	EffectiveRate float64
	// ThrottledUntil is nil unless WhatsApp throttles the sender.
	ThrottledUntil *time.Time
	// NextProbeAt is when a held sender is probed again. It is nil if the sender is not
	// held.
	NextProbeAt *time.Time
	// Breaker is nil unless the lane has stopped because WhatsApp does not respond.
	Breaker *Breaker
}

// MessagingLimit is the state of the messaging limit of a sender's portfolio.
type MessagingLimit struct {
	// Portfolio is the ID of the portfolio.
	Portfolio string
	// People is the limit, and Used the number of people who count toward it.
	People, Used int
	// ResetsAt is when the next of them no longer counts; nil if there are none.
	ResetsAt *time.Time
	// RefusedUntil is set while no further people are messaged because WhatsApp refused a template
	// near the limit, with RefusedCode.
	RefusedUntil *time.Time
	RefusedCode  *int
}

// Breaker is an open circuit breaker: the lane makes no calls but a probe at a time.
type Breaker struct {
	// Since is when it opened.
	Since time.Time
	// Failures is the number of calls in a row without a response, and LastFailure how the
	// last of them ended.
	Failures    int
	LastFailure string
	// NextProbeAt is the earliest time of the next probe.
	NextProbeAt time.Time
}
