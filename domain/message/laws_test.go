package message_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func classes() []message.Class {
	return []message.Class{message.ClassTransient, message.ClassPermanent, message.ClassSender, message.ClassThrottled}
}

func reportKinds() []message.StatusKind {
	return []message.StatusKind{message.ReportSent, message.ReportDelivered, message.ReportRead, message.ReportFailed}
}

// results has every kind of result a call can have, other than an acceptance.
func results() []message.CallResult {
	unreachable := refused(message.ClassTransient)
	unreachable.Unreachable = true
	pair := refused(message.ClassThrottled)
	pair.Scope, pair.RetryAfterSeconds = message.ScopePair, 3
	all := []message.CallResult{
		unreachable, pair,
		message.Lost{Cause: "timeout"},
		message.NotCalled{},
		message.Postponed{Reason: message.DeferSenderHeld, DueAt: at(time.Minute)},
	}
	for _, c := range classes() {
		all = append(all, refused(c))
	}
	closed := refused(message.ClassPermanent)
	closed.Failure.Code = new(131047)
	return append(all, closed)
}

// life drives one message through decisions and checks every law after each.
type life struct {
	t       *rapid.T
	policy  message.Policy
	now     time.Time
	m       message.Message
	history []message.Record
	status  message.Status
	// accepted and reported are the calls accepted and reported failed; closed
	// is set by an acceptance and lifted by Requeued alone.
	accepted map[int]bool
	reported map[int]bool
	closed   bool
	// open has the calls without an outcome and when their answer counts as lost.
	open map[int]time.Time
	// substituted is set once the fallback took the content's place.
	substituted bool
	// late is set when the delivery was reported overdue, until the message is no longer SENT.
	late     bool
	updates  []message.StatusUpdate
	answered []answer
}

type answer struct {
	call   int
	result message.CallResult
}

func newLife(t *rapid.T) *life {
	p := policy()
	p.SettleAfter = rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 30 * time.Second}).Draw(t, "settleAfter")
	p.ThrottleLimit = rapid.IntRange(0, 3).Draw(t, "throttleLimit")
	r := message.Request{
		Sender: "support", To: "+491701234567", Content: message.Text{Body: "hello"},
		Priority:    rapid.SampledFrom(message.Priorities()).Draw(t, "priority"),
		OnAmbiguous: rapid.SampledFrom([]message.AmbiguityPolicy{message.AmbiguityResend, message.AmbiguityDeadLetter}).Draw(t, "onAmbiguous"),
		Fingerprint: "f",
	}
	if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
		r.ExpiresAt = at(time.Duration(rapid.IntRange(1, 300).Draw(t, "expiresAfter")) * time.Second)
	}
	l := &life{t: t, policy: p, now: start, accepted: map[int]bool{}, reported: map[int]bool{}, open: map[int]time.Time{}}
	if within := rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(t, "deliverWithin"); within > 0 {
		r.DeliverWithin = &within
	}
	r.OutsideWindow = rapid.SampledFrom([]message.OutsideWindow{"", message.OutsideFallback, message.OutsideFail}).Draw(t, "outsideWindow")
	if r.OutsideWindow == message.OutsideFallback {
		r.Fallback = &message.Template{Name: "reminder", Language: message.Language{Code: "en"}}
	}
	events, err := message.Queue(r, l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.record(events)
	return l
}

