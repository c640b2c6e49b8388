package message

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// Policy has the installation's settings that apply to every message.
type Policy struct {
	// RetryDelays are the delays before each retry. After the last retry, the message
	// becomes a dead letter.
	RetryDelays []time.Duration
	// CallTimeout is the timeout of one call.
	CallTimeout time.Duration
	// SettleAfter is how long to wait for a status after a lost response.
	SettleAfter time.Duration
	// ThrottleLimit is the maximum number of throttled calls of a message.
	ThrottleLimit int
}

// answerMargin is the time after a call's timeout until an owner that knows nothing about
// the call can declare its response lost. It is the time to record an outcome.
const answerMargin = 2 * time.Second

// attempts returns the budget: the first call and the retries.
func (p Policy) attempts() int { return len(p.RetryDelays) + 1 }

// delay returns the time from the failure of the given attempt to the next one.
func (p Policy) delay(attempt int) time.Duration {
	if attempt < 1 || attempt > len(p.RetryDelays) {
		return 0
	}
	return p.RetryDelays[attempt-1]
}

// A Request is what a business submits. Its values are checked and normalized.
type Request struct {
	Sender string
	// To is a number and ToUserID a user ID. Exactly one is given.
	To          string
	ToUserID    string
	Content     Content
	Priority    Priority
	OnAmbiguous AmbiguityPolicy
	SendAt      time.Time
	ExpiresAt   time.Time
	// DeliverWithin is the time from WhatsApp's acceptance to the delivery after which the
	// delivery is overdue. If nil, the installation's setting applies; if 0, it never is.
	DeliverWithin *time.Duration
	// OutsideWindow is what to do if the recipient's 24-hour window is closed when the
	// message is due. Empty means OutsideSend. Fallback is the template for OutsideFallback.
	OutsideWindow  OutsideWindow
	Fallback       *Template
	ReplyTo        string
	IdempotencyKey string
	// FormerKeys are idempotency keys under which an earlier version of the caller can have
	// queued the same message. They are not recorded.
	FormerKeys  []string
	Labels      []Label
	Fingerprint string
}

// maxContent is the maximum size of content as JSON, in bytes. With the rest of the event,
// it fits into what every event store accepts.
const maxContent = 256 << 10

// maxAhead is the maximum time from now to sendAt: one year.
const maxAhead = 366 * 24 * time.Hour

// The shortest and the longest time to wait for a delivery. WhatsApp tries to deliver a
// message for at most 30 days.
const (
	MinDeliverWithin = time.Second
	MaxDeliverWithin = 30 * 24 * time.Hour
)

// CheckDeliverWithin checks a time to wait for a delivery: none, or MinDeliverWithin to
// MaxDeliverWithin.
func CheckDeliverWithin(d time.Duration) error {
	if d != 0 && (d < MinDeliverWithin || d > MaxDeliverWithin) {
		return domain.Invalid("deliverWithin", "must be PT1S to P30D, or PT0S for none, got %s", d)
	}
	return nil
}

