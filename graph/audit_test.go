package graph_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/graph"
)

const eventsQuery = `query($filter: EventFilter, $order: LogOrder, $first: Int, $after: String) {
	events(filter: $filter, order: $order, first: $first, after: $after) {
		edges { cursor node { id type stream revision recordedAt by { kind id } data } }
		pageInfo { hasNextPage hasPreviousPage endCursor }
	}
}`

// eventPages reads all pages of a selection and returns the events, each as its stream
// and revision.
func (p *platform) eventPages(key string, filter map[string]any, order string, first int) []string {
	p.tb.Helper()
	var all []string
	var after any
	for range 100 {
		data := p.ok(key, eventsQuery, map[string]any{"filter": filter, "order": order, "first": first, "after": after})
		edges := at(p.tb, data, "events", "edges").([]any)
		if len(edges) > first {
			p.tb.Fatalf("a page of %d has %d events", first, len(edges))
		}
		for _, e := range edges {
			all = append(all, fmt.Sprint(at(p.tb, e, "node", "stream"), "/", at(p.tb, e, "node", "revision")))
		}
		if at(p.tb, data, "events", "pageInfo", "hasNextPage") == false {
			return all
		}
		after = at(p.tb, data, "events", "pageInfo", "endCursor")
	}
	p.tb.Fatal("the pages do not end")
	return nil
}

