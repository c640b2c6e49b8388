package message

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// Policy is what the installation has set for every message.
type Policy struct {
	// RetryDelays are the delays before the retries; used up means dead letter.
	RetryDelays []time.Duration
	// CallTimeout is the bound of one call.
	CallTimeout time.Duration
	// SettleAfter is how long a lost answer waits for a status.
	SettleAfter time.Duration
	// ThrottleLimit is how many throttled calls a message may have.
	ThrottleLimit int
}

// answerMargin is how long after a call's own timeout its answer counts as
// lost to an owner that knows nothing of it: the time to record an outcome.
const answerMargin = 2 * time.Second

// attempts is the budget: the first call and the retries.
func (p Policy) attempts() int { return len(p.RetryDelays) + 1 }

// delay is the time from the failure of the given attempt to the next one.
func (p Policy) delay(attempt int) time.Duration {
	if attempt < 1 || attempt > len(p.RetryDelays) {
		return 0
	}
	return p.RetryDelays[attempt-1]
}

// Request is what a business hands over. Its values are checked and normalised.
type Request struct {
	Sender         string
	To             string
	Content        Content
	Priority       Priority
	OnAmbiguous    AmbiguityPolicy
	SendAt         time.Time
	ExpiresAt      time.Time
	ReplyTo        string
	IdempotencyKey string
	Labels         []Label
	Fingerprint    string
}

// maxAhead is how far ahead sendAt may lie: one year.
const maxAhead = 366 * 24 * time.Hour

// Queue decides on a request for a message of which nothing is recorded.
func Queue(r Request, now time.Time) ([]Event, error) {
	switch {
	case !r.SendAt.IsZero() && r.SendAt.After(now.Add(maxAhead)):
		return nil, domain.Invalid("sendAt", "lies more than a year ahead; give an earlier time")
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now):
		return nil, domain.Invalid("expiresAt", "has passed; give a later time or none")
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(r.SendAt):
		return nil, domain.Invalid("expiresAt", "must be later than sendAt")
	}
	if err := r.Content.Validate(); err != nil {
		return nil, domain.Under("content", err)
	}
	if err := checkReply(r.ReplyTo, r.Content.Kind()); err != nil {
		return nil, err
	}
	body, err := Encode(r.Content)
	if err != nil {
		return nil, domain.Under("content", err)
	}
	e := Queued{
		Sender: r.Sender, Kind: r.Content.Kind(), Priority: r.Priority, OnAmbiguous: r.OnAmbiguous,
		SendAt: r.SendAt, ExpiresAt: r.ExpiresAt,
		Personal: QueuedPersonal{
			To: r.To, Content: body, ReplyTo: r.ReplyTo, IdempotencyKey: r.IdempotencyKey, Labels: r.Labels,
			Fingerprint: r.Fingerprint,
		},
	}
	if t, ok := r.Content.(Template); ok {
		e.Template = t.Name
	}
	return []Event{e}, nil
}

// Advance is what the owner of a message's lane does when it is due: a call is
// begun (the events end with SendAttempted), a call's answer is declared lost,
// or the message is ended by its policy or its expiry. Nothing is due yet, or
// any more: no events. With probe the call uses no attempt if WhatsApp does not
// answer it.
func Advance(m Message, p Policy, probe bool, now time.Time) []Event {
	if now.Before(m.DueAt) && !m.atOnce() {
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
			return []Event{Cancelled{Reason: "the recipient's personal data were erased before it was sent"}}
		}
		return []Event{m.begin(p, probe, now)}
	case StatusSending:
		return FinishCall(m, len(m.Calls), Lost{Cause: "no outcome was recorded in time"}, p, now)
	case StatusAmbiguous:
		switch {
		case m.OnAmbiguous == AmbiguityDeadLetter:
			return []Event{m.unsettled("the answer was lost and no status settled it; the message's policy is not to send again")}
		case m.Attempts >= p.attempts():
			return []Event{m.unsettled("the answer of the last attempt was lost and no status settled it")}
		case m.expired(now):
			return []Event{Expired{}}
		case m.Erased():
			return []Event{m.unsettled("the answer was lost, no status settled it, and the recipient's personal data were erased")}
		}
		return []Event{m.begin(p, probe, now)}
	case StatusSent, StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered,
		StatusCancelled, StatusExpired, StatusDiscarded:
	}
	return nil
}

// atOnce reports whether the message is due since it was queued, whatever the clock
// says: that of the process which accepted it may have been ahead.
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

