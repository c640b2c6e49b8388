package postgres_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func queued(senderID, key string) message.Queued {
	return message.Queued{
		Sender: senderID, Kind: "TEXT", Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend,
		Fingerprint: "f", Personal: message.QueuedPersonal{
			To: "+14155550101", Content: json.RawMessage(`{"type":"text"}`), IdempotencyKey: key,
			Labels: []message.Label{{Name: "campaign", Value: "spring"}},
		},
	}
}

func failure() message.Failure {
	code := 131000
	return message.Failure{Code: &code, Category: message.CategoryServer, Class: message.ClassTransient, Message: "something went wrong"}
}

// history draws what can happen to one message, append by append. The aggregate decides, so
// every history is one that the log can have, in the shape of this version or of an
// older one.
type history struct {
	id      uuid.UUID
	sender  string
	key     event.KeyID // its recipient's, once it is queued
	message message.Message
	records []message.Record
}

func (h *history) record(at time.Time, events ...domain.Event) {
	for _, e := range events {
		r := message.Record{Event: e, At: at}
		h.message = h.message.Apply(r)
		h.records = append(h.records, r)
	}
}

func (h *history) String() string {
	var s strings.Builder
	for _, r := range h.records {
		data, err := json.Marshal(r.Event)
		fmt.Fprintf(&s, "\n%s %s %s %v", r.At.Format(time.TimeOnly), r.Event.EventType(), data, err)
	}
	return s.String()
}

// next draws the events of the message's next append. It returns none if nothing more
// happened.
func (h *history) next(t *rapid.T, now time.Time) []domain.Event {
	if !h.message.Exists() {
		return []domain.Event{h.queued(t, now)}
	}
	for range 5 {
		var decided []message.Event
		m := h.message
		switch {
		case m.Status == message.StatusSending && len(m.Calls) > 1 && m.OutsideWindow == message.OutsideFallback && rapid.Bool().Draw(t, "an earlier call was refused"):
			u := h.statusUpdate(t, now)
			u.Call, u.Kind = 1, message.ReportFailed
			u.WhatsAppID, u.Failure = h.wamid(1), failure()
			u.Failure.Code, u.Failure.Class = new(131047), message.ClassPermanent
			decided, _ = message.RecordStatusUpdate(m, u)
		case len(m.Calls) > 0 && rapid.IntRange(0, 2).Draw(t, "of a status") == 0:
			decided, _ = message.RecordStatusUpdate(m, h.statusUpdate(t, now))
		default:
			decided = h.decide(t, now)
		}
		if len(decided) > 0 {
			return asRecorded(t, decided)
		}
	}
	return nil
}

// asRecorded returns the events as this version or an older one recorded them.
func asRecorded(t *rapid.T, decided []message.Event) []domain.Event {
	events := make([]domain.Event, len(decided))
	for i, e := range decided {
		if lost, ok := e.(message.OutcomeUnknown); ok && rapid.Bool().Draw(t, "by an older version") {
			lost.Attempt = nil
			e = lost
		}
		events[i] = e
	}
	return events
}

func (h *history) queued(t *rapid.T, now time.Time) message.Queued {
	q := queued(h.sender, h.id.String())
	q.Priority = rapid.SampledFrom(message.Priorities()).Draw(t, "priority")
	q.OnAmbiguous = rapid.SampledFrom([]message.AmbiguityPolicy{message.AmbiguityResend, message.AmbiguityDeadLetter}).Draw(t, "onAmbiguous")
	if rapid.Bool().Draw(t, "template") {
		q.Kind, q.Template, q.TemplateLanguage = message.KindTemplate, "spring_sale", rapid.SampledFrom([]string{"", "en"}).Draw(t, "language")
	}
	switch rapid.IntRange(0, 3).Draw(t, "outsideWindow") {
	case 0:
		q.OutsideWindow, q.FallbackTemplate = message.OutsideFallback, "reminder"
		q.FallbackLanguage = rapid.SampledFrom([]string{"", "en"}).Draw(t, "fallback language")
		q.Personal.Fallback = json.RawMessage(`{"name":"reminder","language":{"code":"en"}}`)
	case 1:
		q.OutsideWindow = message.OutsideFail
	}
	if rapid.Bool().Draw(t, "fingerprint is personal") {
		q.Fingerprint, q.Personal.Fingerprint = "", q.Fingerprint
	}
	if rapid.Bool().Draw(t, "scheduled") {
		q.SendAt = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "delay"))*time.Second + drawFraction(t))
	}
	if rapid.Bool().Draw(t, "has a time to be delivered") {
		q.DeliverWithinSeconds = (time.Duration(rapid.IntRange(1, 60).Draw(t, "deliverWithin"))*time.Second + drawFraction(t)).Seconds()
	}
	if rapid.Bool().Draw(t, "expires") {
		q.ExpiresAt = now.Add(time.Hour)
	}
	return q
}

