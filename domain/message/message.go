package message

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Namespace is the UUID namespace in which a message's id is made of its sender
// and idempotency key.
var Namespace = uuid.MustParse("8388be3e-e8ab-4974-b14a-d6b277e7526d")

// ID is the id of the message that a sender queues under an idempotency key:
// the UUIDv5 of sender, line feed, key.
func ID(sender, idempotencyKey string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(sender+"\n"+idempotencyKey))
}

// Record is an event as the log has it: with the time it was recorded at.
type Record struct {
	Event domain.Event
	At    time.Time
}

// Message is what the events of one message fold to. It is a value: who changes
// a copy changes nothing. The zero Message is one of which nothing is recorded.
type Message struct {
	Sender         string
	To             string
	Kind           Kind
	Content        json.RawMessage
	Template       string
	ReplyTo        string
	IdempotencyKey string
	Labels         []Label
	Priority       Priority
	OnAmbiguous    AmbiguityPolicy
	Fingerprint    string
	QueuedAt       time.Time
	SendAt         time.Time
	ExpiresAt      time.Time

	Status Status
	// Attempts is how many attempts of the budget are used, one under way included.
	Attempts int
	// Calls are all calls made, by their number less one.
	Calls []Call
	// Throttles counts the throttled calls since the message was queued or requeued.
	Throttles int
	// DueAt is when it is due next: while QUEUED or RETRYING the next call, while
	// SENDING the moment from which the answer counts as lost, while AMBIGUOUS the
	// end of settling.
	DueAt time.Time
	// WhatsAppID is the wamid of the latest accepted call.
	WhatsAppID  string
	SentAt      time.Time
	DeliveredAt time.Time
	ReadAt      time.Time
	// SentTwice is set when two calls were accepted, the earlier of them lost.
	SentTwice      bool
	Failure        *StoredFailure
	DeadLetteredAt time.Time
	// Reason is what an operator said when cancelling, discarding or requeueing,
	// or why the message waits.
	Reason string
}

// StoredFailure is a failure with the time it was recorded at.
type StoredFailure struct {
	Failure
	Details string
	At      time.Time
}

// CallOutcome is what became of a call. The values are those of the GraphQL schema.
type CallOutcome string

// The outcomes of a call.
const (
	CallUnderWay CallOutcome = "UNDER_WAY"
	CallAccepted CallOutcome = "ACCEPTED"
	CallFailed   CallOutcome = "FAILED"
	CallDeferred CallOutcome = "DEFERRED"
	CallUnknown  CallOutcome = "UNKNOWN"
)

// Call is one request to WhatsApp.
type Call struct {
	Number    int
	Attempt   int
	Probe     bool
	StartedAt time.Time
	AnswerBy  time.Time
	EndedAt   time.Time
	Outcome   CallOutcome
	// Lost is set once its answer was declared lost, also when it was settled later.
	Lost        bool
	SettledBy   Acceptance
	WhatsAppID  string
	Failure     *StoredFailure
	confirmed   bool
	delivered   bool
	read        bool
	failedAfter bool
}

// Fold makes the message of its events, oldest first. Events of other
// aggregates are passed over, so that any stored history folds.
func Fold(records ...Record) Message {
	var m Message
	return m.With(records...)
}

// With is the message after further events. The receiver stays as it is.
func (m Message) With(records ...Record) Message {
	m.Calls = append([]Call(nil), m.Calls...)
	for _, r := range records {
		e, ok := r.Event.(Event)
		if !ok {
			continue
		}
		e.apply(&m, r.At)
		m.Status = Next(m.Status, e)
	}
	return m
}

// Exists reports whether anything is recorded of the message.
func (m Message) Exists() bool { return m.Status != "" }

// Erased reports whether the recipient was forgotten: there is nobody to send to
// any more, and nothing. Every message has a recipient when it is queued.
func (m Message) Erased() bool { return m.Exists() && m.To == "" }

// OpenCall is the call under way; nil if there is none.
func (m Message) OpenCall() *Call {
	if n := len(m.Calls); m.Status == StatusSending && n > 0 {
		return &m.Calls[n-1]
	}
	return nil
}

// acceptedBeside reports whether a call other than that of this number stands
// accepted and was not reported failed.
func (m Message) acceptedBeside(number int) bool {
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Number != number && c.Outcome == CallAccepted && !c.failedAfter {
			return true
		}
	}
	return false
}

// answerAwaited reports whether the answer of any call may still come, also of
// one that was under way when an earlier call closed the message.
func (m Message) answerAwaited(now time.Time) bool {
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Outcome == CallUnderWay && now.Before(c.AnswerBy) {
			return true
		}
	}
	return false
}

// call is the call of this number; nil if none was made.
func (m *Message) call(number int) *Call {
	if number < 1 || number > len(m.Calls) {
		return nil
	}
	return &m.Calls[number-1]
}

// CallOf is the number of the call that WhatsApp gave this wamid; 0 if none.
func (m Message) CallOf(whatsAppID string) int {
	for i := range m.Calls {
		if m.Calls[i].WhatsAppID == whatsAppID && whatsAppID != "" {
			return m.Calls[i].Number
		}
	}
	return 0
}

