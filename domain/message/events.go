package message

import (
	"encoding/json"
	"time"

	"github.com/waypost/waypost/domain"
)

// Event is an event of a message's stream. The structs below are the wire form:
// their JSON is what stands in the log, with everything personal under the one
// member "personal", which the codec alone reads and writes, sealed.
type Event interface {
	domain.Event
	apply(m *Message, at time.Time)
}

// Types lists the event types of a message's stream, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[Queued](), domain.TypeOf[SendAttempted](), domain.TypeOf[Sent](), domain.TypeOf[Confirmed](),
		domain.TypeOf[Delivered](), domain.TypeOf[Read](), domain.TypeOf[Failed](), domain.TypeOf[RetryScheduled](),
		domain.TypeOf[DeadLettered](), domain.TypeOf[Deferred](), domain.TypeOf[OutcomeUnknown](),
		domain.TypeOf[Requeued](), domain.TypeOf[Discarded](), domain.TypeOf[Cancelled](), domain.TypeOf[Expired](),
	}
}

// Queued records that a message was accepted. It is the first event of its
// stream and says all that is needed to send it.
type Queued struct {
	Sender      string          `json:"sender"`
	Kind        Kind            `json:"type"`
	Priority    Priority        `json:"priority"`
	OnAmbiguous AmbiguityPolicy `json:"onAmbiguous"`
	SendAt      time.Time       `json:"sendAt,omitzero"`
	ExpiresAt   time.Time       `json:"expiresAt,omitzero"`
	// Template is the name of the template, if the message is one.
	Template string `json:"template,omitempty"`
	// Fingerprint stood here before personal data were sealed; see QueuedPersonal.
	Fingerprint string         `json:"fingerprint,omitempty"`
	Personal    QueuedPersonal `json:"personal"`
}

