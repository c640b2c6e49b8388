package query

import (
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/message"
)

// Ledger says where every accepted message is, at one position of the log.
type Ledger struct {
	// Position is what all figures stand at.
	Position event.Position
	// Accepted is how many Queued there are.
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
	// SentTwice are those, of them all, sent twice after a lost answer.
	SentTwice int64
	// WorkItems is how many rows the send work-list has.
	WorkItems int64
	// Balanced says that Accepted is the sum of the columns and that the work-list
	// has an item for each open or ambiguous message and for no other.
	Balanced bool
	// Compared is false if the work-list and the columns never stood at the same
	// position while they were looked at. Balanced then goes by the columns alone.
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

// Sum is how many messages the columns have together.
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
	}
}

// PastMessages are those that a ledger of the past goes by.
type PastMessages struct {
	// Counts and SentTwice are of the messages that have not changed since.
	Counts    map[message.Status]int64
	SentTwice int64
	// Others are those that may have, or that may not have been there yet.
	Others []uuid.UUID
}

// ReadModel is how far the read models have come.
type ReadModel struct {
	// Position is the one that all of them have reached.
	Position event.Position
	// Behind is the age of the oldest event that one of them lacks, 0 if none does.
	Behind time.Duration
	// Parked is how many streams are left out since an event could not be projected.
	Parked int
}

// ParkedStream is a stream that a group of projections leaves out, since an event of
// it could not be projected.
type ParkedStream struct {
	Group    string
	Stream   string
	Revision event.Revision
	Type     string
	Error    string
	At       time.Time
}

// Projected is how far a group of projections has come.
type Projected struct {
	Group    string
	Position event.Position
	// Types are the events that it wants.
	Types []string
}
