package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/graph"
)

// pauseCampaign pauses the campaign spring, which the query campaignPauses and the messages show.
func TestACampaignIsPausedByItsLabel(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.keys.add("operator", nil, graph.ScopeOperate, graph.ScopeRead)
	p.keys.add("reader", nil, graph.ScopeRead)
	p.keys.add("brand", []string{"acme"}, graph.ScopeOperate, graph.ScopeRead, graph.ScopePersonal)
	const queue = `mutation { queueMessage(input: {senderId: "acme", to: "+14155550101", content: {text: {body: "hello"}},
		labels: [{name: "region", value: "north"}, {name: "campaign", value: "spring"}]}) { message { id pauses { reason } } } }`
	first := p.ok("admin", queue, nil)
	id := at(t, first, "queueMessage", "message", "id").(string)
	const pause = `mutation($reason: String!) { pauseCampaign(input: {label: {name: "campaign", value: "spring"}, reason: $reason}) {
		id label { name value } reason since by { kind id } } }`
	started := at(t, p.ok("operator", pause, map[string]any{"reason": "wrong prices"}), "pauseCampaign").(map[string]any)
	if by := started["by"].(map[string]any); started["reason"] != "wrong prices" || by["id"] != "key-operator" || by["kind"] != "KEY" ||
		fmt.Sprint(started["label"]) != "map[name:campaign value:•••]" {
		t.Errorf("paused: %v", started)
	}
	again := at(t, p.ok("operator", pause, map[string]any{"reason": "wrong prices"}), "pauseCampaign").(map[string]any)
	if again["id"] != started["id"] || again["since"] != started["since"] {
		t.Errorf("paused again: %v, before: %v", again, started)
	}
	changed := at(t, p.ok("operator", pause, map[string]any{"reason": "legal"}), "pauseCampaign").(map[string]any)
	if changed["id"] != started["id"] || changed["reason"] != "legal" {
		t.Errorf("paused for another reason: %v", changed)
	}

	const pauses = `{ campaignPauses { reason label { value } } ofSpring: campaignPauses(label: {name: "campaign", value: "spring"}) { reason }
		ofOthers: campaignPauses(label: {name: "campaign", value: "autumn"}) { reason } }`
	for key, want := range map[string]string{
		"admin":  "map[campaignPauses:[map[label:map[value:spring] reason:legal]] ofOthers:[] ofSpring:[map[reason:legal]]]",
		"reader": "map[campaignPauses:[map[label:map[value:•••] reason:legal]] ofOthers:[] ofSpring:[map[reason:legal]]]",
		"brand":  "map[campaignPauses:[] ofOthers:[] ofSpring:[]]",
	} {
		if got := fmt.Sprint(p.ok(key, pauses, nil)); got != want {
			t.Errorf("%s sees %s, want %s", key, got, want)
		}
	}
	p.project()
	ofMessage := func(key string) string {
		t.Helper()
		shown := p.ok(key, `query($id: ID!) { message(id: $id) { pauses { reason label { value } } }
			messages { edges { node { pauses { reason label { value } } } } } }`, map[string]any{"id": id})
		one := fmt.Sprint(at(t, shown, "message", "pauses"))
		if listed := fmt.Sprint(at(t, shown, "messages", "edges", 0, "node", "pauses")); listed != one {
			t.Errorf("%s: the message has %s, in the list %s", key, one, listed)
		}
		return one
	}
	if a, b := ofMessage("brand"), ofMessage("reader"); a != "[map[label:map[value:spring] reason:legal]]" || b != "[map[label:map[value:•••] reason:legal]]" {
		t.Errorf("the message waits for %s, without PERSONAL %s", a, b)
	}
	later := at(t, p.ok("admin", queue, nil), "queueMessage", "message", "pauses")
	if fmt.Sprint(later) != "[map[reason:legal]]" {
		t.Errorf("a message that is queued later waits for %v", later)
	}
	events, err := p.log.Read(p.ctx, event.CampaignsStream, 0, 10)
	must(t, err)
	if len(events) != 2 || events[0].Key == "" {
		t.Errorf("the log has %d events, the first sealed under %q; want 2 sealed ones", len(events), events[0].Key)
	}

	const resume = `mutation { resumeCampaign(label: {name: "campaign", value: "spring"}) { id reason } }`
	for i, want := range []string{fmt.Sprintf("map[id:%s reason:legal]", started["id"]), "<nil>"} {
		if got := fmt.Sprint(at(t, p.ok("operator", resume, nil), "resumeCampaign")); got != want {
			t.Errorf("resumed %d times: %s, want %s", i+1, got, want)
		}
	}
	if got := ofMessage("admin"); got != "[]" {
		t.Errorf("after the end, the message waits for %s", got)
	}
}

func TestCampaignsAreNotPausedWithoutARight(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.keys.add("reader", nil, graph.ScopeRead)
	p.keys.add("brand", []string{"acme"}, graph.ScopeOperate)
	const label = `label: {name: "campaign", value: "spring"}`
	for call, codes := range map[string]map[string]string{
		`pauseCampaign(input: {` + label + `, reason: "r"}) { id }`:                                                {"reader": "FORBIDDEN", "brand": "FORBIDDEN"},
		`resumeCampaign(` + label + `) { id }`:                                                                     {"reader": "FORBIDDEN", "brand": "FORBIDDEN"},
		`pauseCampaign(input: {` + label + `, reason: ""}) { id }`:                                                 {"admin": "INVALID_INPUT"},
		`pauseCampaign(input: {label: {name: "", value: "` + strings.Repeat("x", 257) + `"}, reason: "r"}) { id }`: {"admin": "INVALID_INPUT"},
	} {
		for key, want := range codes {
			if got := p.ask(key, `mutation { `+call+` }`, nil).code(); got != want {
				t.Errorf("%s with %s: %q, want %q", call, key, got, want)
			}
		}
	}
	if got := fmt.Sprint(p.ok("admin", `{ campaignPauses { id } }`, nil)); got != "map[campaignPauses:[]]" {
		t.Errorf("paused: %s", got)
	}
}