// Queue decides on a request for a message without events.
func Queue(r Request, now time.Time) ([]Event, error) {
	switch {
	case !r.Priority.Valid():
		return nil, domain.Invalid("priority", "must be OTP, TRANSACTIONAL, or BULK, got %.64q", string(r.Priority))
	case !r.OnAmbiguous.Valid():
		return nil, domain.Invalid("onAmbiguous", "must be RESEND or DEAD_LETTER, got %.64q", string(r.OnAmbiguous))
	case !r.SendAt.IsZero() && r.SendAt.After(now.Add(maxAhead)):
		return nil, domain.Invalid("sendAt", "is more than a year in the future; choose an earlier time")
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now):
		return nil, domain.Invalid("expiresAt", "has passed; choose a later time or omit it")
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(r.SendAt):
		return nil, domain.Invalid("expiresAt", "must be later than sendAt")
	}
	var within time.Duration
	if r.DeliverWithin != nil {
		within = *r.DeliverWithin
	}
	if err := CheckDeliverWithin(within); err != nil {
		return nil, err
	}
	if err := r.Content.Validate(); err != nil {
		return nil, domain.PrefixField("content", err)
	}
	if err := checkReply(r.ReplyTo, r.Content.Kind()); err != nil {
		return nil, err
	}
	if r.ToUserID != "" {
		if err := checkForUserID(r.Content, r.Priority); err != nil {
			return nil, err
		}
	}
	fallback, err := r.encodeFallback()
	if err != nil {
		return nil, err
	}
	body, err := Encode(r.Content)
	if err != nil {
		return nil, domain.PrefixField("content", err)
	}
	if err := domain.CheckJSON("content."+r.Content.Kind().APIName(), body, maxContent); err != nil {
		return nil, err
	}
	e := Queued{
		Sender: r.Sender, Kind: r.Content.Kind(), Priority: r.Priority, OnAmbiguous: r.OnAmbiguous,
		SendAt: r.SendAt, ExpiresAt: r.ExpiresAt, DeliverWithinSeconds: within.Seconds(),
		OutsideWindow: r.OutsideWindow.recorded(),
		Personal: QueuedPersonal{
			To: r.To, ToUserID: r.ToUserID, Content: body, Fallback: fallback, ReplyTo: r.ReplyTo, IdempotencyKey: r.IdempotencyKey, Labels: r.Labels,
			Fingerprint: r.Fingerprint,
		},
	}
	if t, ok := r.Content.(Template); ok {
		e.Template, e.TemplateLanguage = t.Name, t.Language.Code
	}
	if r.Fallback != nil {
		e.FallbackTemplate, e.FallbackLanguage = r.Fallback.Name, r.Fallback.Language.Code
	}
	return []Event{e}, nil
}

// Advance decides what the owner of a message's lane does when the message is due. It begins
// a call (the events end with SendAttempted), declares a call's response lost, ends the
// message by its policy or its expiry, or reports that its delivery is overdue. It returns no
// events if nothing is due, or no longer.
// If probe is set, the call uses no attempt if WhatsApp doesn't respond to it.
func Advance(m Message, p Policy, probe bool, now time.Time) []Event {
	if now.Before(m.DueAt) && !m.atOnce() && !m.AwaitsLimit {
		if m.expired(now) && (m.Status == StatusQueued || m.Status == StatusRetrying) {
			return []Event{Expired{}}
		}
		return nil
	}
	switch m.Status {
	case StatusQueued, StatusRetrying:
		if m.expired(now) {
			return []Event{Expired{}}
		}
		if m.Erased() {
			return CancelErased(m)
		}
		return []Event{m.begin(p, probe, now)}
	case StatusSending:
		return FinishCall(m, len(m.Calls), Lost{Cause: "no outcome was recorded in time"}, p, now)
	case StatusAmbiguous:
		switch {
		case m.OnAmbiguous.deadLetters():
			return []Event{m.unsettled("the response was lost and no status settled it; the message's policy is not to send again")}
		case m.Attempts >= p.attempts():
			return []Event{m.unsettled("the response to the last attempt was lost and no status settled it")}
		case m.expired(now):
			return []Event{Expired{}}
		case m.Erased():
			return []Event{m.unsettled("the response was lost, no status settled it, and the recipient's personal data was erased")}
		}
		return []Event{m.begin(p, probe, now)}
	case StatusSent:
		if !m.DueAt.IsZero() {
			return []Event{DeliveryOverdue{Since: m.DueAt}}
		}
	case StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered,
		StatusCancelled, StatusExpired, StatusDiscarded, StatusSuppressed:
	}
	return nil
}

// atOnce reports whether the message has been due since it was queued, whatever the clock
// says: the clock of the process that accepted it can have been ahead.
func (m Message) atOnce() bool { return m.Status == StatusQueued && m.DueAt.Equal(m.QueuedAt) }

func (m Message) expired(now time.Time) bool {
	return !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt)
}

func (m Message) begin(p Policy, probe bool, now time.Time) SendAttempted {
	return SendAttempted{
		Call: len(m.Calls) + 1, Attempt: m.Attempts + 1, Probe: probe,
		AnswerBy: now.Add(p.CallTimeout + answerMargin),
	}
}

func (m Message) unsettled(why string) DeadLettered {
	return DeadLettered{Attempts: m.Attempts, Failure: Failure{
		Category: CategoryUnsettled, Class: ClassTransient, Message: why,
		Advice: "Check with the recipient whether it arrived; requeue it to send it again, or discard it.",
	}}
}