func (l *life) step() {
	t := l.t
	l.now = l.now.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Second, 40 * time.Second}).Draw(t, "pass"))
	calls := len(l.m.Calls)
	number := rapid.IntRange(1, max(calls, 1)).Draw(t, "call")
	switch rapid.SampledFrom([]string{
		"due", "due", "due", "due", "advance", "withhold", "answer", "answer", "answer", "report", "report", "repeat", "requeue", "requeue", "end", "overtake",
	}).Draw(t, "step") {
	case "due":
		if l.m.DueAt.After(l.now) {
			l.now = l.m.DueAt
		}
		l.decide(func(m message.Message) []message.Event { return message.Advance(m, l.policy, false, l.now) })
	case "advance":
		probe := rapid.Bool().Draw(t, "probe")
		l.decide(func(m message.Message) []message.Event { return message.Advance(m, l.policy, probe, l.now) })
	case "withhold":
		c := message.Circumstances{
			WindowClosed: rapid.Bool().Draw(t, "window closed"), OptedOut: rapid.IntRange(0, 9).Draw(t, "opted out") == 0,
		}
		uncertain := rapid.Bool().Draw(t, "uncertain")
		l.decide(func(m message.Message) []message.Event {
			events := message.Advance(m, l.policy, false, l.now)
			if n := len(events); n == 0 || events[n-1].EventType() != "SendAttempted" {
				return events
			}
			if uncertain {
				return message.AwaitCertainty(m, l.now.Add(time.Second))
			}
			if instead := message.Withhold(m, c, l.now); instead != nil {
				return instead
			}
			return events
		})
	case "answer":
		a := answer{call: number}
		if rapid.IntRange(0, 3).Draw(t, "ofTheLatest") > 0 {
			a.call = calls
		}
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			a.result = message.Accepted{WhatsAppID: wamid(a.call)}
		case 1, 2:
			a.result = refused(message.ClassTransient)
		default:
			a.result = rapid.SampledFrom(results()).Draw(t, "result")
		}
		l.answer(a)
		if calls > 0 {
			l.answered = append(l.answered, a)
		}
		l.nothingNew(func(m message.Message) []message.Event {
			return message.FinishCall(m, a.call, a.result, l.policy, l.now)
		})
	case "report":
		r := report(rapid.SampledFrom(reportKinds()).Draw(t, "kind"), number, rapid.SampledFrom(classes()).Draw(t, "class"))
		r.At = l.now.Truncate(time.Second)
		if r.Kind == message.ReportFailed && rapid.Bool().Draw(t, "for a closed window") {
			r.Failure.Code, r.Failure.Class = new(131047), message.ClassPermanent
		}
		if rapid.Bool().Draw(t, "byWamidOnly") && l.m.CallByWhatsAppID(r.WhatsAppID) != 0 {
			r.Call = 0
		}
		l.decide(func(m message.Message) []message.Event { return first(message.RecordStatusUpdate(m, r)) })
		if calls > 0 {
			l.updates = append(l.updates, r)
		}
	case "repeat":
		for _, r := range l.updates {
			l.nothingNew(func(m message.Message) []message.Event { return first(message.RecordStatusUpdate(m, r)) })
		}
		for _, a := range l.answered {
			l.nothingNew(func(m message.Message) []message.Event {
				return message.FinishCall(m, a.call, a.result, l.policy, l.now)
			})
		}
	case "requeue":
		l.operate(func(m message.Message) ([]message.Event, error) { return message.Requeue(m, "r", l.now) })
	case "overtake":
		// An earlier call is reported failed while a later one can be in flight.
		r := report(message.ReportFailed, number, message.ClassTransient)
		l.decide(func(m message.Message) []message.Event { return first(message.RecordStatusUpdate(m, r)) })
		l.operate(func(m message.Message) ([]message.Event, error) { return message.Requeue(m, "r", l.now) })
		l.decide(func(m message.Message) []message.Event { return message.Advance(m, l.policy, false, l.now) })
	case "end":
		if rapid.Bool().Draw(t, "cancel") {
			l.operate(func(m message.Message) ([]message.Event, error) { return message.Cancel(m, "c") })
		} else {
			l.operate(func(m message.Message) ([]message.Event, error) { return message.Discard(m, "d", l.now) })
		}
	}
}

func first(events []message.Event, _ bool) []message.Event { return events }

func (l *life) answer(a answer) {
	l.decide(func(m message.Message) []message.Event {
		return message.FinishCall(m, a.call, a.result, l.policy, l.now)
	})
}

func (l *life) operate(decide func(message.Message) ([]message.Event, error)) {
	l.decide(func(m message.Message) []message.Event {
		events, err := decide(m)
		if err != nil && (len(events) > 0 || domain.CodeOf(err) != domain.CodeConflict) {
			l.t.Fatalf("an operator's decision gives %s and %v", show(events), err)
		}
		return events
	})
	l.nothingNew(func(m message.Message) []message.Event { events, _ := decide(m); return events })
}

// decide makes a decision twice from the same state: it is a function of it.
func (l *life) decide(decide func(message.Message) []message.Event) {
	before := exported(l.t, l.m)
	events := decide(l.m)
	if repeated := decide(l.m); !reflect.DeepEqual(events, repeated) {
		l.t.Fatalf("decided twice from one state: %s\nthen%s", show(events), show(repeated))
	}
	if after := exported(l.t, l.m); after != before {
		l.t.Fatalf("a decision changed its input:\n%s\n%s", before, after)
	}
	l.record(events)
}

func (l *life) nothingNew(decide func(message.Message) []message.Event) {
	if events := decide(l.m); len(events) > 0 {
		l.t.Fatalf("decided again it gives%s\nafter%s", show(events), l.past())
	}
}

// past is the history so far, to show with a law that was broken.
func (l *life) past() string {
	var s strings.Builder
	for _, r := range l.history {
		s.WriteString(show([]message.Event{r.Event.(message.Event)}))
	}
	return s.String()
}

