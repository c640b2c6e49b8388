package inbound

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Namespace is the UUID namespace for the IDs of these events.
var Namespace = uuid.MustParse("5f0c6a52-0d27-4f0e-9b57-0c1a6b7c1de4")

// EventID returns the ID of the event that these parts distinguish from all others.
func EventID(parts ...string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(strings.Join(parts, "\n")))
}

// Types lists the event types of these streams, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[InboundReceived](), domain.TypeOf[StatusOrphaned](),
		domain.TypeOf[AccountChanged](), domain.TypeOf[WebhookParked](),
		domain.TypeOf[EchoReceived](), domain.TypeOf[InboundMarkedRead](),
	}
}

// InboundReceived records a message that a user wrote.
type InboundReceived struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	PhoneNumberID     string `json:"phoneNumberId,omitempty"`
	// Type is WhatsApp's word for the kind of message: text, image, button, …
	Type string `json:"type,omitempty"`
	// Field is "standby" for a message that another system is to reply to, because it owns
	// the conversation at the moment. It is empty for all others.
	Field string `json:"field,omitempty"`
	// At is WhatsApp's own time, in whole seconds.
	At       time.Time       `json:"at,omitzero"`
	Personal InboundPersonal `json:"personal"`
}

// InboundPersonal is the personal part of InboundReceived.
type InboundPersonal struct {
	WhatsAppID string `json:"whatsappId"`
	// From is the wa_id of the user, or their user ID if they hide their number.
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	// ContextID is the wamid of the message that this one replies to, if any.
	ContextID string `json:"contextId,omitempty"`
	// Message is the object as received.
	Message json.RawMessage `json:"message"`
}

// EchoReceived records a message that a number sent to a user without Waypost: people in the
// WhatsApp Business app, or another system that replies for the number.
type EchoReceived struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	PhoneNumberID     string `json:"phoneNumberId,omitempty"`
	// Field is WhatsApp's field: "smb_message_echoes" for the app, "standby" for another
	// system.
	Field string `json:"field"`
	// Type is WhatsApp's word for the kind of message: text, image, edit, revoke, …
	Type string `json:"type,omitempty"`
	// At is WhatsApp's own time, in whole seconds.
	At       time.Time    `json:"at,omitzero"`
	Personal EchoPersonal `json:"personal"`
}

// EchoPersonal is the personal part of EchoReceived.
type EchoPersonal struct {
	WhatsAppID string `json:"whatsappId"`
	// To is the wa_id or the number of the user.
	To string `json:"to,omitempty"`
	// ToUserID is the user ID, if WhatsApp gave it.
	ToUserID string `json:"toUserId,omitempty"`
	// Message is the object as received.
	Message json.RawMessage `json:"message"`
}

// InboundMarkedRead records that a message of a user was marked as read at WhatsApp, and with it
// the earlier messages of the conversation.
type InboundMarkedRead struct {
	PhoneNumberID string `json:"phoneNumberId"`
	// InboundID is the public ID of the message.
	InboundID string `json:"inboundId"`
	// Typing is set if the user was also shown that a reply is being written.
	Typing bool `json:"typing,omitempty"`
}

// StatusOrphaned records a status of a message that is not known yet: it arrived before the
// response with its wamid, or another system sent the message.
type StatusOrphaned struct {
	BusinessAccountID string             `json:"businessAccountId,omitempty"`
	PhoneNumberID     string             `json:"phoneNumberId,omitempty"`
	Kind              message.StatusKind `json:"kind"`
	// At is WhatsApp's own time, in whole seconds.
	At time.Time `json:"at,omitzero"`
	// Pricing is WhatsApp's object about the price of the message, as received.
	Pricing json.RawMessage `json:"pricing,omitempty"`
	// Failure is set for message.ReportFailed.
	Failure *message.Failure `json:"failure,omitempty"`
	// Type and Status are WhatsApp's words for message.ReportOther, for example
	// "payment" and "captured".
	Type   string `json:"type,omitempty"`
	Status string `json:"status,omitempty"`
	// MessageID and Call are from the callback data that the status echoed, if that has
	// Waypost's form. The status belongs to no other message.
	MessageID string `json:"messageId,omitempty"`
	Call      int    `json:"call,omitempty"`
	// Foreign is set if the status echoed callback data of another system, or if WhatsApp
	// reported it as that of another system, on standby. It belongs to no message of Waypost.
	Foreign  bool           `json:"foreign,omitempty"`
	Personal OrphanPersonal `json:"personal"`
}

