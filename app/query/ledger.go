package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// Ledger is where every accepted message is, at one position of the log.
type Ledger struct {
	// Position is the position of all numbers.
	Position event.Position
	// Accepted is the number of Queued events.
	Accepted     int64
	Open         int64
	Ambiguous    int64
	Sent         int64
	Delivered    int64
	Read         int64
	Failed       int64
	DeadLettered int64
	Cancelled    int64
	Expired      int64
	Discarded    int64
	Suppressed   int64
	// SentTwice is the number of messages that were sent twice after a lost response, among
	// all of them.
	SentTwice int64
	// Overdue is the number of messages whose delivery is overdue, among those in Sent.
	Overdue int64
	// WorkItems is the number of rows in the work list.
	WorkItems int64
	// Balanced reports whether Accepted is the sum of the columns, and the work list has an
	// item for each open or ambiguous message and for no other.
	Balanced bool
	// Compared is false if the work list and the columns were never at the same position
	// while they were read. Balanced then depends only on the columns.
	Compared bool
	AsOf     time.Time
}

// Add adds messages to a column.
func (l *Ledger) Add(c message.Column, n int64) {
	for column, field := range l.columns() {
		if column == c {
			*field += n
		}
	}
}

// Sum returns the number of messages in all columns.
func (l *Ledger) Sum() (sum int64) {
	for _, field := range l.columns() {
		sum += *field
	}
	return sum
}

func (l *Ledger) columns() map[message.Column]*int64 {
	return map[message.Column]*int64{
		message.ColumnOpen: &l.Open, message.ColumnAmbiguous: &l.Ambiguous, message.ColumnSent: &l.Sent,
		message.ColumnDelivered: &l.Delivered, message.ColumnRead: &l.Read, message.ColumnFailed: &l.Failed,
		message.ColumnDeadLettered: &l.DeadLettered, message.ColumnCancelled: &l.Cancelled,
		message.ColumnExpired: &l.Expired, message.ColumnDiscarded: &l.Discarded,
		message.ColumnSuppressed: &l.Suppressed,
	}
}

// PastMessages are the messages that a past ledger is computed from.
type PastMessages struct {
	// Counts, SentTwice, and Overdue are about messages that have not changed since.
	Counts    map[message.Status]int64
	SentTwice int64
	Overdue   int64
	// Others are messages that can have changed since, or that can have been queued later.
	Others []uuid.UUID
}

// ReadModel is the state of the read models.
type ReadModel struct {
	// Position is the position that all of them have reached.
	Position event.Position
	// Behind is the age of the oldest event that one of them lacks, or 0 if none does.
	Behind time.Duration
	// Parked is the number of streams that are left out because an event could not be
	// projected.
	Parked int
}

// ParkedStream is a stream that a group of projections leaves out because one of its events
// could not be projected.
type ParkedStream struct {
	Group    string
	Stream   string
	Revision event.Revision
	Type     string
	Error    string
	At       time.Time
}

// Projected is the position of a group of projections.
type Projected struct {
	Group    string
	Position event.Position
	// Types are the event types that the group projects.
	Types []string
}
