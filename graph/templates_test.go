package graph_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/graph"
)

const templatesPage = `query($filter: TemplateFilter, $first: Int, $after: String) { templates(filter: $filter, first: $first, after: $after) {
	edges { cursor node { name language status sending category quality timeToLive components queued } } pageInfo { hasNextPage endCursor } } }`

func TestTemplatesAreSyncedAndListed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.ok("admin", `mutation { updateSender(input: {id: "acme", businessAccountId: "9001"}) { id } }`, nil)
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "1002", businessAccountId: "9002"}) { id } }`, nil)
	control := simulator.DefaultControl()
	control.Templates = []simulator.TemplateSpec{
		{Name: "sale", Language: "de", Category: "MARKETING", Status: "PAUSED", Quality: "RED"},
		{Name: "sale", Language: "en", Category: "MARKETING", TTLSeconds: 43200, Components: json.RawMessage(`[{"type":"BODY","text":"Hi","example":1}]`)},
		{Name: "visit", Language: "en"},
	}
	sim, err := simulator.Start(p.ctx, simulator.Options{BusinessAccountID: "9001", Control: &control})
	must(t, err)
	closing(t, sim)
	table, err := whatsapp.LoadErrorTable()
	must(t, err)
	client, err := whatsapp.NewClient(whatsapp.Options{URL: sim.URL(), Errors: table})
	must(t, err)
	t.Cleanup(client.Close)
	p.listTemplates = func(ctx context.Context, s sender.Sender, yield func([]template.Listing) error) error {
		return client.Templates(ctx, s.BusinessAccountID, "token", yield)
	}
	p.project()
	acme := p.keys.add("acme", []string{"acme"}, graph.ScopeRead, graph.ScopeOperate, graph.ScopeSend)
	other := p.keys.add("other", []string{"other"}, graph.ScopeRead, graph.ScopeOperate)

	const sync = `mutation { syncTemplates(businessAccountId: "9001") { count changed removed } }`
	if code := p.ask(other, sync, nil).code(); code != "FORBIDDEN" {
		t.Errorf("a key of another account's sender syncs: %q", code)
	}
	wantData(t, p.ok(acme, sync, nil), `{"syncTemplates": {"count": 3, "changed": 3, "removed": 0}}`)
	const queue = `mutation($language: String!, $key: String) { queueMessage(input: {senderId: "acme", to: "+14155550101", idempotencyKey: $key,
		content: {template: {name: "sale", language: $language}}}) { replayed } }`
	for _, language := range []string{"de", "en"} {
		p.ok(acme, queue, map[string]any{"language": language})
	}
	p.ok(acme, queue, map[string]any{"language": "en", "key": "order-1"})
	if r := p.ask(acme, queue, map[string]any{"language": "fr"}); r.code() != "INVALID_INPUT" || r.Errors[0].Extensions["field"] != "content.template.language" {
		t.Errorf("a language that the template doesn't have: %+v", r.Errors)
	}
	const fallback = `mutation { queueMessage(input: {senderId: "acme", to: "+14155550102", content: {text: {body: "Hi"}}, outsideWindow: FALLBACK,
		fallback: {name: "sale", language: "fr"}}) { replayed } }`
	if r := p.ask(acme, fallback, nil); r.code() != "INVALID_INPUT" || r.Errors[0].Extensions["field"] != "fallback.language" {
		t.Errorf("a fallback in a language that the template doesn't have: %+v", r.Errors)
	}
	p.project()
	wantData(t, p.ok(acme, templatesPage, map[string]any{"first": 2}), `{"templates": {"edges": [
		{"cursor": "OTAwMQpzYWxlCmRl", "node": {"name": "sale", "language": "de", "status": "PAUSED", "sending": "WAITING", "category": "MARKETING", "quality": "RED", "timeToLive": null, "components": [], "queued": 1}},
		{"cursor": "OTAwMQpzYWxlCmVu", "node": {"name": "sale", "language": "en", "status": "APPROVED", "sending": "SENDING", "category": "MARKETING", "quality": "UNKNOWN", "timeToLive": "PT12H", "components": [{"text": "Hi", "type": "BODY"}], "queued": 2}}
	], "pageInfo": {"hasNextPage": true, "endCursor": "OTAwMQpzYWxlCmVu"}}}`)
	const names = `query($filter: TemplateFilter, $after: String) { templates(filter: $filter, after: $after) { edges { node { name language } } } }`
	wantData(t, p.ok(acme, names, map[string]any{"after": "OTAwMQpzYWxlCmVu"}), `{"templates": {"edges": [{"node": {"name": "visit", "language": "en"}}]}}`)
	wantData(t, p.ok(acme, names, map[string]any{"filter": map[string]any{"status": []string{"paused"}}}), `{"templates": {"edges": [{"node": {"name": "sale", "language": "de"}}]}}`)
	wantData(t, p.ok(other, names, nil), `{"templates": {"edges": []}}`)
	wantData(t, p.ok(other, `{ template(businessAccountId: "9001", name: "sale", language: "en") { name } }`, nil), `{"template": null}`)
	wantData(t, p.ok(acme, `{ template(businessAccountId: "9001", name: "sale", language: "en") { status queued } }`, nil), `{"template": {"status": "APPROVED", "queued": 2}}`)
	control.Templates = control.Templates[2:]
	must(t, sim.SetControl(control))
	wantData(t, p.ok(acme, sync, nil), `{"syncTemplates": {"count": 1, "changed": 0, "removed": 2}}`)
	if code := p.ask(acme, queue, map[string]any{"language": "en"}).code(); code != "INVALID_INPUT" {
		t.Errorf("a deleted template: %q", code)
	}
	wantData(t, p.ok(acme, queue, map[string]any{"language": "en", "key": "order-1"}), `{"queueMessage": {"replayed": true}}`)
	if code := p.ask(acme, names, map[string]any{"after": base64.RawURLEncoding.EncodeToString([]byte("9001\nsale\x00\nen"))}).code(); code != "INVALID_INPUT" {
		t.Errorf("a cursor with U+0000 gives %s", code)
	}
	if code := p.ask(acme, names, map[string]any{"after": "x"}).code(); code != "INVALID_INPUT" {
		t.Errorf("a wrong cursor: %q", code)
	}
}

// wantData checks the data of a response.
func wantData(t *testing.T, got map[string]any, want string) {
	t.Helper()
	var wanted map[string]any
	must(t, json.Unmarshal([]byte(want), &wanted))
	text, err := json.Marshal(got)
	must(t, err)
	var plain map[string]any
	must(t, json.Unmarshal(text, &plain))
	if !reflect.DeepEqual(plain, wanted) {
		t.Errorf("the response is %s, want %s", text, want)
	}
}