// drawFraction draws a part of a second.
func drawFraction(t *rapid.T) time.Duration {
	return rapid.OneOf(
		rapid.SampledFrom([]time.Duration{0, 1, time.Microsecond, 400 * time.Millisecond, time.Second - time.Microsecond, time.Second - 1}),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, int(time.Second)-1).Draw(t, "nanoseconds"))
		}),
	).Draw(t, "fraction of a second")
}

// decide draws a decision other than about a status.
func (h *history) decide(t *rapid.T, now time.Time) (events []message.Event) {
	m := h.message
	policy := message.Policy{
		RetryDelays: []time.Duration{time.Second, 2 * time.Second}, CallTimeout: 30 * time.Second, SettleAfter: 30 * time.Second,
		ThrottleLimit: 2,
	}
	later := now
	if m.DueAt.After(now) {
		later = m.DueAt
	}
	reason := rapid.SampledFrom([]string{"", "no"}).Draw(t, "reason")
	what := rapid.IntRange(0, 9).Draw(t, "what")
	switch {
	case m.Status == message.StatusSending && what > 0:
		return message.FinishCall(m, len(m.Calls), h.result(t, now), policy, now)
	case m.Status == message.StatusAmbiguous && what < 3 && len(m.Calls) > 0:
		return message.FinishCall(m, rapid.IntRange(1, len(m.Calls)).Draw(t, "call"), h.accepted(t, len(m.Calls)), policy, now)
	case m.Status == message.StatusDeadLettered && what < 5:
		events, _ = message.Requeue(m, reason, now.Add(time.Minute))
	case m.Status == message.StatusDeadLettered:
		events, _ = message.Discard(m, reason, now)
	case what == 0:
		events, _ = message.Cancel(m, reason)
	case what == 1 && !m.ExpiresAt.IsZero():
		return message.Advance(m, policy, false, m.ExpiresAt)
	default:
		events = message.Advance(m, policy, rapid.Bool().Draw(t, "probe"), later)
		for i, e := range events {
			attempted, ok := e.(message.SendAttempted)
			if !ok {
				continue
			}
			if rapid.IntRange(0, 3).Draw(t, "guarded") == 0 {
				if rapid.IntRange(0, 3).Draw(t, "certain") == 0 {
					return message.AwaitCertainty(m, now.Add(time.Minute))
				}
				if instead := message.Withhold(m, drawCircumstances(t, now), now); instead != nil {
					return instead
				}
			}
			if rapid.Bool().Draw(t, "number known") {
				events[i] = attempted.WithNumber("+14155550101")
			}
		}
		return events
	}
	return events
}

// drawCircumstances draws what is known about the recipient of a due message.
func drawCircumstances(t *rapid.T, now time.Time) message.Circumstances {
	c := message.Circumstances{WindowClosed: rapid.Bool().Draw(t, "window closed"), OptedOut: rapid.IntRange(0, 4).Draw(t, "opted out") == 0}
	if rapid.Bool().Draw(t, "times known") {
		c.ClosedAt, c.OptedOutAt = now.Add(-time.Minute), now.Add(-time.Hour)
	}
	return c
}

func (h *history) wamid(call int) string { return fmt.Sprintf("wamid.%s.%d", h.id, call) }

func (h *history) accepted(t *rapid.T, call int) message.Accepted {
	return message.Accepted{WhatsAppID: h.wamid(call), Held: rapid.SampledFrom([]string{"", "paused"}).Draw(t, "held")}
}

// result draws the result of the last call.
func (h *history) result(t *rapid.T, now time.Time) message.CallResult {
	switch rapid.IntRange(0, 9).Draw(t, "result") {
	case 0, 1, 2:
		return h.accepted(t, len(h.message.Calls))
	case 3, 4, 5:
		return message.Lost{Cause: "timeout", HTTPStatus: rapid.SampledFrom([]int{0, 502}).Draw(t, "HTTP status")}
	case 6:
		return message.NotCalled{}
	case 7:
		p := message.Postponed{DueAt: now.Add(time.Second), Reason: rapid.SampledFrom([]message.Deferral{
			message.DeferThrottled, message.DeferPair, message.DeferSenderHeld, message.DeferProbeFailed, message.DeferTemplateHeld,
			message.DeferMessagingLimit, message.DeferCampaignPaused,
		}).Draw(t, "deferral")}
		if rapid.Bool().Draw(t, "has a code") {
			p.Code, p.Scope = new(130429), message.ScopeNumber
		}
		return p
	}
	return message.Refused{
		Failure: drawFailure(t), Scope: rapid.SampledFrom([]message.ThrottleScope{message.ScopePair, message.ScopeApp}).Draw(t, "scope"),
		RetryAfterSeconds: rapid.IntRange(0, 5).Draw(t, "retry after"), Unreachable: rapid.Bool().Draw(t, "unreachable"),
		Personal: message.FailurePersonal{Details: "details of " + h.id.String()},
	}
}

