// Package place says how far the events of the log have left to another system.
package place

import (
	"errors"
	"time"

	"github.com/waypost/waypost/app/event"
)

// Place is how far the events have left.
type Place struct {
	// LogID is the identity of the log that Position belongs to; empty before the
	// first event.
	LogID    string
	Position event.Position
	// RecordedAt is that of the latest event that left.
	RecordedAt time.Time
}

// ErrLeaseLost says that another process has taken over.
var ErrLeaseLost = errors.New("the lease was lost to another process")
