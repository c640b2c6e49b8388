package graph_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// A message whose delivery is overdue is shown as such alone, in lists, in the metrics, in the
// ledger of now and of the past, and in its history, until it is delivered.
func TestOverdueDeliveriesAreShown(t *testing.T) {
	t.Parallel()
	p := setup(t)
	in := text("otp-1", "Your code is 428913")
	in["input"].(map[string]any)["deliverWithin"] = "PT20S"
	id := at(t, p.ok("admin", queueOne, in), "queueMessage", "message", "id").(string)
	p.queue("another")
	record := func(events ...message.Event) {
		t.Helper()
		_, err := p.messages.Change(p.ctx, uuid.MustParse(id), event.Cause{By: domain.Platform("test")}, func(message.Message) ([]message.Event, error) { return events, nil })
		must(t, err)
		p.project()
	}
	sentAt := time.Now()
	record(message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: sentAt}, message.Sent{
		Call: 1, At: sentAt, By: message.ByAnswer, Personal: message.SentPersonal{WhatsAppID: "wamid.late"},
	})
	m, err := p.messages.Load(p.ctx, uuid.MustParse(id))
	must(t, err)
	if due := m.Message.DueAt; !due.Equal(sentAt.Add(20 * time.Second)) {
		t.Fatalf("sent at %s, its delivery is overdue at %s", sentAt, due)
	}
	show := func(overdue, counted float64) {
		t.Helper()
		data := p.ok("admin", `query($id: ID!) { message(id: $id) { status overdueSince history { edges { node { type data } } } }
			overdue: messages(filter: { overdue: true }) { edges { node { id overdueSince } } }
			others: messages(filter: { overdue: false }) { edges { node { overdueSince } } }
			ledger { sent overdue balanced } metrics { overdue } }`, map[string]any{"id": id})
		since := at(t, data, "message", "overdueSince")
		if (since != nil) != (overdue > 0) || at(t, data, "ledger", "overdue") != overdue || at(t, data, "ledger", "balanced") != true ||
			at(t, data, "metrics", "overdue") != counted || float64(len(at(t, data, "overdue", "edges").([]any))) != overdue ||
			float64(len(at(t, data, "others", "edges").([]any))) != 2-overdue {
			t.Errorf("want %v overdue and %v that became so: %v", overdue, counted, data)
		}
		if overdue > 0 && (at(t, data, "message", "status") != "SENT" || at(t, data, "ledger", "sent") != 1.0 ||
			at(t, data, "overdue", "edges", 0, "node", "id") != id || at(t, data, "message", "history", "edges", 3, "node", "type") != "DeliveryOverdue") {
			t.Errorf("the overdue message is shown as %v", data)
		}
	}
	show(0, 0)
	record(message.DeliveryOverdue{Since: m.Message.DueAt})
	between := time.Now()
	show(1, 1)
	record(message.Delivered{Call: 1, At: sentAt, CalledAt: sentAt})
	show(0, 1)
	past := p.ok("admin", `query($at: Time) { ledger(asOf: $at) { sent overdue } }`, map[string]any{"at": between.Format(time.RFC3339Nano)})
	if at(t, past, "ledger", "overdue") != 1.0 {
		t.Errorf("the past ledger: %v", past)
	}
}

func TestDeliverWithinHasBounds(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for within, code := range map[string]string{"PT0.5S": "INVALID_INPUT", "P31D": "INVALID_INPUT", "-PT20S": "INVALID_INPUT", "20s": "INVALID_INPUT", "PT0S": "", "P30D": ""} {
		in := maps.Clone(text("within "+within, "Hello")["input"].(map[string]any))
		in["deliverWithin"] = within
		if r := p.ask("admin", queueOne, map[string]any{"input": in}); r.code() != code {
			t.Errorf("%s: %q %+v", within, r.code(), r.Errors)
		}
	}
}
