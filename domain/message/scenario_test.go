package message_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// start is when every scenario begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is a moment of a scenario, counted from its start.
func at(d time.Duration) time.Time { return start.Add(d) }

// policy is what an installation has that sets nothing.
func policy() message.Policy {
	return message.Policy{
		RetryDelays:   []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
		CallTimeout:   30 * time.Second,
		SettleAfter:   30 * time.Second,
		ThrottleLimit: 20,
	}
}

// answerAfter is when the answer of a call counts as lost: the call's timeout
// and two seconds.
const answerAfter = 32 * time.Second

func queued(change ...func(*message.Queued)) message.Queued {
	e := message.Queued{
		Sender: "support", Kind: message.KindText, Priority: message.PriorityTransactional,
		OnAmbiguous: message.AmbiguityResend,
		Personal: message.QueuedPersonal{
			To: "+491701234567", Content: json.RawMessage(`{"body":"hello"}`), Fingerprint: "f1",
		},
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func expiring(at time.Time) func(*message.Queued) {
	return func(e *message.Queued) { e.ExpiresAt = at }
}

func leftToPeople(e *message.Queued) { e.OnAmbiguous = message.AmbiguityDeadLetter }

// attempted is a call that began at the start of the scenario.
func attempted(call, attempt int) message.SendAttempted {
	return message.SendAttempted{Call: call, Attempt: attempt, AnswerBy: at(answerAfter)}
}

func probed(call, attempt int) message.SendAttempted {
	e := attempted(call, attempt)
	e.Probe = true
	return e
}

// lost has the shape that older versions recorded: it lacks the number of attempts.
func lost(call int) message.OutcomeUnknown {
	return message.OutcomeUnknown{Call: call, Cause: "timeout", SettleBy: at(30 * time.Second)}
}

func wamid(call int) string {
	return "wamid.call" + string(rune('0'+call%10)) + string(rune('0'+call/10))
}

func sent(call int) message.Sent {
	return message.Sent{
		Call: call, At: start, By: message.ByAnswer, Personal: message.SentPersonal{WhatsAppID: wamid(call)},
	}
}

// sentAt is sent at a later time.
func sentAt(call int, after time.Duration) message.Sent {
	e := sent(call)
	e.At = at(after)
	return e
}

func settled(call int) message.Sent {
	e := sent(call)
	e.By = message.ByStatus
	return e
}

func again(e message.Sent) message.Sent {
	e.Again = true
	return e
}

func failure(class message.Class) message.Failure {
	switch class {
	case message.ClassPermanent:
		return message.Failure{Code: new(131026), Category: message.CategoryRecipient, Class: class, Message: "not deliverable"}
	case message.ClassSender:
		return message.Failure{Code: new(190), Category: message.CategoryAuth, Class: class, Message: "token expired"}
	case message.ClassThrottled:
		return message.Failure{Code: new(130429), Category: message.CategoryCapacity, Class: class, Message: "rate limit hit"}
	case message.ClassTransient:
	}
	return message.Failure{Code: new(131000), Category: message.CategoryServer, Class: class, Message: "went wrong"}
}

func refused(class message.Class) message.Refused {
	return message.Refused{Failure: failure(class), Personal: message.FailurePersonal{Details: "d"}}
}

func failed(call, attempt int, class message.Class) message.Failed {
	return message.Failed{
		Call: call, Attempt: attempt, Failure: failure(class), At: start,
		Personal: message.FailurePersonal{Details: "d"},
	}
}

func final(e message.Failed) message.Failed {
	e.Final = true
	return e
}

func afterAcceptance(e message.Failed) message.Failed {
	e.AfterAcceptance = true
	return e
}

func deadLettered(attempts int, class message.Class) message.DeadLettered {
	return message.DeadLettered{
		Attempts: attempts, Failure: failure(class), Personal: message.FailurePersonal{Details: "d"},
	}
}

func report(kind message.StatusKind, call int, class message.Class) message.StatusUpdate {
	r := message.StatusUpdate{Kind: kind, Call: call, WhatsAppID: wamid(call), At: start}
	if kind == message.ReportFailed {
		r.Failure, r.Personal = failure(class), message.FailurePersonal{Details: "d"}
	}
	return r
}

func delivered(call int) message.Delivered {
	return message.Delivered{Call: call, At: start, CalledAt: start}
}

func read(call int) message.Read { return message.Read{Call: call, At: start, CalledAt: start} }

func confirmed(call int) message.Confirmed { return message.Confirmed{Call: call, At: start} }

func retry(attempt int, due time.Duration) message.RetryScheduled {
	return message.RetryScheduled{Attempt: attempt, DueAt: at(due)}
}

// given folds events, all recorded at the start of the scenario.
func given(events ...message.Event) message.Message { return givenAt(start, events...) }

func givenAt(t time.Time, events ...message.Event) message.Message {
	return message.Message{}.Apply(recorded(t, events)...)
}

func recorded(t time.Time, events []message.Event) []message.Record {
	records := make([]message.Record, len(events))
	for i, e := range events {
		records[i] = message.Record{Event: e, At: t}
	}
	return records
}

func list(events ...message.Event) []message.Event { return events }

// then compares the events of a decision with those expected.
func then(t *testing.T, got, want []message.Event) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", show(got), show(want))
	}
}

func show(events []message.Event) string {
	var s strings.Builder
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return err.Error()
		}
		s.WriteString("\n  " + e.EventType() + " " + string(data))
	}
	return s.String()
}
