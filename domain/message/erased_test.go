package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// erased is a message whose personal data can be read no more.
func erased(change ...func(*message.Queued)) message.Queued {
	e := queued(change...)
	e.Personal = message.QueuedPersonal{}
	return e
}

func folded(events ...message.Event) message.Message {
	var m message.Message
	for _, e := range events {
		m = m.With(message.Record{Event: e, At: start})
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
