package message

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Fold returns the message that its events, oldest first, lead to. It skips events of other
// aggregates, so that any stored history folds.
func Fold(records ...Record) Message {
	var m Message
	return m.Apply(records...)
}

// Apply returns the message after further events. The receiver doesn't change.
func (m Message) Apply(records ...Record) Message {
	m.Calls = append([]Call(nil), m.Calls...)
	for _, r := range records {
		e, ok := r.Event.(Event)
		if !ok {
			continue
		}
		e.apply(&m, r.At)
		m.Status = Next(m.Status, e)
		if m.Status != StatusSent {
			m.OverdueSince = time.Time{}
		}
	}
	return m
}

func (e Queued) apply(m *Message, at time.Time) {
	*m = Message{
		Sender: e.Sender, To: e.Personal.To, ToUserID: e.Personal.ToUserID, Kind: e.Kind, Content: e.Personal.Content, Template: e.Template, TemplateLanguage: e.TemplateLanguage,
		OutsideWindow: e.OutsideWindow, Fallback: e.Personal.Fallback, FallbackTemplate: e.FallbackTemplate, FallbackLanguage: e.FallbackLanguage,
		ReplyTo: e.Personal.ReplyTo, IdempotencyKey: e.Personal.IdempotencyKey, Labels: e.Personal.Labels,
		Priority: e.Priority, OnAmbiguous: e.OnAmbiguous, Fingerprint: cmp.Or(e.Personal.Fingerprint, e.Fingerprint),
		QueuedAt: at, SendAt: e.SendAt, ExpiresAt: e.ExpiresAt, DeliverWithin: secondsOf(e.DeliverWithinSeconds),
		DueAt: later(at, e.SendAt),
	}
}

func (e SendAttempted) apply(m *Message, at time.Time) {
	m.loseOpenCalls(at)
	c := Call{Number: e.Call, Attempt: e.Attempt, Probe: e.Probe, StartedAt: at, AnswerBy: e.AnswerBy, Outcome: CallUnderWay}
	if e.Personal != nil {
		c.To = e.Personal.To
	}
	m.Calls = append(m.Calls, c)
	m.Attempts = e.Attempt
	m.DueAt, m.AwaitsLimit = e.AnswerBy, false
	m.Reason = ""
}

// heldForQuality is WhatsApp's word for a message of a new template that it sends only if the
// first ones were received well. Otherwise, it reports failure 132015.
// Source: Meta's page on template pacing.
const heldForQuality = "held_for_quality_assessment"

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
	m.HeldForQuality = e.Held == heldForQuality
	m.awaitDelivery(e.At)
	m.DeadLetteredAt = time.Time{}
	m.Reason = ""
}

// awaitDelivery sets when the delivery of a message that was accepted at the given time is
// overdue. Another acceptance of a message that is SENT changes nothing.
func (m *Message) awaitDelivery(accepted time.Time) {
	switch {
	case m.Status == StatusSent:
	case m.DeliverWithin > 0 && m.Status != StatusDelivered && m.Status != StatusRead:
		m.DueAt = accepted.Add(m.DeliverWithin)
	default:
		m.DueAt = time.Time{}
	}
}

// secondsOf returns a duration that an event has in seconds, in microseconds, as read models
// store it. A value that no message can have counts as the nearest one that it can.
func secondsOf(s float64) time.Duration {
	if !(s > 0) { // also for NaN
		return 0
	}
	return time.Duration(min(s, MaxDeliverWithin.Seconds()) * float64(time.Second)).Round(time.Microsecond)
}

func (e DeliveryOverdue) apply(m *Message, _ time.Time) {
	if m.Status == StatusSent {
		m.OverdueSince, m.DueAt = e.Since, time.Time{}
	}
}

func (e Confirmed) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.confirmed = true
	}
	m.HeldForQuality = false
	m.price(e.Pricing)
}

func (e Delivered) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.delivered = true
	}
	m.HeldForQuality = false
	m.price(e.Pricing)
	m.DeliveredAt = earlier(m.DeliveredAt, e.At)
	m.DueAt, m.DeadLetteredAt = time.Time{}, time.Time{}
}

