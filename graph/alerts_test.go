package graph_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/graph"
)

// raise raises an alert as the evaluator does.
func (p *platform) raise(rule, of string, severity alert.Severity) query.Alert {
	p.tb.Helper()
	key := alert.Key{Rule: rule, Sender: of, Severity: severity}
	a, raised, err := p.options.Commands.RaiseAlert(p.ctx, alert.ID(key, uuid.NewString()), alert.AlertRaised{
		Rule: rule, Kind: alert.ErrorRate, Severity: severity, Sender: of, Summary: "too many fail", Value: 0.5, Threshold: 0.02,
		Explanation: []string{"50 of 100"},
	})
	must(p.tb, err)
	if !raised {
		p.tb.Fatal("an alert with a new ID already exists")
	}
	return a
}

// projectAll waits until the read models have seen everything in the event log: they
// have when they contain a later message, which both groups project.
func (p *platform) projectAll() {
	p.tb.Helper()
	p.queue(uuid.NewString())
	p.project()
}

const listAlerts = `query($filter: AlertFilter, $first: Int, $after: String) {
	alerts(filter: $filter, first: $first, after: $after) {
		edges { cursor at node { id kind severity state sender { id } summary value threshold raisedAt acknowledgedAt
			acknowledgedBy { kind id } note explanation resolvedAt } }
		pageInfo { hasNextPage endCursor }
	}
}`

func TestAlertsAreListedAndAcknowledged(t *testing.T) {
	t.Parallel()
	p := setup(t)
	first := p.raise("error-rate", "acme", alert.Critical)
	p.projectAll()
	second := p.raise("error-rate", "", alert.Warning) // the read model may not contain it yet
	edges := at(t, p.ok("admin", listAlerts, nil), "alerts", "edges").([]any)
	if len(edges) != 2 || at(t, edges[0], "node", "id") != second.ID.String() || at(t, edges[1], "node", "sender", "id") != "acme" ||
		at(t, edges[0], "node", "sender") != nil {
		t.Fatalf("listed %v", edges)
	}
	data := p.ok("admin", `mutation($id: ID!) { acknowledgeAlert(id: $id, note: "looking") { state note acknowledgedBy { kind id } } }`,
		map[string]any{"id": first.ID.String()})
	if a := at(t, data, "acknowledgeAlert"); at(t, a, "state") != "ACKNOWLEDGED" || at(t, a, "acknowledgedBy", "id") != "key-admin" {
		t.Errorf("acknowledged %v", a)
	}
	p.projectAll()
	page := at(t, p.ok("admin", listAlerts, map[string]any{"first": 1}), "alerts")
	if at(t, page, "edges", 0, "node", "id") != first.ID.String() || at(t, page, "pageInfo", "hasNextPage") != true {
		t.Errorf("first page %v", page)
	}
	rest := at(t, p.ok("admin", listAlerts, map[string]any{"after": at(t, page, "pageInfo", "endCursor")}), "alerts", "edges").([]any)
	if len(rest) != 1 || at(t, rest[0], "node", "id") != second.ID.String() {
		t.Errorf("second page %v", rest)
	}
	_, err := p.options.Commands.ResolveAlert(p.ctx, first.ID, "over")
	must(t, err)
	for _, c := range []struct{ name, key, query, code string }{
		{"over", "admin", `mutation { acknowledgeAlert(id: "` + first.ID.String() + `") { id } }`, "CONFLICT"},
		{"unknown", "admin", `mutation { acknowledgeAlert(id: "` + uuid.NewString() + `") { id } }`, "NOT_FOUND"},
		{"of another sender", p.keys.add("bolt", []string{"bolt"}, graph.ScopeOperate), `mutation { acknowledgeAlert(id: "` + first.ID.String() + `") { id } }`, "NOT_FOUND"},
	} {
		if code := p.ask(c.key, c.query, nil).code(); code != c.code {
			t.Errorf("%s: %q, want %q", c.name, code, c.code)
		}
	}
	limited := p.keys.add("limited", []string{"acme"}, graph.ScopeRead)
	if edges := at(t, p.ok(limited, listAlerts, nil), "alerts", "edges").([]any); len(edges) != 1 || at(t, edges[0], "node", "sender", "id") != "acme" {
		t.Errorf("a limited key sees %v", edges)
	}
}