func (l *life) record(events []message.Event) {
	for _, e := range events {
		l.before(e)
		previous := l.m
		r := message.Record{Event: e, At: l.now}
		l.history = append(l.history, r)
		l.status = message.Next(l.status, e)
		l.m = l.m.Apply(r)
		l.late = l.late && l.m.Status == message.StatusSent
		if s, ok := e.(message.Substituted); ok && s.AfterAcceptance && previous.Status == message.StatusSent {
			continue // WhatsApp took its acceptance back
		}
		if goesBack(previous.Status, l.m.Status) {
			l.t.Fatalf("%s leads from %s back to %s", e.EventType(), previous.Status, l.m.Status)
		}
	}
	l.after()
	if folded := message.Fold(l.history...); exported(l.t, folded) != exported(l.t, l.m) || folded.Status != l.status {
		l.t.Fatalf("the fold of the whole differs from that of its parts, or from Next (%s):\n%s\n%s",
			l.status, exported(l.t, folded), exported(l.t, l.m))
	}
	if folded := message.Fold(asRecordedBefore(l.history)...); exported(l.t, folded) != exported(l.t, l.m) {
		l.t.Fatalf("recorded by an older version, the events fold to\n%s\nnot to\n%s", exported(l.t, folded), exported(l.t, l.m))
	}
}

// asRecordedBefore returns the history in the shape that older versions recorded: without
// the number of attempts in OutcomeUnknown.
func asRecordedBefore(history []message.Record) []message.Record {
	old := slices.Clone(history)
	for i, r := range old {
		if e, ok := r.Event.(message.OutcomeUnknown); ok {
			e.Attempt = nil
			old[i].Event = e
		}
	}
	return old
}

// before checks the laws on what may be decided in the present state.
func (l *life) before(e message.Event) {
	switch e := e.(type) {
	case message.SendAttempted:
		if l.closed {
			l.t.Fatalf("a call begins though one was accepted:%s", l.past())
		}
		for number, answerBy := range l.open {
			if l.now.Before(answerBy) {
				l.t.Fatalf("call %d begins while call %d is open:%s", e.Call, number, l.past())
			}
		}
		l.open[e.Call] = e.AnswerBy
		if e.Call != len(l.m.Calls)+1 {
			l.t.Fatalf("call %d follows call %d", e.Call, len(l.m.Calls))
		}
	case message.Sent:
		l.accepted[e.Call], l.closed = true, true
		delete(l.open, e.Call)
	case message.Deferred:
		delete(l.open, e.Call)
	case message.OutcomeUnknown:
		delete(l.open, e.Call)
	case message.Failed:
		if e.AfterAcceptance {
			l.reported[e.Call] = true
		}
		delete(l.open, e.Call)
	case message.Requeued:
		for c := range l.accepted {
			if !l.reported[c] {
				l.t.Fatalf("requeued though call %d was accepted and not reported failed:%s", c, l.past())
			}
		}
		l.closed = false
	case message.Substituted:
		if l.substituted || l.m.OutsideWindow != message.OutsideFallback || l.m.FallbackTemplate != e.Template {
			l.t.Fatalf("the content is substituted after%s", l.past())
		}
		if l.closed && (!e.AfterAcceptance || !l.reported[e.Call]) {
			l.t.Fatalf("the content of an accepted message is substituted after%s", l.past())
		}
		l.substituted, l.closed = true, false
	case message.Suppressed:
		if l.closed {
			l.t.Fatalf("an accepted message is suppressed after%s", l.past())
		}
	case message.DeliveryOverdue:
		if l.late || l.m.Status != message.StatusSent || l.now.Before(e.Since) {
			l.t.Fatalf("at %s the delivery of a message that is %s is reported overdue since %s:%s", l.now, l.m.Status, e.Since, l.past())
		}
		l.late = true
	}
}

