// Package checkpoint defines the position up to which events were published to another
// system.
package checkpoint

import (
	"errors"
	"time"

	"github.com/waypost/waypost/app/event"
)

// Checkpoint is the position up to which events were published.
type Checkpoint struct {
	// LogID is the identity of the log that Position belongs to. It is empty before the
	// first event.
	LogID    string
	Position event.Position
	// RecordedAt is the recording time of the latest published event.
	RecordedAt time.Time
}

// ErrLeaseLost means that another process has taken over.
var ErrLeaseLost = errors.New("the lease was lost to another process")