// QueuedPersonal is the personal part of Queued.
type QueuedPersonal struct {
	To             string          `json:"to"`
	Content        json.RawMessage `json:"content"`
	ReplyTo        string          `json:"replyTo,omitempty"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	Labels         []Label         `json:"labels,omitempty"`
	// Fingerprint is a keyed hash of recipient, content and replyTo. A repeat under
	// the same idempotency key is compared with it. It is personal: whoever has the
	// key could find the number by trying all.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// SendAttempted records that a call is about to be made. Nothing calls
// WhatsApp before it stands in the log.
type SendAttempted struct {
	// Call numbers every call of the message, from 1.
	Call int `json:"call"`
	// Attempt is how many attempts of the budget are used, this one included.
	Attempt int `json:"attempt"`
	// Probe marks the single call by which a lane finds out whether WhatsApp
	// answers again; when it fails for such a reason it uses no attempt.
	Probe bool `json:"probe,omitempty"`
	// AnswerBy is when an owner that knows nothing of the call may declare its
	// answer lost: the call's timeout and a margin after its start.
	AnswerBy time.Time `json:"answerBy"`
}

// Acceptance says how the platform learnt that a call was accepted.
type Acceptance string

// The ways in which an acceptance becomes known.
const (
	ByAnswer Acceptance = "answer"
	ByStatus Acceptance = "status"
)

// Sent records that WhatsApp accepted a call.
type Sent struct {
	Call int `json:"call"`
	// At is when WhatsApp accepted it: the time of the answer. For a call that a
	// status settled it is the start of the call, the nearest time that is the
	// same in whatever order its statuses come.
	At time.Time  `json:"at"`
	By Acceptance `json:"by"`
	// Again marks that an earlier call, whose answer had been lost, was accepted
	// too: the recipient has the message twice.
	Again bool `json:"again,omitempty"`
	// Held is WhatsApp's word on a template that it holds back for now:
	// "held_for_quality_assessment" or "paused".
	Held     string       `json:"held,omitempty"`
	Personal SentPersonal `json:"personal"`
}

// SentPersonal is the personal part of Sent: a wamid holds the recipient's number.
type SentPersonal struct {
	WhatsAppID string `json:"whatsappId"`
	// RecipientID is the wa_id or user id that WhatsApp made of the number given.
	RecipientID string `json:"recipientId,omitempty"`
}

// Pricing is how WhatsApp counts the message; it comes with one or two statuses.
type Pricing struct {
	Model    string `json:"model,omitempty"`
	Type     string `json:"type,omitempty"`
	Category string `json:"category,omitempty"`
}

// Confirmed records the status "sent" of an accepted call.
type Confirmed struct {
	Call    int       `json:"call"`
	At      time.Time `json:"at"`
	Pricing *Pricing  `json:"pricing,omitempty"`
}

// Delivered records the status "delivered".
type Delivered struct {
	Call int `json:"call"`
	// At is WhatsApp's own time, in whole seconds.
	At time.Time `json:"at"`
	// CalledAt is when the call began: the latency runs from there.
	CalledAt time.Time `json:"calledAt"`
	Pricing  *Pricing  `json:"pricing,omitempty"`
}

// Read records the status "read". It implies delivery: WhatsApp skips
// "delivered" when the recipient has the chat open.
type Read struct {
	Call     int       `json:"call"`
	At       time.Time `json:"at"`
	CalledAt time.Time `json:"calledAt"`
	Pricing  *Pricing  `json:"pricing,omitempty"`
}

// Failed records that a call failed, or that WhatsApp reported a failure after
// it had accepted one.
type Failed struct {
	Call    int     `json:"call"`
	Attempt int     `json:"attempt"`
	Failure Failure `json:"failure"`
	// Final marks the failure as the end of the message. Otherwise it stays what
	// it was, or the next event of the same append says how it goes on.
	Final bool `json:"final,omitempty"`
	// AfterAcceptance marks a failure that came as a status.
	AfterAcceptance bool `json:"afterAcceptance,omitempty"`
	// At is WhatsApp's own time for a status, the time of the answer otherwise.
	At       time.Time       `json:"at"`
	Personal FailurePersonal `json:"personal"`
}

// FailurePersonal is the personal part of a failure: what WhatsApp wrote may
// quote numbers and content.
type FailurePersonal struct {
	Details string `json:"details,omitempty"`
	// Raw is the body of the answer or the status, cut to 4 KiB.
	Raw string `json:"raw,omitempty"`
}

// RetryScheduled records when the next attempt is due.
type RetryScheduled struct {
	// Attempt is how many attempts are used so far.
	Attempt int       `json:"attempt"`
	DueAt   time.Time `json:"dueAt"`
}

// DeadLettered records that the platform gave up and leaves the message to
// people. It carries the failure that led to it.
type DeadLettered struct {
	Attempts int             `json:"attempts"`
	Failure  Failure         `json:"failure"`
	Personal FailurePersonal `json:"personal"`
}

// Deferral says why a call that was begun used no attempt.
type Deferral string

// The reasons for which a call is deferred.
const (
	DeferThrottled   Deferral = "THROTTLED"
	DeferPair        Deferral = "PAIR"
	DeferSenderHeld  Deferral = "SENDER_HELD"
	DeferNotCalled   Deferral = "NOT_CALLED"
	DeferProbeFailed Deferral = "PROBE_FAILED"
	// DeferTemplateHeld: WhatsApp takes no message of this template for now.
	DeferTemplateHeld Deferral = "TEMPLATE_HELD"
)

// Deferred records that a call used no attempt of the message and that the
// message waits for its turn again.
type Deferred struct {
	Call int `json:"call"`
	// Attempt is how many attempts are used, this call not counted.
	Attempt int      `json:"attempt"`
	Reason  Deferral `json:"reason"`
	// Scope is what WhatsApp throttled: number, account, app or pair; empty
	// when it was no throttle.
	Scope ThrottleScope `json:"scope,omitempty"`
	Code  *int          `json:"code,omitempty"`
	DueAt time.Time     `json:"dueAt"`
}

// OutcomeUnknown records that a call's answer was lost.
type OutcomeUnknown struct {
	Call  int    `json:"call"`
	Cause string `json:"cause"`
	// HTTPStatus is that of an answer without a readable body, else 0.
	HTTPStatus int `json:"httpStatus,omitempty"`
	// SettleBy is when the message's own policy acts, unless a status settles
	// the call before.
	SettleBy time.Time `json:"settleBy"`
}

// Requeued records an operator's decision to send a dead letter again, with a
// fresh budget.
type Requeued struct {
	Reason string `json:"reason,omitempty"`
}

// Discarded records an operator's decision to drop a dead letter.
type Discarded struct {
	Reason string `json:"reason,omitempty"`
}

// Cancelled records that a message was called off before it was sent.
type Cancelled struct {
	Reason string `json:"reason,omitempty"`
}

// Expired records that a message's expiresAt passed before it was sent.
type Expired struct{}

func (Queued) EventType() string         { return "Queued" }
func (SendAttempted) EventType() string  { return "SendAttempted" }
func (Sent) EventType() string           { return "Sent" }
func (Confirmed) EventType() string      { return "Confirmed" }
func (Delivered) EventType() string      { return "Delivered" }
func (Read) EventType() string           { return "Read" }
func (Failed) EventType() string         { return "Failed" }
func (RetryScheduled) EventType() string { return "RetryScheduled" }
func (DeadLettered) EventType() string   { return "DeadLettered" }
func (Deferred) EventType() string       { return "Deferred" }
func (OutcomeUnknown) EventType() string { return "OutcomeUnknown" }
func (Requeued) EventType() string       { return "Requeued" }
func (Discarded) EventType() string      { return "Discarded" }
func (Cancelled) EventType() string      { return "Cancelled" }
func (Expired) EventType() string        { return "Expired" }

func (e Confirmed) OccurredAt() time.Time { return e.At }
func (e Delivered) OccurredAt() time.Time { return e.At }
func (e Read) OccurredAt() time.Time      { return e.At }

func (e Sent) OccurredAt() time.Time {
	if e.By == ByStatus {
		return e.At
	}
	return time.Time{}
}

func (e Failed) OccurredAt() time.Time {
	if e.AfterAcceptance {
		return e.At
	}
	return time.Time{}
}
