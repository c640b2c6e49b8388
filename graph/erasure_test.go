package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	processes "github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/graph"
)

func TestErasingAsksForItsScopeAndForgets(t *testing.T) {
	t.Parallel()
	p := setup(t)
	reader := p.keys.add("reader", nil, graph.ScopeRead, graph.ScopeOperate, graph.ScopeAudit)
	asJSON := func(v any) string {
		text, err := json.Marshal(v)
		must(t, err)
		return string(text)
	}
	var queued struct {
		QueueMessage struct{ Message struct{ ID string } }
	}
	must(t, json.Unmarshal([]byte(asJSON(p.ok("admin", `mutation { queueMessage(input: {senderId: "acme", to: "+14155550177",
		content: {text: {body: "hello"}}, labels: [{name: "campaign", value: "spring"}]}) { message { id } } }`, nil))), &queued))
	p.project()
	vars := map[string]any{"id": queued.QueueMessage.Message.ID}
	const view = `query($id: ID!) { message(id: $id) { to content erasedAt } messages { edges { node { to erasedAt } } } }`

	// Without PERSONAL, the number is masked and content is omitted, for one message
	// and in lists.
	shown := asJSON(p.ok(reader, view, vars))
	if strings.Contains(shown, "4155550177") || !strings.Contains(shown, "•") || strings.Contains(shown, "hello") {
		t.Errorf("without PERSONAL: %s", shown)
	}
	refused := func(key, query, code string) {
		t.Helper()
		if got := p.ask(key, query, nil).code(); got != code {
			t.Errorf("%s gets %s, want %s", key, got, code)
		}
	}
	const erase = `mutation { eraseRecipient(to: "+1 415 555 0177", reason: "asked for it") { id at messages events } }`
	refused(reader, erase, "FORBIDDEN")
	refused("admin", `mutation { eraseRecipient(to: "+1 415 555 0177", reason: " ") { id } }`, "INVALID_INPUT")
	refused("admin", `mutation { eraseRecipient(to: "unknown", reason: "x") { id } }`, "INVALID_INPUT")
	if shown := asJSON(p.ok("admin", view, vars)); !strings.Contains(shown, "+14155550177") || !strings.Contains(shown, "hello") {
		t.Errorf("before: %s", shown)
	}
	if receipt := asJSON(p.ok("admin", erase, nil)); !strings.Contains(receipt, `"messages":1`) || !strings.Contains(receipt, `"events":1`) {
		t.Errorf("receipt: %s", receipt)
	}
	shown = asJSON(p.ok("admin", view, vars))
	if strings.Contains(shown, "4155550177") || strings.Contains(shown, "hello") || strings.Count(shown, `"erasedAt":"`) != 2 {
		t.Errorf("after: %s", shown)
	}
	if receipt := asJSON(p.ok("admin", erase, nil)); !strings.Contains(receipt, `"messages":0`) {
		t.Errorf("the second receipt: %s", receipt)
	}
}

// queueScheduled queues a message to be sent in an hour.
func (p *platform) queueScheduled(to string) string {
	p.tb.Helper()
	data := p.ok("admin", `mutation($to: String!, $at: Time) { queueMessage(input: {senderId: "acme", to: $to, sendAt: $at,
		content: {text: {body: "later"}}}) { message { id } } }`, map[string]any{"to": to, "at": time.Now().Add(time.Hour).UTC()})
	return at(p.tb, data, "queueMessage", "message", "id").(string)
}

func (p *platform) statusOf(id string) string {
	p.tb.Helper()
	return at(p.tb, p.ok("admin", `query($id: ID!) { message(id: $id) { status } }`, map[string]any{"id": id}), "message", "status").(string)
}

// TestErasingCancelsWhatIsScheduled erases a person who has a scheduled message.
func TestErasingCancelsWhatIsScheduled(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, other := p.queueScheduled("+14155550177"), p.queueScheduled("+14155550178")
	p.ok("admin", `mutation { eraseRecipient(to: "+14155550177", reason: "asked for it") { id } }`, nil)
	if got := p.statusOf(id); got != "CANCELLED" {
		t.Errorf("the message to the erased person is %s", got)
	}
	if got := p.statusOf(other); got != "QUEUED" {
		t.Errorf("a message to someone else is %s", got)
	}
	p.project()
	ledger := at(t, p.ok("admin", `{ ledger { accepted open cancelled balanced } }`, nil), "ledger")
	if fmt.Sprint(ledger) != "map[accepted:2 balanced:true cancelled:1 open:1]" {
		t.Errorf("ledger %v", ledger)
	}
}

// TestAnInterruptedErasureCancelsWhatIsScheduled records an erasure, like a process
// that ends before it handles the messages.
func TestAnInterruptedErasureCancelsWhatIsScheduled(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.queueScheduled("+14155550177")
	must(t, p.people.FlushAllProcesses(p.ctx))
	keys, err := p.people.KeysOf(p.ctx, "+14155550177", time.Time{})
	must(t, err)
	_, err = p.log.Append(p.ctx, event.ErasureStream(newID()), event.NoStream(), event.Proposed{
		ID: newID(), Event: event.PersonalErased{Keys: keys, Cause: event.ErasedOnRequest},
		Meta: event.Meta{RecordedAt: time.Now(), By: domain.Platform("test")},
	})
	must(t, err)
	must(t, p.people.Destroy(p.ctx, keys, time.Now()))
	p.messages.Forget(keys)
	running, stop := context.WithCancel(p.ctx)
	ended := make(chan error, 1)
	follower := processes.NewCancelErased(p.log, postgres.NewReadModel(p.pool), p.messages, time.Now, time.After, slog.New(slog.DiscardHandler))
	go func() { ended <- follower.Run(running) }()
	defer func() { stop(); <-ended }()
	s := p.stream(p.request("admin", `subscription($id: ID!) { messageUpdates(ids: [$id], statuses: [CANCELLED], after: "`+p.cursorOf(id)+`") { message { status } } }`,
		map[string]any{"id": id}))
	contains(t, s.next(), "CANCELLED")
}

func (p *platform) cursorOf(id string) string {
	p.tb.Helper()
	return at(p.tb, p.ok("admin", `query($id: ID!) { message(id: $id) { cursor } }`, map[string]any{"id": id}), "message", "cursor").(string)
}

// TestAKeyThatNamesItsRecipientIsWarnedOf queues messages with keys that contain the
// recipient's number: they are accepted, and the log reports it once, without the
// number.
func TestAKeyThatNamesItsRecipientIsWarnedOf(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue("order-5550101")
	if strings.Contains(p.logged.String(), "idempotency key") {
		t.Errorf("warned of a key that doesn't hold the number: %s", p.logged.String())
	}
	p.queue("otp-14155550101-1")
	p.queue("otp-14155550101-2")
	if logged := p.logged.String(); strings.Count(logged, "idempotency key contains") != 1 || strings.Contains(logged, "4155550101") {
		t.Errorf("logged %s", logged)
	}
}
