package graph_test

import (
	"encoding/json"
	"strings"
	"testing"

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

	// Without PERSONAL a number is masked and content is left out, in one message and in lists.
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
	refused("admin", `mutation { eraseRecipient(to: "nobody", reason: "x") { id } }`, "INVALID_INPUT")
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