// FinishCall decides on the result of a call. It returns no events for a call that is
// already closed, so a repeated result changes nothing.
func FinishCall(m Message, number int, result CallResult, p Policy, now time.Time) []Event {
	c := m.call(number)
	if c == nil {
		return nil
	}
	if a, ok := result.(Accepted); ok {
		if c.Outcome == CallAccepted || c.failedAfter {
			return nil // a status reported it first
		}
		return []Event{m.accept(c, Sent{
			Call: number, At: now, By: ByAnswer, Held: a.Held,
			Personal: SentPersonal{WhatsAppID: a.WhatsAppID, RecipientID: a.RecipientID},
		})}
	}
	if c.Outcome != CallUnderWay {
		return nil
	}
	switch r := result.(type) {
	case Refused:
		return m.refused(c, r, p, now)
	case Lost:
		if !m.awaits(c) {
			return nil
		}
		wait := max(p.SettleAfter, p.delay(c.Attempt))
		return []Event{OutcomeUnknown{
			Call: number, Attempt: new(c.attemptsIfLost()), Cause: r.Cause, HTTPStatus: r.HTTPStatus, SettleBy: now.Add(wait),
		}}
	case NotCalled:
		return m.deferred(c, Deferred{Call: number, Attempt: c.Attempt - 1, Reason: DeferNotCalled, DueAt: now})
	case Postponed:
		return m.deferred(c, Deferred{
			Call: number, Attempt: c.Attempt - 1, Reason: r.Reason, Scope: r.Scope, Code: r.Code, DueAt: r.DueAt,
		})
	}
	return nil
}

// Postponed is a refused call that doesn't count against the message. The caller, which
// knows the state of the lane, has chosen why the message waits, and until which time.
type Postponed struct {
	Reason Deferral
	Scope  ThrottleScope
	Code   *int
	DueAt  time.Time
}

func (Postponed) callResult() {}

// awaits reports whether the message's state depends on c, because it is the open call. It
// no longer does once the acceptance of an earlier call has closed the message.
func (m Message) awaits(c *Call) bool {
	open := m.OpenCall()
	return open != nil && open.Number == c.Number
}

// deferred defers the message, unless its state no longer depends on c.
func (m Message) deferred(c *Call, d Deferred) []Event {
	if !m.awaits(c) {
		return nil
	}
	return []Event{d}
}

func (m Message) refused(c *Call, r Refused, p Policy, now time.Time) []Event {
	failed := Failed{Call: c.Number, Attempt: c.Attempt, Failure: r.Failure, At: now, Personal: r.Personal}
	if !m.awaits(c) {
		return []Event{failed} // closed by an earlier call: only recorded
	}
	switch r.Failure.Class {
	case ClassThrottled:
		if m.Throttles+1 > p.ThrottleLimit {
			f := r.Failure
			f.Category = CategoryRateLimit
			return []Event{failed, DeadLettered{Attempts: c.Attempt - 1, Failure: f, Personal: r.Personal}}
		}
		reason := DeferThrottled
		if r.Scope == ScopePair {
			reason = DeferPair
		}
		return []Event{Deferred{
			Call: c.Number, Attempt: c.Attempt - 1, Reason: reason, Scope: r.Scope, Code: r.Failure.Code,
			DueAt: now.Add(time.Duration(r.RetryAfterSeconds) * time.Second),
		}}
	case ClassSender:
		return []Event{Deferred{
			Call: c.Number, Attempt: c.Attempt - 1, Reason: DeferSenderHeld, Code: r.Failure.Code, DueAt: now,
		}}
	case ClassTransient:
		if c.Probe && r.Unreachable {
			return []Event{Deferred{Call: c.Number, Attempt: c.Attempt - 1, Reason: DeferProbeFailed, DueAt: now}}
		}
		if c.Attempt >= p.attempts() {
			return []Event{failed, DeadLettered{Attempts: c.Attempt, Failure: r.Failure, Personal: r.Personal}}
		}
		return []Event{failed, RetryScheduled{Attempt: c.Attempt, DueAt: now.Add(p.delay(c.Attempt))}}
	case ClassPermanent:
	}
	return m.ended(failed)
}

// ended returns the events of a message that ends with a permanent failure, unless its
// fallback takes its place because WhatsApp refused it for a closed window.
func (m Message) ended(failed Failed) []Event {
	if failed.Failure.WindowClosed() && m.GuardsWindow() {
		if m.OutsideWindow == OutsideFallback {
			return []Event{failed, m.substitute(Substituted{Call: failed.Call, AfterAcceptance: failed.AfterAcceptance})}
		}
		failed.Failure.Category = CategoryWindow
	}
	failed.Final = true
	return []Event{failed}
}