// FinishCall decides what came of a call. A call that was closed before gives
// no events, so a repeated answer changes nothing.
func FinishCall(m Message, number int, result CallResult, p Policy, now time.Time) []Event {
	c := m.call(number)
	if c == nil {
		return nil
	}
	if a, ok := result.(Accepted); ok {
		if c.Outcome == CallAccepted || c.failedAfter {
			return nil // a status told it first
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
		return []Event{OutcomeUnknown{Call: number, Cause: r.Cause, HTTPStatus: r.HTTPStatus, SettleBy: now.Add(wait)}}
	case NotCalled:
		return m.deferred(c, Deferred{Call: number, Attempt: c.Attempt - 1, Reason: DeferNotCalled, DueAt: now})
	case Put:
		return m.deferred(c, Deferred{
			Call: number, Attempt: c.Attempt - 1, Reason: r.Reason, Scope: r.Scope, Code: r.Code, DueAt: r.DueAt,
		})
	}
	return nil
}

// Put is a refused call that does not count against the message: the caller,
// who knows the state of the lane, has chosen why and until when it waits.
type Put struct {
	Reason Deferral
	Scope  ThrottleScope
	Code   *int
	DueAt  time.Time
}

func (Put) callResult() {}

// awaits reports whether the message's course hangs on c: it is the open call.
// It is not once an earlier call's acceptance has closed the message.
func (m Message) awaits(c *Call) bool {
	open := m.OpenCall()
	return open != nil && open.Number == c.Number
}

// deferred puts the message back, unless its course no longer hangs on c.
func (m Message) deferred(c *Call, d Deferred) []Event {
	if !m.awaits(c) {
		return nil
	}
	return []Event{d}
}

func (m Message) refused(c *Call, r Refused, p Policy, now time.Time) []Event {
	failed := Failed{Call: c.Number, Attempt: c.Attempt, Failure: r.Failure, At: now, Personal: r.Personal}
	if !m.awaits(c) {
		return []Event{failed} // closed by an earlier call: a fact, no more
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
	failed.Final = true
	return []Event{failed}
}

// accept completes a Sent with whether the recipient now has the message twice.
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

// StatusKind is a status of WhatsApp.
type StatusKind string

// The statuses of WhatsApp that a message takes in.
const (
	ReportSent      StatusKind = "sent"
	ReportDelivered StatusKind = "delivered"
	ReportRead      StatusKind = "read"
	ReportFailed    StatusKind = "failed"
)

// Report is a status of WhatsApp for one call of a message.
type Report struct {
	Kind StatusKind
	// Call is the call it tells of, by its callback data; 0 to find it by the wamid.
	Call        int
	WhatsAppID  string
	RecipientID string
	// At is WhatsApp's own time.
	At      time.Time
	Pricing *Pricing
	// Failure and Personal are set for ReportFailed.
	Failure  Failure
	Personal FailurePersonal
}

// RecordReport decides on a status. A status that stands already gives no
// events. One that no call of the message fits gives false.
func RecordReport(m Message, r Report) ([]Event, bool) {
	number := r.Call
	if number == 0 {
		number = m.CallOf(r.WhatsAppID)
	}
	c := m.call(number)
	if c == nil {
		return nil, false
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
		m = m.With(Record{Event: sent, At: r.At})
		c = m.call(number)
	}
	switch r.Kind {
	case ReportSent:
		if !c.confirmed {
			events = append(events, Confirmed{Call: number, At: r.At, Pricing: r.Pricing})
		}
	case ReportDelivered:
		if !c.delivered {
			events = append(events, Delivered{Call: number, At: r.At, CalledAt: c.StartedAt, Pricing: r.Pricing})
		}
	case ReportRead:
		if !c.read {
			events = append(events, Read{Call: number, At: r.At, CalledAt: c.StartedAt, Pricing: r.Pricing})
		}
	case ReportFailed:
		events = append(events, m.failedAfterAcceptance(c, r)...)
	}
	return events, true
}

func (m Message) failedAfterAcceptance(c *Call, r Report) []Event {
	if c.failedAfter {
		return nil
	}
	failed := Failed{
		Call: c.Number, Attempt: c.Attempt, Failure: r.Failure, AfterAcceptance: true, At: r.At, Personal: r.Personal,
	}
	if m.Status != StatusSent || m.acceptedBeside(c.Number) {
		return []Event{failed} // it stays what it is: delivered, or pending anew
	}
	if r.Failure.Class == ClassTransient || r.Failure.Class == ClassThrottled {
		return []Event{failed, DeadLettered{Attempts: m.Attempts, Failure: r.Failure, Personal: r.Personal}}
	}
	failed.Final = true
	return []Event{failed}
}

// Cancel calls a message off while no call is open, unsettled or over.
func Cancel(m Message, reason string) ([]Event, error) {
	switch m.Status {
	case StatusQueued, StatusRetrying:
		return []Event{Cancelled{Reason: reason}}, nil
	case StatusCancelled:
		return nil, nil
	case StatusSending, StatusAmbiguous:
		return nil, domain.Conflict("a call for the message is under way or unsettled; try again once its outcome is known")
	case StatusSent, StatusDelivered, StatusRead, StatusFailed, StatusDeadLettered, StatusExpired, StatusDiscarded:
	}
	return nil, domain.Conflict("the message is %s; only a queued or retrying message can be cancelled", m.Status)
}

// Requeue sends a dead letter again, with a fresh budget.
func Requeue(m Message, reason string, now time.Time) ([]Event, error) {
	switch {
	case m.Status != StatusDeadLettered:
		return nil, domain.Conflict("the message is %s, not a dead letter", m.Status)
	case m.expired(now):
		return nil, domain.Conflict("the message has expired; queue a new one")
	case m.Erased():
		return nil, domain.Conflict("the recipient's personal data were erased; there is nothing left to send")
	case m.answerAwaited(now):
		return nil, domain.Conflict("a call for the message is still under way; try again in a minute")
	}
	return []Event{Requeued{Reason: reason}}, nil
}

// Discard drops a dead letter.
func Discard(m Message, reason string, now time.Time) ([]Event, error) {
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
