// Package webhook holds what a delivery of WhatsApp brought, in the platform's
// own terms. An adapter parses it; the application records it.
//
// Whatever stands in a delivery ends up in one of its four lists, so that who
// records them all has lost nothing.
package webhook

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain/message"
)

// Delivery is what one webhook brought, in the order in which it stood there.
type Delivery struct {
	Statuses []Status
	Inbound  []Inbound
	Changes  []Change
	// Parked is what could not be understood, as it came. A part of it may stand
	// among the others too, as far as it could be read.
	Parked []Parked
}

// Origin is the number that an item came for.
type Origin struct {
	BusinessAccountID  string
	PhoneNumberID      string
	DisplayPhoneNumber string
}

// Status is what became of a message.
type Status struct {
	Origin
	Kind message.StatusKind
	// WhatsAppID is the wamid of the message, never empty.
	WhatsAppID string
	// MessageID and Call are what the callback data of the call says. With none,
	// or with another system's, Call is 0. They are a claim: whether the message
	// exists and its sender has this number is for the recorder to see.
	MessageID uuid.UUID
	Call      int
	// At is WhatsApp's own time; zero if there was none that can be read.
	At time.Time
	// RecipientID is the wa_id, the user id, or the group that the message went
	// to, if WhatsApp said.
	RecipientID string
	Pricing     *message.Pricing
	// Failure is set for message.ReportFailed alone. When WhatsApp gave no
	// reason, its code is nil.
	Failure *message.Failure
	// Personal goes with Failure.
	Personal message.FailurePersonal
}

// Inbound is a message that a user wrote.
type Inbound struct {
	Origin
	// WhatsAppID is the wamid of the message, never empty.
	WhatsAppID string
	At         time.Time
	// From is the wa_id of the user, or their user id if they hide their number;
	// empty for some system messages.
	From string
	// Name is the name in the user's profile, if it came along.
	Name string
	// Type is WhatsApp's word: text, image, button, interactive, …
	Type string
	// ContextID is the wamid of the message that this one answers, if it does.
	ContextID string
	// Raw is the message object.
	Raw json.RawMessage
}

// FieldErrors is the field of a Change with errors of a number, not of a message.
const FieldErrors = "messages.errors"

// Change is any other thing WhatsApp reports: of templates, limits, reviews,
// restrictions, opt-outs.
type Change struct {
	Origin
	// Field is what it is about, as WhatsApp names it. Errors of a number that
	// belong to no message come under FieldErrors.
	Field string
	At    time.Time
	// Value is the object as it came.
	Value json.RawMessage
	// Failures are the errors under FieldErrors.
	Failures []message.Failure
}

// Parked is a part of a webhook that could not be understood.
type Parked struct {
	// BusinessAccountID is known when the fault is inside an entry.
	BusinessAccountID string
	Reason            string
	// Raw may be a part of the body that was parsed.
	Raw []byte
}
