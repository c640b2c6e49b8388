package event

import (
	"github.com/google/uuid"
)

// ErasureCause is why personal data was erased.
type ErasureCause string

// The causes of an erasure.
const (
	// ErasedOnRequest means that an operator erased a recipient.
	ErasedOnRequest ErasureCause = "REQUEST"
	// ErasedByRetention means that the data was older than the retention period.
	ErasedByRetention ErasureCause = "RETENTION"
)

// PersonalErased records that data keys are destroyed, and with them everything that they
// sealed. It does not record whose keys they were, which is not known anywhere afterward.
// Keys are destroyed only after this event is recorded, and every process that reads it
// destroys them again.
type PersonalErased struct {
	Keys     []KeyID         `json:"keys"`
	Cause    ErasureCause    `json:"cause"`
	Personal ErasurePersonal `json:"personal"`
}

// ErasurePersonal is the personal part of PersonalErased. What an operator wrote can name
// the person, so it is sealed under the installation's own key.
type ErasurePersonal struct {
	Reason string `json:"reason,omitempty"`
}

// EventType returns the name of PersonalErased in the event log.
func (PersonalErased) EventType() string { return "PersonalErased" }

// ErasureStreams is the prefix of the streams of erasures.
const ErasureStreams = "erasure-"

// ErasureStream returns the stream of an erasure.
func ErasureStream(id uuid.UUID) string { return ErasureStreams + id.String() }