func TestEventsArePagedInBothOrders(t *testing.T) {
	t.Parallel()
	p := setup(t)
	auditor := p.keys.add("auditor", nil, graph.ScopeAudit)
	var messages []string
	for i := range 7 {
		id, _ := p.queue(fmt.Sprint("order-", i))
		messages = append(messages, id)
	}
	p.deadLetter(messages[3])
	want := []string{"sender-acme/0", "message-" + messages[3] + "/3"}
	for _, first := range []int{1, 3, 1000} {
		// An audit adds to what it reads, so only the streams of the messages are
		// compared.
		filter := map[string]any{"streamPrefix": "message-"}
		forwards := p.eventPages(auditor, filter, "OLDEST_FIRST", first)
		backwards := p.eventPages(auditor, filter, "NEWEST_FIRST", first)
		slices.Reverse(backwards)
		if len(forwards) != 10 || !slices.Equal(forwards, backwards) || forwards[9] != want[1] {
			t.Errorf("in pages of %d: forwards %v, backwards, reversed, %v", first, forwards, backwards)
		}
	}
	everything := p.eventPages(auditor, nil, "NEWEST_FIRST", 1000)
	if !slices.Contains(everything, want[0]) || !slices.Contains(everything, "waypost-log/0") {
		t.Errorf("not all events of the log: %v", everything)
	}
	for _, order := range []string{"OLDEST_FIRST", "NEWEST_FIRST"} {
		for name, c := range map[string]struct {
			filter map[string]any
			want   int
		}{
			"types":                 {map[string]any{"types": []string{"Queued", "DeadLettered"}, "streamPrefix": "message-"}, 8},
			"a message":             {map[string]any{"messageId": messages[3]}, 4},
			"its correlation":       {map[string]any{"correlationId": messages[3]}, 4},
			"a stream":              {map[string]any{"stream": "sender-acme"}, 1},
			"stream and message":    {map[string]any{"stream": "sender-acme", "messageId": messages[3]}, 0},
			"stream and prefix":     {map[string]any{"stream": "sender-acme", "streamPrefix": "message-"}, 0},
			"an actor":              {map[string]any{"actorId": "test"}, 3},
			"a sender":              {map[string]any{"senderId": "acme", "types": []string{"Queued"}}, 7},
			"no sender":             {map[string]any{"senderId": "nobody"}, 0},
			"before all":            {map[string]any{"to": "2020-01-01T00:00:00Z"}, 0},
			"after all":             {map[string]any{"from": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, 0},
			"a time that holds all": {map[string]any{"from": "2020-01-01T00:00:00Z", "streamPrefix": "message-"}, 10},
			"an unknown message":    {map[string]any{"messageId": "00000000-0000-4000-8000-000000000000"}, 0},
		} {
			if got := p.eventPages(auditor, c.filter, order, 2); len(got) != c.want {
				t.Errorf("%s by %s: %v, want %d", order, name, got, c.want)
			}
		}
	}
	if r := p.ask(auditor, eventsQuery, map[string]any{"first": 1001}); r.code() != "INVALID_INPUT" {
		t.Errorf("a page of 1001: %q", r.code())
	}
	if r := p.ask(auditor, eventsQuery, map[string]any{"filter": map[string]any{"messageId": "x"}}); r.code() != "INVALID_INPUT" {
		t.Errorf("a bad id: %q", r.code())
	}
	narrow := p.keys.add("narrow", []string{"other"}, graph.ScopeAudit)
	if got := p.eventPages(narrow, nil, "OLDEST_FIRST", 10); len(got) != 0 {
		t.Errorf("a key of another sender reads %v", got)
	}
}

func TestReadsAreRecorded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("order-1")
	p.project()
	auditor := p.keys.add("auditor", nil, graph.ScopeAudit, graph.ScopeRead)
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	personal := p.keys.add("personal", nil, graph.ScopeRead, graph.ScopePersonal)
	reads := func() []any {
		t.Helper()
		data := p.ok(auditor, eventsQuery, map[string]any{"filter": map[string]any{"types": []string{"LogRead"}}})
		return at(t, data, "events", "edges").([]any)
	}
	before := len(reads()) // reading the reads is itself a read

	p.ok(reader, `query($id: ID!) { message(id: $id) { id status to } }`, map[string]any{"id": id})
	p.ok(personal, `query($id: ID!) { message(id: $id) { id status } }`, map[string]any{"id": id})
	if n := len(reads()); n != before {
		t.Errorf("%d reads are recorded where %d were under AUDIT or PERSONAL", n, before)
	}
	for range 2 { // the repeat is not recorded again
		p.ok(personal, `query($id: ID!, $to: String) { message(id: $id) { to } messages(filter: {to: $to, senderId: "acme"}) { edges { node { content } } } }`,
			map[string]any{"id": id, "to": "+14155550101"})
	}
	all := reads()
	if len(all) != before+1 {
		t.Fatalf("%d reads are recorded, want %d", len(all), before+1)
	}
	last := at(t, all[len(all)-1], "node")
	data := at(t, last, "data")
	if at(t, last, "by", "id") != "key-personal" || fmt.Sprint(at(t, data, "scopes")) != "[PERSONAL]" ||
		fmt.Sprint(at(t, data, "messages")) != "["+id+"]" || fmt.Sprint(at(t, data, "senders")) != "[acme]" ||
		fmt.Sprint(at(t, data, "fields")) != "[Message.content Message.to MessageFilter.to Query.message Query.messages]" {
		t.Errorf("recorded %v", last)
	}
	// A mutation that changes nothing also returns the message.
	again := p.keys.add("again", nil, graph.ScopeSend, graph.ScopePersonal)
	for range 2 {
		p.ok(again, `mutation($id: ID!) { cancelMessage(id: $id) { to } }`, map[string]any{"id": id})
	}
	all = reads()
	last = at(t, all[len(all)-1], "node")
	if at(t, last, "by", "id") != "key-again" || fmt.Sprint(at(t, last, "data", "fields")) != "[Message.to Mutation.cancelMessage]" ||
		fmt.Sprint(at(t, last, "data", "messages")) != "["+id+"]" {
		t.Errorf("the record of a mutation is %v", last)
	}
	before = len(all) - 1
	p.ok(auditor, `query($id: ID!) { message(id: $id, asOf: "2020-01-01T00:00:00Z") { id } }`, map[string]any{"id": id})
	all = reads()
	if got := fmt.Sprint(at(t, all[len(all)-1], "node", "data", "scopes")); len(all) != before+2 || got != "[AUDIT]" {
		t.Errorf("a read of the past is recorded under %s, %d in all", got, len(all))
	}
}