// accept adds to a Sent event whether the recipient now has the message twice.
func (m Message) accept(c *Call, s Sent) Sent {
	for i := range m.Calls {
		o := &m.Calls[i]
		if o.Number == c.Number || o.Outcome != CallAccepted || m.SentTwice {
			continue
		}
		first := o
		if c.Number < o.Number {
			first = c
		}
		s.Again = s.Again || first.Lost
	}
	return s
}

// StatusKind is a kind of WhatsApp status.
type StatusKind string

// The kinds of WhatsApp statuses that a message records.
const (
	ReportSent      StatusKind = "sent"
	ReportDelivered StatusKind = "delivered"
	ReportRead      StatusKind = "read"
	ReportFailed    StatusKind = "failed"
	// ReportOther is a status that is not about the delivery of the message; see
	// StatusUpdate.About.
	ReportOther StatusKind = "other"
)

// maxReported is the maximum number of statuses of one call that are not about delivery.
const maxReported = 100

// About identifies a status that is not about the delivery of a message, in
// WhatsApp's own words.
type About struct {
	// Type is the subject of the status, for example "payment".
	Type string
	// Status is what happened to it, for example "captured".
	Status string
	// Raw is the status as received, truncated to 4 KiB.
	Raw string
}

// A StatusUpdate is a WhatsApp status for one call of a message.
type StatusUpdate struct {
	Kind StatusKind
	// Call is the call that the status is about, by its callback data, or 0 to find it by
	// the wamid.
	Call        int
	WhatsAppID  string
	RecipientID string
	// At is WhatsApp's own time.
	At time.Time
	// Pricing and Conversation are WhatsApp's objects, as received.
	Pricing      json.RawMessage
	Conversation json.RawMessage
	// Failure and Personal are set for ReportFailed.
	Failure  Failure
	Personal FailurePersonal
	// About is set for ReportOther.
	About About
}

// personal returns the personal part of the status's event, or nil if there is none.
func (r StatusUpdate) personal() *StatusPersonal {
	if len(r.Conversation) == 0 {
		return nil
	}
	return &StatusPersonal{Conversation: r.Conversation}
}

// RecordStatusUpdate decides on a status. It returns no events if the status is already
// recorded, and false if it matches no call of the message.
func RecordStatusUpdate(m Message, r StatusUpdate) ([]Event, bool) {
	number := r.Call
	if number == 0 {
		number = m.CallByWhatsAppID(r.WhatsAppID)
	}
	c := m.call(number)
	if c == nil {
		return nil, false
	}
	if r.Kind == ReportOther {
		return c.report(r)
	}
	var events []Event
	// Any status proves that the call was accepted; a delivery also ends a
	// resend that is pending for a call reported failed before.
	reached := r.Kind == ReportDelivered || r.Kind == ReportRead
	if c.Outcome != CallAccepted || (reached && m.Status.Open() && c.failedAfter) {
		sent := m.accept(c, Sent{
			Call: number, At: c.StartedAt, By: ByStatus,
			Personal: SentPersonal{WhatsAppID: r.WhatsAppID, RecipientID: r.RecipientID},
		})
		events = append(events, sent)
		m = m.Apply(Record{Event: sent, At: r.At})
		c = m.call(number)
	}
	switch r.Kind {
	case ReportSent:
		if !c.confirmed {
			events = append(events, Confirmed{Call: number, At: r.At, Pricing: r.Pricing, Personal: r.personal()})
		}
	case ReportDelivered:
		if !c.delivered {
			events = append(events, Delivered{Call: number, At: r.At, CalledAt: c.StartedAt, Pricing: r.Pricing, Personal: r.personal()})
		}
	case ReportRead:
		if !c.read {
			events = append(events, Read{Call: number, At: r.At, CalledAt: c.StartedAt, Pricing: r.Pricing, Personal: r.personal()})
		}
	case ReportFailed:
		events = append(events, m.failedAfterAcceptance(c, r)...)
	case ReportOther: // decided above
	}
	return events, true
}

