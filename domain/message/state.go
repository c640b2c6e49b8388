package message

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Namespace is the UUID namespace for message IDs, which are derived from the sender and the
// idempotency key.
var Namespace = uuid.MustParse("8388be3e-e8ab-4974-b14a-d6b277e7526d")

// ID returns the ID of the message that a sender queues under an idempotency key: the UUIDv5
// of the sender, a line feed, and the key.
func ID(sender, idempotencyKey string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(sender+"\n"+idempotencyKey))
}

// A Record is an event with the time at which it was recorded.
type Record struct {
	Event domain.Event
	At    time.Time
}

// A Message is the state that the events of one message fold to. It is a value: changing a
// copy doesn't change the original. The zero Message has no events.
type Message struct {
	Sender string
	// To is the recipient's number in E.164, and ToUserID their user ID. A message has one of
	// the two, until the recipient is erased.
	To       string
	ToUserID string
	Kind     Kind
	Content  json.RawMessage
	Template string
	// TemplateLanguage is empty for a message that an older version queued.
	TemplateLanguage string
	// OutsideWindow is what to do if the message is due while the recipient's window is
	// closed; empty means OutsideSend. Fallback is the template, named by the two fields below, that
	// is then sent with OutsideFallback. SubstitutedAt is when it took the content's place.
	OutsideWindow    OutsideWindow
	Fallback         json.RawMessage
	FallbackTemplate string
	FallbackLanguage string
	SubstitutedAt    time.Time
	// UncertainSince is when the message first waited to learn whether the window is closed.
	UncertainSince time.Time
	// LimitedSince is when the message first waited because of the messaging limit. AwaitsLimit
	// is set while it does. Then DueAt is only the latest time to look again.
	LimitedSince   time.Time
	AwaitsLimit    bool
	ReplyTo        string
	IdempotencyKey string
	Labels         []Label
	Priority       Priority
	OnAmbiguous    AmbiguityPolicy
	Fingerprint    string
	QueuedAt       time.Time
	SendAt         time.Time
	ExpiresAt      time.Time
	// DeliverWithin is the time from WhatsApp's acceptance to the delivery after which the
	// delivery is overdue. If 0, it never is.
	DeliverWithin time.Duration

	Status Status
	// Attempts is the number of attempts used, including one in progress.
	Attempts int
	// Calls has all calls made. The index is the call's number minus one.
	Calls []Call
	// Throttles counts the throttled calls since the message was queued or requeued.
	Throttles int
	// DueAt is when something is due next: while QUEUED or RETRYING, the next call; while
	// SENDING, the time after which the response counts as lost; while AMBIGUOUS, the end
	// of settling; while SENT, the time after which the delivery is overdue, or zero if that
	// is recorded or the message has no such time.
	DueAt time.Time
	// WhatsAppID is the wamid of the latest accepted call.
	WhatsAppID  string
	SentAt      time.Time
	DeliveredAt time.Time
	ReadAt      time.Time
	// OverdueSince is the time since which the delivery is overdue, or zero if it is not or
	// no longer.
	OverdueSince time.Time
	// Pricing is what WhatsApp said last about the price, with its own members.
	Pricing json.RawMessage
	// HeldForQuality is set while WhatsApp holds the accepted message back to assess the
	// quality of its template. The next status of the message ends it.
	HeldForQuality bool
	// SentTwice is set if two calls were accepted and the response to the earlier one was
	// lost.
	SentTwice      bool
	Failure        *StoredFailure
	DeadLetteredAt time.Time
	// Reason is what an operator gave when cancelling, discarding, or requeueing, or why
	// the message waits.
	Reason string
}

// A StoredFailure is a failure with the time at which it was recorded.
type StoredFailure struct {
	Failure
	Details string
	At      time.Time
}

// CallOutcome is the outcome of a call. The values are those of the GraphQL schema.
type CallOutcome string

// The outcomes of a call.
const (
	CallUnderWay CallOutcome = "UNDER_WAY"
	CallAccepted CallOutcome = "ACCEPTED"
	CallFailed   CallOutcome = "FAILED"
	CallDeferred CallOutcome = "DEFERRED"
	CallUnknown  CallOutcome = "UNKNOWN"
)

// A Call is one request to WhatsApp.
type Call struct {
	Number  int
	Attempt int
	Probe   bool
	// To is the number that was called if the message is to a user ID, or empty.
	To        string
	StartedAt time.Time
	AnswerBy  time.Time
	EndedAt   time.Time
	Outcome   CallOutcome
	// Lost is set once the response was declared lost, even if the call was settled later.
	Lost        bool
	SettledBy   Acceptance
	WhatsAppID  string
	Failure     *StoredFailure
	confirmed   bool
	delivered   bool
	read        bool
	failedAfter bool
	// reported are the statuses recorded by StatusReported, oldest first.
	reported []reportedStatus
}

// attemptsIfLost returns the number of attempts used if the call's response is lost. A
// probe gives its attempt back: WhatsApp's outage says nothing about the message.
func (c *Call) attemptsIfLost() int {
	if c.Probe {
		return max(0, c.Attempt-1)
	}
	return c.Attempt
}

// reportedStatus identifies a status that is not about delivery.
type reportedStatus struct {
	kind, status string
	at           int64 // in seconds
}

// Exists reports whether the message has any events.
func (m Message) Exists() bool { return m.Status != "" }

// Erased reports whether the recipient was erased: there is no one to send to and nothing to
// send. Every message has a recipient when it is queued.
func (m Message) Erased() bool { return m.Exists() && m.Recipient() == "" }

// Recipient returns the number or the user ID that the message is to, or "" if the recipient
// was erased.
func (m Message) Recipient() string { return cmp.Or(m.To, m.ToUserID) }

// OpenCall returns the call in flight, or nil if there is none.
func (m Message) OpenCall() *Call {
	if n := len(m.Calls); m.Status == StatusSending && n > 0 {
		return &m.Calls[n-1]
	}
	return nil
}

// acceptedBeside reports whether a call with another number is accepted and was not reported
// failed.
func (m Message) acceptedBeside(number int) bool {
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Number != number && c.Outcome == CallAccepted && !c.failedAfter {
			return true
		}
	}
	return false
}

// answerAwaited reports whether a response to any call is still possible, including a call
// that was in flight when an earlier one closed the message.
func (m Message) answerAwaited(now time.Time) bool {
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Outcome == CallUnderWay && now.Before(c.AnswerBy) {
			return true
		}
	}
	return false
}

// call returns the call with this number, or nil if it was not made.
func (m *Message) call(number int) *Call {
	if number < 1 || number > len(m.Calls) {
		return nil
	}
	return &m.Calls[number-1]
}

// CallByWhatsAppID returns the number of the call that WhatsApp gave this wamid, or 0 if
// there is none.
func (m Message) CallByWhatsAppID(whatsAppID string) int {
	for i := range m.Calls {
		if m.Calls[i].WhatsAppID == whatsAppID && whatsAppID != "" {
			return m.Calls[i].Number
		}
	}
	return 0
}