func (e Read) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		c.read = true
	}
	m.HeldForQuality = false
	m.price(e.Pricing)
	m.ReadAt = earlier(m.ReadAt, e.At)
	m.DueAt, m.DeadLetteredAt = time.Time{}, time.Time{}
}

// price keeps the price that a status came with. Older events have only three of its
// members, one of them under a name of their own.
func (m *Message) price(pricing json.RawMessage) {
	if len(pricing) == 0 || string(pricing) == "null" {
		return
	}
	m.Pricing = pricing
	var old struct {
		Model    string          `json:"model"`
		Type     string          `json:"type,omitempty"`
		Category string          `json:"category,omitempty"`
		Current  json.RawMessage `json:"pricing_model"`
	}
	if !bytes.Contains(pricing, []byte(`"model"`)) || json.Unmarshal(pricing, &old) != nil || old.Current != nil {
		return
	}
	m.Pricing, _ = json.Marshal(struct {
		Model    string `json:"pricing_model"`
		Type     string `json:"type,omitempty"`
		Category string `json:"category,omitempty"`
	}{old.Model, old.Type, old.Category})
}

func (e StatusReported) apply(m *Message, _ time.Time) {
	if c := m.call(e.Call); c != nil {
		// Copies of the message share the slice's array, so append to a copy.
		c.reported = append(slices.Clone(c.reported), reportedStatus{e.Type, e.Status, e.At.Unix()})
	}
}

func (e Failed) apply(m *Message, at time.Time) {
	f := &StoredFailure{Failure: e.Failure, Details: e.Personal.Details, At: at}
	m.Failure = f
	m.HeldForQuality = false
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

func (e RetryScheduled) apply(m *Message, _ time.Time) { m.DueAt, m.AwaitsLimit = e.DueAt, false }

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
	if e.Reason == DeferWindowUncertain && m.UncertainSince.IsZero() {
		m.UncertainSince = at
	}
	if m.AwaitsLimit = e.Reason == DeferMessagingLimit; m.AwaitsLimit && m.LimitedSince.IsZero() {
		m.LimitedSince = at
	}
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
	case DeferCampaignPaused:
		return "the campaign is paused; the message waits and keeps its attempts"
	case DeferWindowUncertain:
		return "the message waits until it is certain whether the recipient's 24-hour window is closed"
	case DeferMessagingLimit:
		return "the messaging limit is reached; the message waits until one more person can be messaged, and keeps its attempts"
	}
	return ""
}

func (e OutcomeUnknown) apply(m *Message, at time.Time) {
	c := m.call(e.Call)
	if c != nil {
		c.Outcome, c.EndedAt, c.Lost = CallUnknown, at, true
	}
	switch {
	case e.Attempt != nil:
		m.Attempts = *e.Attempt
	case c != nil && c.Probe: // recorded by an older version
		m.Attempts = c.attemptsIfLost()
	}
	m.DueAt, m.AwaitsLimit = e.SettleBy, false
	m.Reason = "the answer to a call was lost; a status may still settle it"
}

func (e Requeued) apply(m *Message, at time.Time) {
	m.loseOpenCalls(at)
	m.Attempts, m.Throttles = 0, 0
	m.DueAt, m.AwaitsLimit = at, false
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

// loseOpenCalls ends the calls that were in flight when an earlier one closed the message:
// their responses are lost, and only a status or a late acceptance can still reveal their
// outcome.
func (m *Message) loseOpenCalls(at time.Time) {
	for i := range m.Calls {
		if c := &m.Calls[i]; c.Outcome == CallUnderWay {
			c.Outcome, c.EndedAt, c.Lost = CallUnknown, at, true
		}
	}
}

func (e Substituted) apply(m *Message, at time.Time) {
	m.Kind, m.Content, m.SubstitutedAt = KindTemplate, m.Fallback, at
	m.Template, m.TemplateLanguage = e.Template, e.Language
	m.Attempts, m.Throttles = 0, 0
	m.DueAt, m.AwaitsLimit = later(at, e.DueAt), false
	m.Reason = "the recipient's 24-hour window is closed, so the fallback is sent"
}

func (e Suppressed) apply(m *Message, _ time.Time) {
	m.Reason, m.DueAt = "the recipient opted out of marketing messages", time.Time{}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier returns the earlier of two times. The first can be zero, which counts as later.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
