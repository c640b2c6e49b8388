package message

// Status is the status of a message. The values are those of the GraphQL schema.
type Status string

// The statuses of a message.
const (
	StatusQueued       Status = "QUEUED"
	StatusSending      Status = "SENDING"
	StatusRetrying     Status = "RETRYING"
	StatusAmbiguous    Status = "AMBIGUOUS"
	StatusSent         Status = "SENT"
	StatusDelivered    Status = "DELIVERED"
	StatusRead         Status = "READ"
	StatusFailed       Status = "FAILED"
	StatusDeadLettered Status = "DEAD_LETTERED"
	StatusCancelled    Status = "CANCELLED"
	StatusExpired      Status = "EXPIRED"
	StatusDiscarded    Status = "DISCARDED"
	StatusSuppressed   Status = "SUPPRESSED"
)

// Statuses lists every status a message can have.
func Statuses() []Status {
	return []Status{
		StatusQueued, StatusSending, StatusRetrying, StatusAmbiguous, StatusSent, StatusDelivered, StatusRead,
		StatusFailed, StatusDeadLettered, StatusCancelled, StatusExpired, StatusDiscarded, StatusSuppressed,
	}
}

// Open reports whether Waypost still has something to do for the message. Exactly then it is
// in the work list.
func (s Status) Open() bool {
	switch s {
	case StatusQueued, StatusSending, StatusRetrying, StatusAmbiguous:
		return true
	case StatusSent, StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered,
		StatusCancelled, StatusExpired, StatusDiscarded, StatusSuppressed:
	}
	return false
}

// Column is a column of the ledger.
type Column string

// The columns of the ledger, as the GraphQL schema names them.
const (
	ColumnOpen         Column = "open"
	ColumnAmbiguous    Column = "ambiguous"
	ColumnSent         Column = "sent"
	ColumnDelivered    Column = "delivered"
	ColumnRead         Column = "read"
	ColumnFailed       Column = "failed"
	ColumnDeadLettered Column = "deadLettered"
	ColumnCancelled    Column = "cancelled"
	ColumnExpired      Column = "expired"
	ColumnDiscarded    Column = "discarded"
	ColumnSuppressed   Column = "suppressed"
)

// Column returns the one column of the ledger for messages with this status, or an empty
// string if the value is not a status.
func (s Status) Column() Column {
	switch s {
	case StatusQueued, StatusSending, StatusRetrying:
		return ColumnOpen
	case StatusAmbiguous:
		return ColumnAmbiguous
	case StatusSent:
		return ColumnSent
	case StatusDelivered:
		return ColumnDelivered
	case StatusRead:
		return ColumnRead
	case StatusFailed:
		return ColumnFailed
	case StatusDeadLettered:
		return ColumnDeadLettered
	case StatusCancelled:
		return ColumnCancelled
	case StatusExpired:
		return ColumnExpired
	case StatusDiscarded:
		return ColumnDiscarded
	case StatusSuppressed:
		return ColumnSuppressed
	}
	return ""
}

// Next returns the status of a message with status s after e. It is the only place that
// determines it: the fold and the read models both use it. The zero Status is the status of
// a message without events.
func Next(s Status, e Event) Status {
	reached := s == StatusDelivered || s == StatusRead
	switch e := e.(type) {
	case Queued, Requeued, Substituted:
		return StatusQueued
	case SendAttempted:
		return StatusSending
	case Deferred:
		if e.Attempt > 0 {
			return StatusRetrying
		}
		return StatusQueued
	case RetryScheduled:
		return StatusRetrying
	case OutcomeUnknown:
		return StatusAmbiguous
	case Sent:
		if reached {
			return s
		}
		return StatusSent
	case Delivered:
		if s == StatusRead {
			return s
		}
		return StatusDelivered
	case Read:
		return StatusRead
	case Failed:
		if e.Final && !reached {
			return StatusFailed
		}
		return s
	case DeadLettered:
		if reached {
			return s
		}
		return StatusDeadLettered
	case Discarded:
		return StatusDiscarded
	case Cancelled:
		return StatusCancelled
	case Expired:
		return StatusExpired
	case Suppressed:
		return StatusSuppressed
	}
	return s // Confirmed, StatusReported, DeliveryOverdue
}