func TestAlertRulesAreSet(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const set = `mutation($in: AlertRuleInput!) { setAlertRule(input: $in) { id kind senderId enabled threshold statistic window for minimumVolume severity } }`
	r := at(t, p.ok("admin", set, map[string]any{"in": map[string]any{"id": "error-rate", "kind": "ERROR_RATE", "threshold": 0.5}}), "setAlertRule")
	if at(t, r, "threshold") != 0.5 || at(t, r, "window") != "PT5M" || at(t, r, "for") != "PT1M" || at(t, r, "minimumVolume") != 50.0 {
		t.Errorf("changed %v", r)
	}
	r = at(t, p.ok("admin", set, map[string]any{"in": map[string]any{"kind": "DELIVERY_LATENCY", "senderId": "acme", "statistic": "P95", "severity": "WARNING"}}), "setAlertRule")
	p.projectAll()
	rules := at(t, p.ok("admin", `{ alertRules { id threshold senderId } }`, nil), "alertRules").([]any)
	if len(rules) != len(alert.Kinds())+1 || at(t, rules[0], "threshold") != 0.5 || at(t, rules[len(rules)-1], "id") != at(t, r, "id") {
		t.Errorf("rules %v", rules)
	}
	for name, c := range map[string]struct {
		in   map[string]any
		code string
	}{
		"unknown rule":   {map[string]any{"id": "none", "kind": "ERROR_RATE"}, "NOT_FOUND"},
		"unknown sender": {map[string]any{"kind": "ERROR_RATE", "senderId": "nobody"}, "NOT_FOUND"},
		"another kind":   {map[string]any{"id": "error-rate", "kind": "DISK_SPACE"}, "INVALID_INPUT"},
		"200 %":          {map[string]any{"kind": "ERROR_RATE", "threshold": 2}, "INVALID_INPUT"},
	} {
		if code := p.ask("admin", set, map[string]any{"in": c.in}).code(); code != c.code {
			t.Errorf("%s: %q, want %q", name, code, c.code)
		}
	}
}

const followAlerts = `subscription($after: String, $min: AlertSeverity = WARNING) { alerts(after: $after, minSeverity: $min) { cursor node { id state } } }`

func (f *frames) alert() (id, state, cursor string) {
	f.p.tb.Helper()
	var r struct {
		Data struct {
			Alerts struct {
				Cursor string
				Node   struct{ ID, State string }
			}
		}
		Errors []any
	}
	must(f.p.tb, json.Unmarshal([]byte(f.next()), &r))
	if len(r.Errors) > 0 {
		f.p.tb.Fatal(r.Errors)
	}
	return r.Data.Alerts.Node.ID, r.Data.Alerts.Node.State, r.Data.Alerts.Cursor
}

// A subscriber first receives the open alerts, then each transition once. With a
// cursor, it continues where it was.
func TestAlertsAreFollowedAndResumed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	over, open := p.raise("a", "acme", alert.Critical), p.raise("b", "acme", alert.Warning)
	_, err := p.options.Commands.ResolveAlert(p.ctx, over.ID, "over")
	must(t, err)
	p.projectAll()
	s := p.stream(p.request("admin", followAlerts, nil))
	if id, state, _ := s.alert(); id != open.ID.String() || state != "RAISED" {
		t.Fatalf("begins with %s %s", id, state)
	}
	live := p.raise("c", "acme", alert.Critical)
	p.ok("admin", `mutation($id: ID!) { acknowledgeAlert(id: $id) { id } }`, map[string]any{"id": live.ID.String()})
	_, err = p.options.Commands.ResolveAlert(p.ctx, live.ID, "over")
	must(t, err)
	var cursors []string
	for _, want := range []string{"RAISED", "ACKNOWLEDGED", "RESOLVED"} {
		id, state, cursor := s.alert()
		if id != live.ID.String() || state != want {
			t.Fatalf("then comes %s %s, want %s", id, state, want)
		}
		cursors = append(cursors, cursor)
	}
	again := p.stream(p.request("admin", followAlerts, map[string]any{"after": cursors[0]}))
	for _, want := range []string{"ACKNOWLEDGED", "RESOLVED"} {
		if id, state, _ := again.alert(); id != live.ID.String() || state != want {
			t.Fatalf("after the cursor comes %s %s, want %s", id, state, want)
		}
	}
	p.projectAll() // the read model determines the open alerts for a new subscriber
	critical := p.stream(p.request("admin", followAlerts, map[string]any{"min": "CRITICAL"}))
	p.raise("d", "acme", alert.Warning)
	next := p.raise("e", "acme", alert.Critical)
	if id, _, _ := critical.alert(); id != next.ID.String() {
		t.Errorf("of the critical ones comes %s, want %s", id, next.ID)
	}
}

