// Package webhook defines the contents of a delivery from WhatsApp in Waypost's own terms.
// An adapter parses the delivery, and the application records it.
//
// Everything in a delivery ends up in one of the lists. A caller that records all of
// them has lost nothing.
package webhook

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/identity"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
)

// Delivery is the contents of one webhook, in the order of the webhook.
type Delivery struct {
	Statuses []Status
	Inbound  []Inbound
	Echoes   []Echo
	Changes  []Change
	// Preferences are people's choices about marketing. They are also in Changes.
	Preferences []Preference
	// Templates are what Changes say about message templates. They repeat it.
	Templates []template.Report
	// Accounts are reports about accounts and numbers. They are also in Changes.
	Accounts []sender.Report
	// Links are the IDs that the other lists say are one person's.
	Links []Link
	// Parked is what could not be parsed, unchanged. If a part of it could be read, that
	// part is also in one of the other lists.
	Parked []Parked
}

// Origin is the number that an item is for.
type Origin struct {
	BusinessAccountID  string
	PhoneNumberID      string
	DisplayPhoneNumber string
}

// Status is a status of a message.
type Status struct {
	Origin
	Kind message.StatusKind
	// WhatsAppID is the wamid of the message. It is never empty.
	WhatsAppID string
	// MessageID and Call are from the call's callback data. Call is 0 if there was none, or
	// if it was another system's. They are a claim: the recorder must check that the
	// message exists and that its sender has this number.
	MessageID uuid.UUID
	Call      int
	// Foreign is set for callback data of another system, and for statuses that WhatsApp
	// reports as another system's. All of Waypost's calls carry its own data, so the status
	// is not of one of them.
	Foreign bool
	// At is WhatsApp's own time, or zero if it could not be read.
	At time.Time
	// RecipientID is the wa_id, the user ID, or the group that the message was sent to, if
	// WhatsApp reported it.
	RecipientID string
	// Pricing and Conversation are WhatsApp's objects, as received, or nil.
	Pricing      json.RawMessage
	Conversation json.RawMessage
	// Failure is set only for message.ReportFailed. Its code is nil if WhatsApp gave no
	// reason.
	Failure *message.Failure
	// Personal belongs to Failure.
	Personal message.FailurePersonal
	// About is set only for message.ReportOther.
	About message.About
}

// Inbound is a message from a user.
type Inbound struct {
	Origin
	// WhatsAppID is the wamid of the message. It is never empty.
	WhatsAppID string
	At         time.Time
	// From is the wa_id of the user, or the user ID if the user hides the number. It is
	// empty for some system messages.
	From string
	// Name is the name in the user's profile, if WhatsApp sent it.
	Name string
	// UserID is the user ID of the user, if WhatsApp sent it.
	UserID string
	// Type is WhatsApp's term: text, image, button, interactive, …
	Type string
	// Text is what the user wrote, if Type is text and it is short enough for a keyword.
	Text string
	// Field is WhatsApp's field if it is not "messages": "standby" for a message that another
	// system is to reply to.
	Field string
	// ContextID is the wamid of the message that this one replies to, if any.
	ContextID string
	// Raw is the message object.
	Raw json.RawMessage
}

// Echo is a message that the number sent to a user without Waypost.
type Echo struct {
	Origin
	// Field is WhatsApp's field: "smb_message_echoes" for what people sent from the phone
	// app, "standby" for what another system sent.
	Field string
	// WhatsAppID is the wamid of the message. It is never empty.
	WhatsAppID string
	At         time.Time
	// To is the wa_id or the number of the user, ToUserID the user ID. At most one of them
	// is set, usually.
	To       string
	ToUserID string
	// Type is WhatsApp's term: text, image, edit, revoke, …
	Type string
	// Raw is the object, unchanged.
	Raw json.RawMessage
}

// FieldErrors is the field of a Change with errors of a number instead of a message.
const FieldErrors = "messages.errors"

// Change is anything else that WhatsApp reports: about templates, limits, reviews,
// restrictions, and opt-outs.
type Change struct {
	Origin
	// Field is the subject, as WhatsApp names it. Errors of a number that belong to no
	// message are under FieldErrors.
	Field string
	At    time.Time
	// Value is the object, unchanged.
	Value json.RawMessage
	// Around is the object that Value is the unknown part of, or nil. The people whom it names
	// are those whom the part is about.
	Around json.RawMessage
	// Failures are the errors under FieldErrors.
	Failures []message.Failure
	// Traffic is set if the change counts toward the throughput limit of the number.
	Traffic bool
}

// Preference is a person's choice about marketing.
type Preference struct {
	Origin
	conversation.Person

	// OptedOut is set if the person wants no marketing.
	OptedOut bool
	// At is WhatsApp's own time, or zero if it could not be read.
	At time.Time
	// Raw is the object, unchanged.
	Raw json.RawMessage
}

// Link is several IDs of one person.
type Link struct {
	identity.Names

	BusinessAccountID string
	Source            identity.Source
	// At is WhatsApp's own time, or zero if there is none.
	At time.Time
}

// Parked is a part of a webhook that could not be parsed.
type Parked struct {
	// BusinessAccountID is set if the error is inside an entry.
	BusinessAccountID string
	Reason            string
	// Raw can be a part of the body that was parsed.
	Raw []byte
}
