package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// erased returns a message whose personal data can no longer be read.
func erased(change ...func(*message.Queued)) message.Queued {
	e := queued(change...)
	e.Personal = message.QueuedPersonal{}
	return e
}

func folded(events ...message.Event) message.Message {
	var m message.Message
	for _, e := range events {
		m = m.Apply(message.Record{Event: e, At: start})
	}
	return m
}

func TestNothingIsSentToWhomWasForgotten(t *testing.T) {
	t.Parallel()
	p := message.Policy{RetryDelays: []time.Duration{time.Second}, CallTimeout: time.Second, ThrottleLimit: 1}
	waiting := folded(erased())
	if !waiting.Erased() || folded(queued()).Erased() || (message.Message{}).Erased() {
		t.Fatal("whether a message is erased goes by its recipient")
	}
	events := message.Advance(waiting, p, false, start.Add(time.Minute))
	if c, ok := events[0].(message.Cancelled); !ok || len(events) != 1 || !strings.Contains(c.Reason, "erased") {
		t.Errorf("a message that is due gives %v", events)
	}
	lost := folded(erased(), message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: start}, message.OutcomeUnknown{Call: 1, SettleBy: start})
	events = message.Advance(lost, p, false, start.Add(time.Minute))
	if _, ok := events[0].(message.DeadLettered); !ok || len(events) != 1 {
		t.Errorf("a lost answer gives %v", events)
	}
	if _, err := message.Requeue(folded(erased(), message.DeadLettered{}), "again", start); domain.CodeOf(err) != domain.CodeConflict {
		t.Errorf("a dead letter is requeued: %v", err)
	}
}

// TestWhatWaitsForWhomWasForgottenIsCancelled: waiting messages are cancelled before they are due, and
// a message with a call in flight ends with the call.
func TestWhatWaitsForWhomWasForgottenIsCancelled(t *testing.T) {
	t.Parallel()
	scheduled := func(q *message.Queued) { q.SendAt = start.Add(time.Hour) }
	calling := message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: start}
	for name, c := range map[string]struct {
		message   message.Message
		cancelled bool
	}{
		"scheduled":       {folded(erased(scheduled)), true},
		"due":             {folded(erased()), true},
		"waits to retry":  {folded(erased(), calling, message.Failed{Call: 1, Attempt: 1}, message.RetryScheduled{}), true},
		"calling":         {folded(erased(), calling), false},
		"lost":            {folded(erased(), calling, message.OutcomeUnknown{Call: 1}), false},
		"dead":            {folded(erased(), message.DeadLettered{}), false},
		"cancelled":       {folded(erased(), message.Cancelled{}), false},
		"not erased":      {folded(queued(scheduled)), false},
		"not there":       {message.Message{}, false},
		"sent, then over": {folded(erased(), calling, message.Sent{Call: 1}), false},
	} {
		events := message.CancelErased(c.message)
		if cancelled := len(events) == 1; cancelled != c.cancelled || len(events) > 1 {
			t.Errorf("%s (%s): %v", name, c.message.Status, events)
		}
	}
}

func TestKeysThatNameTheirRecipient(t *testing.T) {
	t.Parallel()
	for key, names := range map[string]bool{
		"14155550101": true, "+14155550101": true, "otp-14155550101-7": true, "914155550101 or 14155550101": true,
		"": false, "order-7": false, "4155550101": false, "141555501012": false, "914155550101": false, "1415-5550101": false,
	} {
		if got := message.NamesRecipient(key, "+14155550101"); got != names {
			t.Errorf("%q: %t, want %t", key, got, names)
		}
	}
	if message.NamesRecipient("a", "") {
		t.Error("a message without a recipient is named")
	}
}
