package event

import (
	"github.com/google/uuid"
)

// ErasureCause says why personal data were erased.
type ErasureCause string

// The causes of an erasure.
const (
	// ErasedOnRequest: an operator had a person forgotten.
	ErasedOnRequest ErasureCause = "REQUEST"
	// ErasedByRetention: the data were older than they are to be kept.
	ErasedByRetention ErasureCause = "RETENTION"
)

// PersonalErased records that data keys are destroyed, and with them all that they
// sealed. It names nobody: whose they were is known nowhere any more. Keys are
// destroyed after it stands in the log; who finds it destroys them again.
type PersonalErased struct {
	Keys     []KeyID         `json:"keys"`
	Cause    ErasureCause    `json:"cause"`
	Personal ErasurePersonal `json:"personal"`
}

// ErasurePersonal is the personal part of PersonalErased: what an operator wrote may
// name the person, so it is sealed under the installation's own key.
type ErasurePersonal struct {
	Reason string `json:"reason,omitempty"`
}

// EventType is the name under which PersonalErased stands in the log.
func (PersonalErased) EventType() string { return "PersonalErased" }

// ErasureStreams is the prefix of every erasure's stream.
const ErasureStreams = "erasure-"

// ErasureStream holds one erasure.
func ErasureStream(id uuid.UUID) string { return ErasureStreams + id.String() }