// after checks the laws on the state an append has led to.
func (l *life) after() {
	t, m := l.t, l.m
	if shown := m.Kind == message.KindTemplate; shown != l.substituted || l.substituted && string(m.Content) != string(m.Fallback) {
		t.Fatalf("the content is %s of kind %s after%s", m.Content, m.Kind, l.past())
	}
	columns := 0
	for _, s := range message.Statuses() {
		if s == m.Status && s.Column() != "" {
			columns++
		}
	}
	if columns != 1 {
		t.Fatalf("the status %q is in %d columns", m.Status, columns)
	}
	if m.Attempts < 0 || m.Attempts > 4 {
		t.Fatalf("%d attempts after%s", m.Attempts, l.past())
	}
	if open := m.OpenCall(); (open != nil) != (m.Status == message.StatusSending) ||
		open != nil && (open.Number != len(m.Calls) || open.Outcome != message.CallUnderWay) {
		t.Fatalf("%s with the open call %+v after%s", m.Status, open, l.past())
	}
	if m.Status != message.StatusSent {
		l.late = false // after another acceptance, its delivery is awaited again
	}
	awaited := m.Status == message.StatusSent && m.DeliverWithin > 0 && !l.late
	if (m.Status.Open() || awaited) == m.DueAt.IsZero() {
		t.Fatalf("%s is due at %s after%s", m.Status, m.DueAt, l.past())
	}
	if overdue := m.Status == message.StatusSent && l.late; overdue == m.OverdueSince.IsZero() {
		t.Fatalf("%s is overdue since %s after%s", m.Status, m.OverdueSince, l.past())
	}
	if m.SentTwice && !l.lostAndAcceptedLater() {
		t.Fatalf("sent twice after%s", l.past())
	}
	if (m.Status == message.StatusDeadLettered || m.Status == message.StatusDiscarded) == m.DeadLetteredAt.IsZero() {
		t.Fatalf("%s, dead-lettered at %s after%s", m.Status, m.DeadLetteredAt, l.past())
	}
}

func (l *life) lostAndAcceptedLater() bool {
	for i, c := range l.m.Calls {
		for _, later := range l.m.Calls[i+1:] {
			if c.Lost && c.Outcome == message.CallAccepted && later.Outcome == message.CallAccepted {
				return true
			}
		}
	}
	return false
}

// goesBack reports a step that no event may make, an operator's Requeued being
// possible for dead letters alone.
func goesBack(from, to message.Status) bool {
	switch from {
	case message.StatusSent:
		return to.Open() || to == message.StatusCancelled || to == message.StatusExpired || to == message.StatusDiscarded
	case message.StatusDelivered:
		return to != message.StatusDelivered && to != message.StatusRead
	case message.StatusRead:
		return to != message.StatusRead
	case message.StatusFailed, message.StatusCancelled, message.StatusExpired, message.StatusDiscarded, message.StatusSuppressed:
		return to.Open()
	case message.StatusDeadLettered:
		return to.Open() && to != message.StatusQueued
	case message.StatusQueued, message.StatusSending, message.StatusRetrying, message.StatusAmbiguous:
	}
	return false
}

func exported(t interface{ Fatal(...any) }, m message.Message) string {
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLawsOfAnyLife(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few lives take the rare turns, so that each check leads several.
		for range rapid.IntRange(1, 20).Draw(t, "lives") {
			l := newLife(t)
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				l.step()
			}
		}
	})
}

// Whatever came before, the statuses of one call lead to the same state in any
// order and however often each is reported.
func TestStatusesOfACallCommute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			l.step()
		}
		if len(l.m.Calls) == 0 {
			t.Skip("no call was made")
		}
		call := rapid.IntRange(1, len(l.m.Calls)).Draw(t, "callReported")
		class := rapid.SampledFrom(classes()).Draw(t, "failureClass")
		kinds := rapid.SliceOfNDistinct(rapid.SampledFrom(reportKinds()), 1, 4, rapid.ID).Draw(t, "kinds")
		order := func(label string) []message.StatusKind {
			repeated := rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 4).Draw(t, label+"Repeats")
			return rapid.Permutation(append(append([]message.StatusKind(nil), kinds...), repeated...)).Draw(t, label)
		}
		one, other := order("one"), order("other")
		a, b := l.afterStatuses(call, class, one), l.afterStatuses(call, class, other)
		if a != b {
			t.Fatalf("%v leads to\n%s\n%v to\n%s\nafter%s", one, a, other, b, l.past())
		}
	})
}

// afterStatuses is the state, less the times of recording, after statuses in that order.
func (l *life) afterStatuses(call int, class message.Class, order []message.StatusKind) string {
	m, now := l.m, l.now
	for _, kind := range order {
		now = now.Add(time.Second)
		r := report(kind, call, class)
		events, known := message.RecordStatusUpdate(m, r)
		if !known {
			l.t.Fatalf("call %d is not known", call)
		}
		m = m.Apply(recorded(now, events)...)
	}
	return exported(l.t, unrecorded(m))
}

func unrecorded(m message.Message) message.Message {
	m = m.Apply()
	if !m.DeadLetteredAt.IsZero() {
		m.DeadLetteredAt = start
	}
	m.Failure = untimed(m.Failure)
	for i := range m.Calls {
		m.Calls[i].EndedAt = time.Time{}
		m.Calls[i].Failure = untimed(m.Calls[i].Failure)
	}
	return m
}

func untimed(f *message.StoredFailure) *message.StoredFailure {
	if f == nil {
		return nil
	}
	c := *f
	c.At = time.Time{}
	return &c
}
