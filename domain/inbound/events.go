package inbound

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Namespace is the UUID namespace in which the ids of these events are made.
var Namespace = uuid.MustParse("5f0c6a52-0d27-4f0e-9b57-0c1a6b7c1de4")

// EventID is the id of the event that these parts tell apart from all others.
func EventID(parts ...string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(strings.Join(parts, "\n")))
}

// Types lists the event types of these streams, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[InboundReceived](), domain.TypeOf[StatusOrphaned](),
		domain.TypeOf[AccountChanged](), domain.TypeOf[WebhookParked](),
	}
}

// InboundReceived records a message that a user wrote.
type InboundReceived struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	PhoneNumberID     string `json:"phoneNumberId,omitempty"`
	// Type is WhatsApp's word for what it is: text, image, button, …
	Type string `json:"type,omitempty"`
	// At is WhatsApp's own time, in whole seconds.
	At       time.Time       `json:"at,omitzero"`
	Personal InboundPersonal `json:"personal"`
}

// InboundPersonal is the personal part of InboundReceived.
type InboundPersonal struct {
	WhatsAppID string `json:"whatsappId"`
	// From is the wa_id of the user, or their user id if they hide their number.
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	// ContextID is the wamid of the message that this one answers, if it does.
	ContextID string `json:"contextId,omitempty"`
	// Message is the object as it came.
	Message json.RawMessage `json:"message"`
}

// StatusOrphaned records a status whose message is not known yet: it overtook
// the answer that would have named its wamid, or another system sent the message.
type StatusOrphaned struct {
	BusinessAccountID string             `json:"businessAccountId,omitempty"`
	PhoneNumberID     string             `json:"phoneNumberId,omitempty"`
	Kind              message.StatusKind `json:"kind"`
	// At is WhatsApp's own time, in whole seconds.
	At      time.Time        `json:"at,omitzero"`
	Pricing *message.Pricing `json:"pricing,omitempty"`
	// Failure is set for message.ReportFailed.
	Failure  *message.Failure `json:"failure,omitempty"`
	Personal OrphanPersonal   `json:"personal"`
}

// OrphanPersonal is the personal part of StatusOrphaned.
type OrphanPersonal struct {
	WhatsAppID  string                  `json:"whatsappId"`
	RecipientID string                  `json:"recipientId,omitempty"`
	Failure     message.FailurePersonal `json:"failure,omitzero"`
}

// Report is the status as the message's decision takes it.
func (e StatusOrphaned) Report() message.Report {
	r := message.Report{
		Kind: e.Kind, WhatsAppID: e.Personal.WhatsAppID, RecipientID: e.Personal.RecipientID,
		At: e.At, Pricing: e.Pricing, Personal: e.Personal.Failure,
	}
	if e.Failure != nil {
		r.Failure = *e.Failure
	}
	return r
}

// AccountChanged records anything else that WhatsApp reports of a business
// account: of templates, limits, reviews, restrictions, opt-outs.
type AccountChanged struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	PhoneNumberID     string `json:"phoneNumberId,omitempty"`
	// Field is what it is about, as WhatsApp names it.
	Field string    `json:"field"`
	At    time.Time `json:"at,omitzero"`
	// Failures are the errors of a number that belong to no message.
	Failures []message.Failure `json:"failures,omitempty"`
	Personal AccountPersonal   `json:"personal"`
}

// AccountPersonal is the personal part of AccountChanged: an opt-out, for one,
// names a number.
type AccountPersonal struct {
	// Value is the object as it came.
	Value json.RawMessage `json:"value"`
}

// WebhookParked records a webhook, or a part of one, that could not be recorded
// as what it is. One larger than an event may be stands in several, in order.
type WebhookParked struct {
	BusinessAccountID string `json:"businessAccountId,omitempty"`
	// Part is the number of this piece, from 1, of Parts.
	Part     int            `json:"part"`
	Parts    int            `json:"parts"`
	Personal ParkedPersonal `json:"personal"`
}

// ParkedPersonal is the personal part of WebhookParked.
type ParkedPersonal struct {
	// Reason may quote what could not be read.
	Reason string `json:"reason"`
	// Raw is the piece as it came: base64 in JSON, since it need not be text.
	Raw []byte `json:"raw"`
}

// EventType is "InboundReceived".
func (InboundReceived) EventType() string { return "InboundReceived" }

// EventType is "StatusOrphaned".
func (StatusOrphaned) EventType() string { return "StatusOrphaned" }

// EventType is "AccountChanged".
func (AccountChanged) EventType() string { return "AccountChanged" }

// EventType is "WebhookParked".
func (WebhookParked) EventType() string { return "WebhookParked" }

// OccurredAt is when the user wrote it.
func (e InboundReceived) OccurredAt() time.Time { return e.At }

// OccurredAt is WhatsApp's time of the status.
func (e StatusOrphaned) OccurredAt() time.Time { return e.At }

// OccurredAt is WhatsApp's time of the change.
func (e AccountChanged) OccurredAt() time.Time { return e.At }