func drawFailure(t *rapid.T) message.Failure {
	f := failure()
	f.Class = rapid.SampledFrom([]message.Class{
		message.ClassTransient, message.ClassTransient, message.ClassPermanent, message.ClassSender, message.ClassThrottled,
	}).Draw(t, "class")
	switch rapid.IntRange(0, 4).Draw(t, "code") {
	case 0, 1:
		f.Code, f.Category = nil, message.CategoryNetwork
	case 2:
		f.Code, f.Class = new(131047), message.ClassPermanent
	}
	return f
}

func (h *history) statusUpdate(t *rapid.T, now time.Time) message.StatusUpdate {
	call := rapid.IntRange(1, len(h.message.Calls)).Draw(t, "call")
	u := message.StatusUpdate{
		Call: call, WhatsAppID: h.wamid(call), At: now.Add(-time.Second).Truncate(time.Second),
		Kind: rapid.SampledFrom([]message.StatusKind{
			message.ReportSent, message.ReportDelivered, message.ReportRead, message.ReportFailed, message.ReportFailed, message.ReportOther,
		}).Draw(t, "status"),
	}
	if rapid.Bool().Draw(t, "priced") {
		u.Pricing = json.RawMessage(`{"pricing_model":"PMP","category":"utility"}`)
	}
	if rapid.Bool().Draw(t, "of a free entry point") {
		u.Conversation = json.RawMessage(`{"id":"c"}`)
	}
	switch u.Kind {
	case message.ReportFailed:
		u.Failure = drawFailure(t)
		u.Personal.Details = "status of " + h.id.String()
	case message.ReportOther:
		u.About = message.About{Type: "payment", Status: "captured", Raw: "{}"}
	case message.ReportSent, message.ReportDelivered, message.ReportRead:
	}
	return u
}

// coverage collects which event types, and which values of their optional members and
// flags, histories have.
type coverage map[string]bool

func (c coverage) add(e domain.Event) {
	v := reflect.ValueOf(e)
	c[e.EventType()] = true
	for field, value := range v.Fields() {
		if optional(field) {
			c[fmt.Sprintf("%s.%s set: %t", e.EventType(), field.Name, !value.IsZero())] = true
		}
	}
}

// optional reports whether an event can lack a member, or have it as a flag.
func optional(field reflect.StructField) bool {
	return strings.Contains(field.Tag.Get("json"), ",omit") || field.Type.Kind() == reflect.Bool
}

// missing returns what the histories lack: a registered type of event, or one of the two
// states of a flag or an optional member.
func (c coverage) missing(types []domain.Type) []string {
	var list []string
	want := func(name string) {
		if !c[name] {
			list = append(list, name)
		}
	}
	for _, t := range types {
		want(t.Name)
		e, err := t.Decode([]byte("{}"))
		if err != nil {
			return []string{err.Error()}
		}
		for field := range reflect.ValueOf(e).Fields() {
			if optional(field) {
				want(fmt.Sprintf("%s.%s set: true", t.Name, field.Name))
				want(fmt.Sprintf("%s.%s set: false", t.Name, field.Name))
			}
		}
	}
	return list
}

// The histories have every event type of a message, with and without each flag and
// optional member. A new one must be drawn, or this fails.
func TestHistoriesHaveEveryEventAndFlag(t *testing.T) {
	t.Parallel()
	lives := rapid.Custom(func(t *rapid.T) *history {
		h, now := &history{id: uuid.NewSHA1(uuid.Nil, []byte("a")), sender: "acme"}, start
		for range 30 {
			now = now.Add(time.Second)
			h.record(now, h.next(t, now)...)
		}
		return h
	})
	seen := make(coverage)
	for seed := range 1000 {
		for _, r := range lives.Example(seed).records {
			seen.add(r.Event)
		}
	}
	if missing := seen.missing(message.Types()); len(missing) > 0 {
		t.Errorf("no history has %s; draw a decision that returns it in history.decide", strings.Join(missing, ", "))
	}
}
