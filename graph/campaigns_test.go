package graph_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/event"
	processes "github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain/message"
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

// restarted makes the API know of the paused campaigns what a new process reads.
func (p *platform) restarted() *repository.Campaigns {
	p.tb.Helper()
	campaigns := repository.NewCampaigns(p.log, time.Now, newID, func(l message.Label) string { return postgres.LabelIndex(p.people, l) }, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(p.ctx)
	known, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = campaigns.Run(ctx, func() {
			select {
			case known <- struct{}{}:
			default:
			}
		})
	}()
	p.tb.Cleanup(func() { stop(); <-ended })
	<-known
	p.parts.Campaigns = campaigns
	p.options.Commands, p.options.Queries = app.New(p.parts)
	p.serve(p.options)
	return campaigns
}

const pauseSpring = `mutation { pauseCampaign(input: {label: {name: "campaign", value: "spring"}, reason: "wrong prices"}) { id } }`

// After the retention period, a new process still knows which campaigns are paused.
func TestPausesOutliveTheRetention(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.ok("admin", pauseSpring, nil)
	p.ok("admin", `mutation { eraseRecipient(to: "+14155550199", reason: "asked") { id } }`, nil) // sealed under the installation's key
	must(t, p.people.FlushAllProcesses(p.ctx))
	later := func() time.Time { return time.Now().Add(365 * 24 * time.Hour) }
	model := postgres.NewReadModel(p.pool)
	retain := processes.NewRetain(processes.RetainOptions{
		Log: p.log, LogID: p.logID, Keys: p.people, Open: model, Lag: processes.NewMeasureLag(p.log, p.log, model, later), Messages: p.messages,
		Keep: time.Hour, Clock: later, After: time.After, IDs: newID, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, retain.Sweep(p.ctx))
	erased := 0
	p.eachAfter(0, func(r event.Recorded) {
		if e, ok := r.Event.(event.PersonalErased); ok && e.Cause == event.ErasedByRetention {
			erased += len(e.Keys)
		}
	})
	if erased == 0 {
		t.Error("the sweep destroyed no keys")
	}
	spring, autumn := message.Label{Name: "campaign", Value: "spring"}, message.Label{Name: "campaign", Value: "autumn"}
	if c := p.restarted(); !c.Waits([]message.Label{spring}) || c.Waits([]message.Label{autumn}) {
		t.Errorf("after a sweep, the messages wait: %t, those of another campaign: %t", c.Waits([]message.Label{spring}), c.Waits([]message.Label{autumn}))
	}
	if got := fmt.Sprint(p.ok("admin", `{ campaignPauses { label { value } reason } }`, nil)); got != "map[campaignPauses:[map[label:map[value:spring] reason:wrong prices]]]" {
		t.Errorf("paused: %s", got)
	}
}

// A pause whose label can't be read holds all messages with labels. It is shown, and its ID ends it.
func TestAPauseWithoutItsLabelIsResumedByItsID(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := at(t, p.ok("admin", pauseSpring, nil), "pauseCampaign", "id").(string)
	events, err := p.log.Read(p.ctx, event.CampaignsStream, 0, 10)
	must(t, err)
	must(t, p.people.FlushAllProcesses(p.ctx))
	must(t, p.people.Destroy(p.ctx, []event.KeyID{events[0].Key}, time.Now()))
	p.restarted()
	want := "[map[id:" + id + " label:map[name:••• value:•••]]]"
	list := p.ok("admin", `{ campaignPauses { id label { name value } } ofSpring: campaignPauses(label: {name: "campaign", value: "spring"}) { id } }`, nil)
	if got := fmt.Sprint(at(t, list, "campaignPauses")); got != want || len(at(t, list, "ofSpring").([]any)) > 0 {
		t.Errorf("paused: %v, want %s", list, want)
	}
	queued := p.ok("admin", `mutation { queueMessage(input: {senderId: "acme", to: "+14155550101", content: {text: {body: "hello"}},
		labels: [{name: "campaign", value: "autumn"}]}) { message { pauses { id label { name value } } } } }`, nil)
	if got := fmt.Sprint(at(t, queued, "queueMessage", "message", "pauses")); got != want {
		t.Errorf("a message waits for %s, want %s", got, want)
	}
	for args, code := range map[string]string{
		`label: {name: "campaign", value: "spring"}`:                   "CONFLICT",
		`label: {name: "campaign", value: "spring"}, id: "` + id + `"`: "INVALID_INPUT",
		`id: null`:      "INVALID_INPUT",
		`id: "a pause"`: "INVALID_INPUT",
	} {
		if got := p.ask("admin", `mutation { resumeCampaign(`+args+`) { id } }`, nil).code(); got != code {
			t.Errorf("resumed by %s: %q, want %q", args, got, code)
		}
	}
	for i, want := range []string{"map[id:" + id + "]", "<nil>"} {
		if got := fmt.Sprint(at(t, p.ok("admin", `mutation { resumeCampaign(id: "`+id+`") { id } }`, nil), "resumeCampaign")); got != want {
			t.Errorf("resumed %d times: %s, want %s", i+1, got, want)
		}
	}
	if got := fmt.Sprint(p.ok("admin", `{ campaignPauses { id } }`, nil)); got != "map[campaignPauses:[]]" {
		t.Errorf("paused after the resume: %s", got)
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