// The ledger of an earlier time is as it was then, even while messages continue.
func TestLedgerAsOf(t *testing.T) {
	t.Parallel()
	p := setup(t)
	auditor := p.keys.add("auditor", nil, graph.ScopeAudit)
	ledger := func(asOf time.Time) string {
		t.Helper()
		data := p.ok(auditor, `query($asOf: Time) { ledger(asOf: $asOf) { accepted open deadLettered discarded balanced asOf } }`,
			map[string]any{"asOf": asOf.UTC().Format(time.RFC3339Nano)})
		l := at(t, data, "ledger")
		got, err := time.Parse(time.RFC3339Nano, at(t, l, "asOf").(string))
		if err != nil || !got.Equal(asOf) {
			t.Errorf("as of %v, asked for %s", at(t, l, "asOf"), asOf)
		}
		return fmt.Sprint(at(t, l, "accepted"), at(t, l, "open"), at(t, l, "deadLettered"), at(t, l, "discarded"), at(t, l, "balanced"))
	}
	var instants []time.Time
	passed := func() { // so that nothing else is recorded in that millisecond
		begin := time.Now()
		polltest.Until(t, "the clock has passed the instant", func() bool { return time.Since(begin) > 4*time.Millisecond })
		instants = append(instants, begin.Add(2*time.Millisecond))
	}
	passed()
	first, _ := p.queue("order-1")
	p.queue("order-2")
	passed()
	p.deadLetter(first)
	passed()
	p.ok("admin", `mutation($id: ID!) { discardDeadLetters(input: {ids: [$id]}, reason: "no") { state } }`, map[string]any{"id": first})
	p.queue("order-3")
	passed()
	p.project()
	for i, want := range []string{"0 0 0 0 true", "2 2 0 0 true", "2 1 1 0 true", "3 2 0 1 true"} {
		if got := ledger(instants[i]); got != want {
			t.Errorf("at instant %d the ledger is %s; want %s", i, got, want)
		}
	}
	if r := p.ask(auditor, `{ ledger(asOf: "2999-01-01T00:00:00Z") { accepted } }`, nil); r.code() != "INVALID_INPUT" {
		t.Errorf("as of a future time: %q", r.code())
	}
}

// An actor is also returned with the name of its key, and with the person that it acts
// for.
func TestActorsHaveTheirNames(t *testing.T) {
	t.Parallel()
	p := setup(t)
	data := p.ok("admin", `mutation { createApiKey(input: {name: "crm", scopes: [SEND, OPERATE, AUDIT, READ]}) { secret apiKey { id } } }`, nil)
	secret, keyID := at(t, data, "createApiKey", "secret").(string), at(t, data, "createApiKey", "apiKey", "id")
	req := p.request(secret, queueOne, text("named", "hello"))
	req.Header.Set("Waypost-On-Behalf-Of", "agent 7")
	r := p.send(req)
	if len(r.Errors) > 0 {
		t.Fatal(r.Errors)
	}
	var queued map[string]any
	must(t, json.Unmarshal(r.Data, &queued))
	id := at(t, queued, "queueMessage", "message", "id").(string)
	p.deadLetter(id)
	const by = `query($id: ID!) { message(id: $id) { history { edges { node { type by { kind id name onBehalfOf } } } } } }`
	edges := at(t, p.ok(secret, by, map[string]any{"id": id}), "message", "history", "edges").([]any)
	if got, want := fmt.Sprint(at(t, edges[0], "node", "by")), fmt.Sprint(map[string]any{"kind": "KEY", "id": keyID, "name": "crm", "onBehalfOf": "agent 7"}); got != want {
		t.Errorf("Queued is by %s; want %s", got, want)
	}
	if got := at(t, edges[1], "node", "by", "name"); got != nil {
		t.Errorf("Waypost has the name %v", got)
	}
	raised := p.raise("error-rate", "acme", alert.Critical)
	req = p.request(secret, `mutation($id: ID!) { acknowledgeAlert(id: $id) { acknowledgedBy { id name onBehalfOf } } }`, map[string]any{"id": raised.ID.String()})
	req.Header.Set("Waypost-On-Behalf-Of", "agent 7")
	if r := p.send(req); !strings.Contains(string(r.Data), `"name":"crm","onBehalfOf":"agent 7"`) {
		t.Errorf("acknowledged by %s %v", r.Data, r.Errors)
	}
	p.projectAll()
	listed := p.ok(secret, `{ alerts { edges { node { acknowledgedBy { name onBehalfOf } } } } }`, nil)
	if got := fmt.Sprint(at(t, listed, "alerts", "edges", 0, "node", "acknowledgedBy")); got != "map[name:crm onBehalfOf:agent 7]" {
		t.Errorf("listed as acknowledged by %s", got)
	}
}
