package message

import (
	"encoding/json"
	"time"

	"github.com/waypost/waypost/domain"
)

// An Event is an event of a message's stream. The structs below are the wire form: their
// JSON is stored in the log. All personal data is in the one member "personal", which only
// the codec reads and writes, sealed.
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
		domain.TypeOf[StatusReported](), domain.TypeOf[DeliveryOverdue](),
		domain.TypeOf[Substituted](), domain.TypeOf[Suppressed](),
	}
}

// Queued records that a message was accepted. It is the first event of its stream and
// contains everything needed to send the message.
type Queued struct {
	Sender      string          `json:"sender"`
	Kind        Kind            `json:"type"`
	Priority    Priority        `json:"priority"`
	OnAmbiguous AmbiguityPolicy `json:"onAmbiguous"`
	SendAt      time.Time       `json:"sendAt,omitzero"`
	ExpiresAt   time.Time       `json:"expiresAt,omitzero"`
	// DeliverWithinSeconds is the time from WhatsApp's acceptance to the delivery after
	// which the delivery is overdue. If 0, it never is.
	DeliverWithinSeconds float64 `json:"deliverWithinSeconds,omitempty"`
	// Template is the name of the template, if the message is one.
	Template string `json:"template,omitempty"`
	// TemplateLanguage is the language of the template. Messages that older versions queued
	// don't have it.
	TemplateLanguage string `json:"templateLanguage,omitempty"`
	// OutsideWindow is what to do if the message is due while the person's 24-hour window is
	// closed. If empty, the message is sent, and WhatsApp decides.
	OutsideWindow OutsideWindow `json:"outsideWindow,omitempty"`
	// FallbackTemplate and FallbackLanguage name the template that is sent then, if one is.
	FallbackTemplate string `json:"fallbackTemplate,omitempty"`
	FallbackLanguage string `json:"fallbackLanguage,omitempty"`
	// Fingerprint was here before personal data was sealed; see QueuedPersonal.
	Fingerprint string         `json:"fingerprint,omitempty"`
	Personal    QueuedPersonal `json:"personal"`
}