// OrphanPersonal is the personal part of StatusOrphaned.
type OrphanPersonal struct {
	WhatsAppID  string                  `json:"whatsappId"`
	RecipientID string                  `json:"recipientId,omitempty"`
	Failure     message.FailurePersonal `json:"failure,omitzero"`
	// Conversation is WhatsApp's object about the free entry point, as received.
	Conversation json.RawMessage `json:"conversation,omitempty"`
	// Raw is the status as received, truncated to 4 KiB, for message.ReportOther.
	Raw string `json:"raw,omitempty"`
}

// Report returns the status as an input for the message's decision.
func (e StatusOrphaned) Report() message.StatusUpdate {
	r := message.StatusUpdate{
		Kind: e.Kind, WhatsAppID: e.Personal.WhatsAppID, RecipientID: e.Personal.RecipientID,
		Call: e.Call, At: e.At, Pricing: e.Pricing, Conversation: e.Personal.Conversation, Personal: e.Personal.Failure,
		About: message.About{Type: e.Type, Status: e.Status, Raw: e.Personal.Raw},
	}
	if e.Failure != nil {
		r.Failure = *e.Failure
	}
	return r
}

// AccountChanged records everything else that WhatsApp reports about a business account:
// templates, limits, reviews, restrictions, opt-outs.
type AccountChanged struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	PhoneNumberID     string `json:"phoneNumberId,omitempty"`
	// Field is the subject, in WhatsApp's words.
	Field string    `json:"field"`
	At    time.Time `json:"at,omitzero"`
	// Failures are the errors of a number that belong to no message.
	Failures []message.Failure `json:"failures,omitempty"`
	Personal AccountPersonal   `json:"personal"`
}

// AccountPersonal is the personal part of AccountChanged. An opt-out, for example, contains
// a number.
type AccountPersonal struct {
	// Value is the object as received.
	Value json.RawMessage `json:"value"`
}

// WebhookParked records a webhook, or a part of one, that could not be recorded as its own
// type of event. If it is larger than an event can be, it is split into several, in order.
type WebhookParked struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	// Part is the number of this piece, from 1, of Parts.
	Part     int            `json:"part"`
	Parts    int            `json:"parts"`
	Personal ParkedPersonal `json:"personal"`
}

// ParkedPersonal is the personal part of WebhookParked.
type ParkedPersonal struct {
	// Reason can quote what could not be parsed.
	Reason string `json:"reason"`
	// Raw is the piece as received, base64 in JSON because it need not be text.
	Raw []byte `json:"raw"`
}

// EventType is "InboundReceived".
func (InboundReceived) EventType() string { return "InboundReceived" }

// EventType is "InboundMarkedRead".
func (InboundMarkedRead) EventType() string { return "InboundMarkedRead" }

// EventType is "EchoReceived".
func (EchoReceived) EventType() string { return "EchoReceived" }

// EventType is "StatusOrphaned".
func (StatusOrphaned) EventType() string { return "StatusOrphaned" }

// EventType is "AccountChanged".
func (AccountChanged) EventType() string { return "AccountChanged" }

// EventType is "WebhookParked".
func (WebhookParked) EventType() string { return "WebhookParked" }

// OccurredAt returns when the user wrote it.
func (e InboundReceived) OccurredAt() time.Time { return e.At }

// OccurredAt returns when the number sent it.
func (e EchoReceived) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the status.
func (e StatusOrphaned) OccurredAt() time.Time { return e.At }

// OccurredAt returns WhatsApp's time of the change.
func (e AccountChanged) OccurredAt() time.Time { return e.At }