func (e Queued) apply(m *Message, at time.Time) {
	*m = Message{
		Sender: e.Sender, To: e.Personal.To, Kind: e.Kind, Content: e.Personal.Content, Template: e.Template,
		ReplyTo: e.Personal.ReplyTo, IdempotencyKey: e.Personal.IdempotencyKey, Labels: e.Personal.Labels,
		Priority: e.Priority, OnAmbiguous: e.OnAmbiguous, Fingerprint: cmp.Or(e.Personal.Fingerprint, e.Fingerprint),
		QueuedAt: at, SendAt: e.SendAt, ExpiresAt: e.ExpiresAt, DueAt: later(at, e.SendAt),
	}
}

func (e SendAttempted) apply(m *Message, at time.Time) {
	m.Calls = append(m.Calls, Call{
		Number: e.Call, Attempt: e.Attempt, Probe: e.Probe, StartedAt: at, AnswerBy: e.AnswerBy, Outcome: CallUnderWay,
	})
	m.Attempts = e.Attempt
	m.DueAt = e.AnswerBy
	m.Reason = ""
}

func (e Sent) apply(m *Message, at time.Time) {
	if c := m.call(e.Call); c != nil {
		c.Outcome, c.WhatsAppID = CallAccepted, e.Personal.WhatsAppID
		c.EndedAt = at
		if e.By == ByStatus {
			c.SettledBy = ByStatus
		}
	}
	m.WhatsAppID = e.Personal.WhatsAppID
	if m.SentAt.IsZero() {
		m.SentAt = e.At
	}
	m.SentTwice = m.SentTwice || e.Again
	m.DueAt, m.DeadLetteredAt = time.Time{}, time.Time{}
	m.Reason = ""
}

func (e Confirmed) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.confirmed = true
	}
}

func (e Delivered) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.delivered = true
	}
	m.DeliveredAt = earlier(m.DeliveredAt, e.At)
	m.DeadLetteredAt = time.Time{}
}

func (e Read) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.read = true
	}
	m.ReadAt = earlier(m.ReadAt, e.At)
	m.DeadLetteredAt = time.Time{}
}

func (e Failed) apply(m *Message, at time.Time) {
	f := &StoredFailure{Failure: e.Failure, Details: e.Personal.Details, At: at}
	m.Failure = f
	if e.Final {
		m.DueAt = time.Time{}
	}
	c := m.call(e.Call)
	if c == nil {
		return
	}
	c.Failure = f
	if e.AfterAcceptance {
		c.failedAfter = true
		return
	}
	c.Outcome, c.EndedAt = CallFailed, at
}

func (e RetryScheduled) apply(m *Message, _ time.Time) { m.DueAt = e.DueAt }

func (e DeadLettered) apply(m *Message, at time.Time) {
	m.Failure = &StoredFailure{Failure: e.Failure, Details: e.Personal.Details, At: at}
	m.Attempts = e.Attempts
	m.DueAt = time.Time{}
	if m.Status != StatusDelivered && m.Status != StatusRead {
		m.DeadLetteredAt = at
	}
}

func (e Deferred) apply(m *Message, at time.Time) {
	if c := m.call(e.Call); c != nil {
		c.Outcome, c.EndedAt = CallDeferred, at
	}
	m.Attempts = e.Attempt
	m.DueAt = e.DueAt
	m.Reason = deferralReason(e.Reason)
	if e.Reason == DeferThrottled || e.Reason == DeferPair {
		m.Throttles++
	}
}

func deferralReason(d Deferral) string {
	switch d {
	case DeferThrottled:
		return "WhatsApp asked to slow down; the message waits and keeps its attempts"
	case DeferPair:
		return "too many messages to this recipient in a short time; it waits and keeps its attempts"
	case DeferSenderHeld:
		return "the sender is held; the message waits and keeps its attempts"
	case DeferNotCalled:
		return "the call was not made in time; the message waits for its next turn"
	case DeferProbeFailed:
		return "WhatsApp does not answer; the message waits and keeps its attempts"
	case DeferTemplateHeld:
		return "WhatsApp does not take the template for now; the message waits and keeps its attempts"
	}
	return ""
}

func (e OutcomeUnknown) apply(m *Message, at time.Time) {
	if c := m.call(e.Call); c != nil {
		c.Outcome, c.EndedAt, c.Lost = CallUnknown, at, true
		if c.Probe { // of an outage: it tells nothing of the message
			m.Attempts = max(0, c.Attempt-1)
		}
	}
	m.DueAt = e.SettleBy
	m.Reason = "the answer to a call was lost; a status may still settle it"
}

func (e Requeued) apply(m *Message, at time.Time) {
	// A call that was under way when an earlier one closed the message has had
	// its time: its answer is lost, and only a status or a late acceptance can
	// still tell of it.
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Outcome == CallUnderWay {
			c.Outcome, c.EndedAt, c.Lost = CallUnknown, at, true
		}
	}
	m.Attempts, m.Throttles = 0, 0
	m.DueAt = at
	m.DeadLetteredAt = time.Time{}
	m.Reason = e.Reason
}

func (e Discarded) apply(m *Message, _ time.Time) { m.Reason = e.Reason }

func (e Cancelled) apply(m *Message, _ time.Time) {
	m.Reason, m.DueAt = e.Reason, time.Time{}
}

func (e Expired) apply(m *Message, _ time.Time) {
	m.Reason, m.DueAt = "its expiresAt passed before it was sent", time.Time{}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier is the earlier of two times, of which the first may be unset.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