// A silence is listed until it ends, and shown on the alerts that it covers.
func TestAlertsAreSilenced(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const fields = `{ id kind sender { id } reason by { kind id name } startedAt until }`
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	s := at(t, p.ok("admin", `mutation($until: Time!) { silenceAlerts(input: {kind: ERROR_RATE, senderId: "acme", reason: "known", until: $until}) `+fields+` }`,
		map[string]any{"until": until}), "silenceAlerts")
	if at(t, s, "kind") != "ERROR_RATE" || at(t, s, "sender", "id") != "acme" || at(t, s, "reason") != "known" || at(t, s, "by", "id") != "key-admin" || at(t, s, "until") != until {
		t.Errorf("silence %v", s)
	}
	id := at(t, s, "id").(string)
	raised := p.raise("error-rate", "acme", alert.Critical)
	p.projectAll()
	active, err := p.options.Queries.Silences(p.ctx, time.Now())
	must(t, err)
	if len(active) != 1 {
		t.Fatalf("active silences %v", active)
	}
	_, err = p.options.Commands.SetAlertSilence(p.ctx, raised.ID, &active[0])
	must(t, err)
	shown := func(key string) any {
		return at(t, p.ok(key, `{ alerts { edges { node { state silence `+fields+` } } } }`, nil), "alerts", "edges", 0, "node")
	}
	if a := shown("admin"); at(t, a, "silence", "id") != id || at(t, a, "state") != "RAISED" {
		t.Errorf("silenced alert %v", a)
	}
	limited := p.keys.add("limited", []string{"acme"}, graph.ScopeRead, graph.ScopeOperate)
	if list := at(t, p.ok(limited, `{ silences `+fields+` }`, nil), "silences").([]any); len(list) != 1 || at(t, list[0], "id") != id {
		t.Errorf("silences %v", list)
	}
	all := at(t, p.ok("admin", `mutation($until: Time!) { silenceAlerts(input: {reason: "maintenance", until: $until}) `+fields+` }`, map[string]any{"until": until}), "silenceAlerts")
	for _, c := range []struct{ name, key, query, code string }{
		{"past", "admin", `mutation { silenceAlerts(input: {reason: "r", until: "2020-01-01T00:00:00Z"}) { id } }`, "INVALID_INPUT"},
		{"of an unknown sender", "admin", `mutation { silenceAlerts(input: {senderId: "none", reason: "r", until: "` + until + `"}) { id } }`, "NOT_FOUND"},
		{"of all with a limited key", limited, `mutation { silenceAlerts(input: {reason: "r", until: "` + until + `"}) { id } }`, "FORBIDDEN"},
		{"ending one of all with a limited key", limited, `mutation { endSilence(id: "` + at(t, all, "id").(string) + `") { id } }`, "NOT_FOUND"},
		{"ending an unknown one", "admin", `mutation { endSilence(id: "x") { id } }`, "NOT_FOUND"},
	} {
		if code := p.ask(c.key, c.query, nil).code(); code != c.code {
			t.Errorf("%s: %q, want %q", c.name, code, c.code)
		}
	}
	p.ok(limited, `mutation($id: ID!) { endSilence(id: $id) { id } }`, map[string]any{"id": id})
	p.ok("admin", `mutation($id: ID!) { endSilence(id: $id) { id } }`, map[string]any{"id": at(t, all, "id")})
	p.projectAll()
	if list := at(t, p.ok("admin", `{ silences { id } }`, nil), "silences").([]any); len(list) != 0 {
		t.Errorf("silences after their end %v", list)
	}
	_, err = p.options.Commands.SetAlertSilence(p.ctx, raised.ID, nil)
	must(t, err)
	if a := shown("admin"); at(t, a, "silence") != nil {
		t.Errorf("alert after the silence %v", a)
	}
}