// report decides on a status that is not about delivery. Unlike the others, it does
// not settle a call, because it must not change the message's status. It returns
// false if the call has too many of them.
func (c *Call) report(r StatusUpdate) ([]Event, bool) {
	switch {
	case slices.Contains(c.reported, reportedStatus{r.About.Type, r.About.Status, r.At.Unix()}):
		return nil, true
	case len(c.reported) >= maxReported:
		return nil, false
	}
	return []Event{StatusReported{
		Call: c.Number, Type: r.About.Type, Status: r.About.Status, At: r.At, Personal: StatusReportedPersonal{Raw: r.About.Raw},
	}}, true
}

func (m Message) failedAfterAcceptance(c *Call, r StatusUpdate) []Event {
	if c.failedAfter {
		return nil
	}
	failed := Failed{
		Call: c.Number, Attempt: c.Attempt, Failure: r.Failure, AfterAcceptance: true, At: r.At, Personal: r.Personal,
	}
	if m.Status != StatusSent || m.acceptedBeside(c.Number) {
		return []Event{failed} // it stays delivered, or pending after a requeue
	}
	if r.Failure.Class == ClassTransient || r.Failure.Class == ClassThrottled {
		return []Event{failed, DeadLettered{Attempts: m.Attempts, Failure: r.Failure, Personal: r.Personal}}
	}
	return m.ended(failed)
}

// Cancel cancels a message, unless a call is open or unsettled or the message has ended.
func Cancel(m Message, reason string) ([]Event, error) {
	if err := domain.CheckReason("reason", reason); err != nil {
		return nil, err
	}
	switch m.Status {
	case StatusQueued, StatusRetrying:
		return []Event{Cancelled{Reason: reason}}, nil
	case StatusCancelled:
		return nil, nil
	case StatusSending, StatusAmbiguous:
		return nil, domain.Conflict("a call for the message is in progress or unsettled; try again when its outcome is known")
	case StatusSent, StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered, StatusExpired, StatusDiscarded, StatusSuppressed:
	}
	return nil, domain.Conflict("the message is %s; only a queued or retrying message can be cancelled", m.Status)
}

// CancelErased ends a message whose recipient was erased before it was sent, without
// waiting until it is due. It returns no events for any other message, nor while a call
// is open or unsettled: such a message ends with its call.
func CancelErased(m Message) []Event {
	if m.Erased() && (m.Status == StatusQueued || m.Status == StatusRetrying) {
		return []Event{Cancelled{Reason: "the recipient's personal data was erased before it was sent"}}
	}
	return nil
}

// Requeue sends a dead letter again, with a fresh budget.
func Requeue(m Message, reason string, now time.Time) ([]Event, error) {
	if err := domain.CheckReason("reason", reason); err != nil {
		return nil, err
	}
	switch {
	case m.Status != StatusDeadLettered:
		return nil, domain.Conflict("the message is %s, not a dead letter", m.Status)
	case m.expired(now):
		return nil, domain.Conflict("the message has expired; queue a new one")
	case m.Erased():
		return nil, domain.Conflict("the recipient's personal data was erased; there is nothing left to send")
	case m.answerAwaited(now):
		return nil, domain.Conflict("a call for the message is still in progress; try again in a minute")
	}
	return []Event{Requeued{Reason: reason}}, nil
}

// Discard drops a dead letter.
func Discard(m Message, reason string, now time.Time) ([]Event, error) {
	if err := domain.CheckReason("reason", reason); err != nil {
		return nil, err
	}
	switch {
	case m.Status == StatusDiscarded:
		return nil, nil
	case m.Status != StatusDeadLettered:
		return nil, domain.Conflict("the message is %s, not a dead letter", m.Status)
	case m.expired(now):
		return nil, domain.Conflict("the message has expired and will never be sent; there is nothing to discard")
	}
	return []Event{Discarded{Reason: reason}}, nil
}

// Reject ends a message that is due without a call, because WhatsApp would certainly refuse
// it. It returns no events unless the message waits for a call.
func Reject(m Message, f Failure, now time.Time) []Event {
	switch m.Status {
	case StatusQueued, StatusRetrying:
	case StatusAmbiguous:
		return []Event{m.unsettled("the response was lost, no status settled it, and the message cannot be sent again: " + f.Message)}
	case StatusSending, StatusSent, StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered,
		StatusCancelled, StatusExpired, StatusDiscarded, StatusSuppressed:
		return nil
	}
	return []Event{Failed{Attempt: m.Attempts, Failure: f, Final: true, At: now}}
}