// QueuedPersonal is the personal part of Queued.
type QueuedPersonal struct {
	// To is the recipient's number in E.164. It is empty if the message is to a user ID.
	To string `json:"to,omitempty"`
	// ToUserID is the recipient's business-scoped user ID, if the message is to one.
	ToUserID string          `json:"toUserId,omitempty"`
	Content  json.RawMessage `json:"content"`
	// Fallback is the template that is sent instead of the content if the window is closed.
	Fallback       json.RawMessage `json:"fallback,omitempty"`
	ReplyTo        string          `json:"replyTo,omitempty"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	Labels         []Label         `json:"labels,omitempty"`
	// Fingerprint is a keyed hash of the recipient, content, and replyTo. A repeated
	// request with the same idempotency key is compared with it. It is personal: anyone
	// with the hash key could find the number by trying all.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// SendAttempted records that a call is about to be made. WhatsApp is never called before
// this event is in the log.
type SendAttempted struct {
	// Call numbers every call of the message, from 1.
	Call int `json:"call"`
	// Attempt is the number of attempts used, including this one.
	Attempt int `json:"attempt"`
	// Probe marks the single call by which a lane checks whether WhatsApp responds again.
	// If it fails because WhatsApp doesn't, it uses no attempt.
	Probe bool `json:"probe,omitempty"`
	// AnswerBy is when an owner that knows nothing about the call can declare its response
	// lost: its start plus the timeout and a margin.
	AnswerBy time.Time `json:"answerBy"`
	// ToNumber marks a call to the phone number of a person to whose user ID the message was
	// queued. WhatsApp shows a business the numbers that it writes to, so a known number is
	// used.
	ToNumber bool               `json:"toNumber,omitempty"`
	Personal *AttemptedPersonal `json:"personal,omitempty"`
}

// AttemptedPersonal is the personal part of SendAttempted.
type AttemptedPersonal struct {
	// To is the number in E.164, if ToNumber is set.
	To string `json:"to,omitempty"`
}

// WithNumber returns the event of a call to a number instead of the message's user ID.
func (e SendAttempted) WithNumber(number string) SendAttempted {
	e.ToNumber, e.Personal = true, &AttemptedPersonal{To: number}
	return e
}

// Acceptance is how Waypost learned that a call was accepted.
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
	// RecipientID is the wa_id or user ID that WhatsApp derived from the number.
	RecipientID string `json:"recipientId,omitempty"`
}

// StatusPersonal is the personal part of a status.
type StatusPersonal struct {
	// Conversation is WhatsApp's object about the free entry point that the message belongs
	// to, as received. Its ID is the same for all messages to the person during that time.
	Conversation json.RawMessage `json:"conversation,omitempty"`
}

// Confirmed records the status "sent" of an accepted call.
type Confirmed struct {
	Call int       `json:"call"`
	At   time.Time `json:"at"`
	// Pricing is WhatsApp's object about the price of the message, as received. It comes
	// with one or two of the statuses of a message.
	Pricing  json.RawMessage `json:"pricing,omitempty"`
	Personal *StatusPersonal `json:"personal,omitempty"`
}

// Delivered records the status "delivered".
type Delivered struct {
	Call int `json:"call"`
	// At is WhatsApp's own time, in whole seconds.
	At time.Time `json:"at"`
	// CalledAt is when the call began: the latency runs from there.
	CalledAt time.Time       `json:"calledAt"`
	Pricing  json.RawMessage `json:"pricing,omitempty"`
	Personal *StatusPersonal `json:"personal,omitempty"`
}

// Read records the status "read". It implies delivery: WhatsApp skips
// "delivered" when the recipient has the chat open.
type Read struct {
	Call     int             `json:"call"`
	At       time.Time       `json:"at"`
	CalledAt time.Time       `json:"calledAt"`
	Pricing  json.RawMessage `json:"pricing,omitempty"`
	Personal *StatusPersonal `json:"personal,omitempty"`
}

// DeliveryOverdue records that WhatsApp has not reported the delivery of an accepted message
// in the time that its deliverWithin gives. The message can still be delivered. It is
// recorded once, and again only if WhatsApp accepts the message again after an operator
// requeued it or WhatsApp reported it failed.
type DeliveryOverdue struct {
	// Since is when that time ended: that of the acceptance and deliverWithin.
	Since time.Time `json:"since"`
}

// StatusReported records a WhatsApp status that is not about the delivery of the
// message, for example one of the payment that the message asks for. It never
// changes the message's status.
type StatusReported struct {
	Call int `json:"call"`
	// Type is WhatsApp's word for the subject of the status, for example "payment".
	Type string `json:"type"`
	// Status is WhatsApp's word for the status, for example "captured".
	Status string `json:"status"`
	// At is WhatsApp's own time, in whole seconds.
	At       time.Time              `json:"at"`
	Personal StatusReportedPersonal `json:"personal"`
}

// StatusReportedPersonal is the personal part of StatusReported.
type StatusReportedPersonal struct {
	// Raw is the status as it came, cut to 4 KiB.
	Raw string `json:"raw,omitempty"`
}

// Failed records that a call failed, or that WhatsApp reported a failure after
// it had accepted one.
type Failed struct {
	Call    int     `json:"call"`
	Attempt int     `json:"attempt"`
	Failure Failure `json:"failure"`
	// Final marks the failure as the end of the message. Otherwise the status stays the
	// same, or the next event of the same append determines it.
	Final bool `json:"final,omitempty"`
	// AfterAcceptance marks a failure that a status reported.
	AfterAcceptance bool `json:"afterAcceptance,omitempty"`
	// At is WhatsApp's own time for a status, otherwise the time of the response.
	At       time.Time       `json:"at"`
	Personal FailurePersonal `json:"personal"`
}

// FailurePersonal is the personal part of a failure. WhatsApp's texts can quote numbers and
// content.
type FailurePersonal struct {
	Details string `json:"details,omitempty"`
	// Raw is the body of the response or the status, truncated to 4 KiB.
	Raw string `json:"raw,omitempty"`
}

// RetryScheduled records when the next attempt is due.
type RetryScheduled struct {
	// Attempt is the number of attempts used so far.
	Attempt int       `json:"attempt"`
	DueAt   time.Time `json:"dueAt"`
}

// DeadLettered records that Waypost stopped trying and an operator must decide. It contains
// the failure that caused this.
type DeadLettered struct {
	Attempts int             `json:"attempts"`
	Failure  Failure         `json:"failure"`
	Personal FailurePersonal `json:"personal"`
}

// Deferral is why a call used no attempt.
type Deferral string

// The reasons why a call is deferred.
const (
	DeferThrottled   Deferral = "THROTTLED"
	DeferPair        Deferral = "PAIR"
	DeferSenderHeld  Deferral = "SENDER_HELD"
	DeferNotCalled   Deferral = "NOT_CALLED"
	DeferProbeFailed Deferral = "PROBE_FAILED"
	// DeferTemplateHeld means that WhatsApp accepts no message of this template for now.
	DeferTemplateHeld Deferral = "TEMPLATE_HELD"
	// DeferWindowUncertain means that no call was made yet, because it is not certain whether
	// the recipient's window is closed.
	DeferWindowUncertain Deferral = "WINDOW_UNCERTAIN"
	// DeferMessagingLimit means that the business portfolio can't start a conversation with one
	// more person for now.
	DeferMessagingLimit Deferral = "MESSAGING_LIMIT"
	// DeferCampaignPaused means that no call was made, because an operator had paused the messages
	// with one of its labels.
	DeferCampaignPaused Deferral = "CAMPAIGN_PAUSED"
)

// Deferred records that a call used no attempt of the message, or that none was made, and that
// the message waits for its turn again.
type Deferred struct {
	// Call is 0 if no call was made.
	Call int `json:"call"`
	// Attempt is the number of attempts used, not counting this call.
	Attempt int      `json:"attempt"`
	Reason  Deferral `json:"reason"`
	// Scope is what WhatsApp throttled: number, account, app, or pair. It is empty if the
	// call was not throttled.
	Scope ThrottleScope `json:"scope,omitempty"`
	Code  *int          `json:"code,omitempty"`
	DueAt time.Time     `json:"dueAt"`
}

// OutcomeUnknown records that the response to a call was lost.
type OutcomeUnknown struct {
	Call int `json:"call"`
	// Attempt is the number of attempts used, this call included unless it was a probe.
	// Events of older versions lack it; it then follows from the call.
	Attempt *int   `json:"attempt,omitempty"`
	Cause   string `json:"cause"`
	// HTTPStatus is the status of a response without a readable body, otherwise 0.
	HTTPStatus int `json:"httpStatus,omitempty"`
	// SettleBy is when the message's policy decides, unless a status settles the call
	// before.
	SettleBy time.Time `json:"settleBy"`
}

// Requeued records an operator's decision to send a dead letter again, with a new budget.
type Requeued struct {
	Reason string `json:"reason,omitempty"`
}

// Discarded records an operator's decision to drop a dead letter.
type Discarded struct {
	Reason string `json:"reason,omitempty"`
}

// Cancelled records that a message was cancelled before it was sent.
type Cancelled struct {
	Reason string `json:"reason,omitempty"`
}

// Expired records that a message's expiresAt passed before it was sent.
type Expired struct{}

// Substituted records that the message's fallback is sent instead of its content, because
// the recipient's 24-hour window is closed. The fallback is in Queued. From here on, the
// message is that template, with a new budget.
type Substituted struct {
	// Template is the name of the fallback, and Language its language.
	Template string `json:"template"`
	Language string `json:"language,omitempty"`
	// ClosedAt is when the window closed, or zero if no message of the person is known.
	ClosedAt time.Time `json:"closedAt,omitzero"`
	// Call is the call that WhatsApp refused because the window is closed, or 0 if Waypost
	// knew it and made no call.
	Call int `json:"call,omitempty"`
	// AfterAcceptance marks that WhatsApp had accepted that call, and refused it by a status.
	AfterAcceptance bool `json:"afterAcceptance,omitempty"`
	// DueAt is when the template is due, if that is not immediately: another call for the
	// message was in flight, and its response is awaited until then.
	DueAt time.Time `json:"dueAt,omitzero"`
}

// Suppressed records that a marketing message is not sent because its recipient opted out.
type Suppressed struct {
	// OptedOutAt is when the recipient opted out.
	OptedOutAt time.Time `json:"optedOutAt,omitzero"`
}

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
func (StatusReported) EventType() string { return "StatusReported" }

func (DeliveryOverdue) EventType() string { return "DeliveryOverdue" }

func (Substituted) EventType() string { return "Substituted" }
func (Suppressed) EventType() string  { return "Suppressed" }

func (e Confirmed) OccurredAt() time.Time { return e.At }
func (e Delivered) OccurredAt() time.Time { return e.At }
func (e Read) OccurredAt() time.Time      { return e.At }

func (e StatusReported) OccurredAt() time.Time { return e.At }

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
