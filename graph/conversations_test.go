package graph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/graph"
)

const conversationFields = `senderId to toUserId name lastInboundAt windowOpenUntil freeUntil optedOut optedOutSince optOutSource lastInbound { content }`

// conversing returns the people of a page of conversations, by number.
func (p *platform) conversing(key, filter string) (numbers []string) {
	p.tb.Helper()
	for cursor, next := any(nil), true; next; {
		data := p.ok(key, `query($after: String) { conversations(first: 2, after: $after, filter: {`+filter+`}) {
			edges { cursor node { to } } pageInfo { hasNextPage endCursor } } }`, map[string]any{"after": cursor})
		for _, e := range at(p.tb, data, "conversations", "edges").([]any) {
			numbers = append(numbers, fmt.Sprint(at(p.tb, e, "node", "to")))
		}
		cursor, next = at(p.tb, data, "conversations", "pageInfo", "endCursor"), at(p.tb, data, "conversations", "pageInfo", "hasNextPage").(bool)
	}
	return numbers
}

// Everyone who wrote or opted out is listed once, whatever they are known by, and their messages
// in both directions are one list.
func TestConversations(t *testing.T) {
	t.Parallel()
	p := setup(t)
	url := p.webhooks()
	write := func(from, id, text string) {
		t.Helper()
		if status := p.deliver(url, inboundTo("1001", "wamid."+id, from, text)); status != http.StatusOK {
			t.Fatalf("webhook: %d", status)
		}
	}
	const ada, ben, cleo, dora = "+14155550101", "+14155550102", "+14155550103", "+14155550104"
	write(ada[1:], "1", "Hello")
	first, _ := p.queue("to-ada") // this is to Ada
	write(ben[1:], "2", "Hi")
	write(cleo[1:], "3", "unsubscribe")
	write(ada[1:], "4", "Thanks")
	second, _ := p.queue("to-ada-again")
	echo := `{"object":"whatsapp_business_account","entry":[{"id":"900","changes":[{"field":"smb_message_echoes","value":{
		"metadata":{"phone_number_id":"1001"},"message_echoes":[{"from":"15550100100","to":"14155550101","id":"wamid.echo","timestamp":"1793000509","type":"text","text":{"body":"By hand"}}]}}]}]}`
	if status := p.deliver(url, echo); status != http.StatusOK {
		t.Fatalf("webhook: %d", status)
	}

	const set = `mutation($user: String, $to: String, $out: Boolean!) { setOptOut(senderId: "acme", to: $to, toUserId: $user, optedOut: $out, reason: "by phone") { to toUserId optedOut optOutSource } }`
	for _, out := range []bool{true, false, true} {
		data := p.ok("admin", set, map[string]any{"to": dora, "out": out})
		if got := fmt.Sprint(at(t, data, "setOptOut")); got != fmt.Sprintf("map[optOutSource:%v optedOut:%t to:%s toUserId:<nil>]", map[bool]any{true: "API"}[out], out, dora) {
			t.Errorf("set: %s", got)
		}
	}
	for _, bad := range []map[string]any{{"out": true}, {"to": dora, "user": "US.1", "out": true}, {"to": "x", "out": true}} {
		if r := p.ask("admin", set, bad); r.code() != "INVALID_INPUT" {
			t.Errorf("%v: %q", bad, r.code())
		}
	}
	if r := p.ask("admin", `mutation { setOptOut(senderId: "unborn", to: "+14155550104", optedOut: true, reason: "x") { optedOut } }`, nil); r.code() != "NOT_FOUND" {
		t.Errorf("unknown sender: %q", r.code())
	}
	// Ada is known by a user ID from now on, under which she opts out.
	p.ok("admin", set, map[string]any{"user": "US.13491208655302741918", "out": true})
	both := strings.Replace(inboundTo("1001", "wamid.5", ada[1:], "It is me"), `"from":`, `"from_user_id":"US.13491208655302741918","from":`, 1)
	if status := p.deliver(url, both); status != http.StatusOK {
		t.Fatalf("webhook: %d", status)
	}
	p.project()

	for filter, want := range map[string][]string{
		``: {ada, dora, cleo, ben}, `optedOut: true`: {ada, dora, cleo}, `optedOut: false`: {ben}, `windowOpen: true`: nil,
		`windowOpen: false, senderId: "acme"`: {ada, dora, cleo, ben}, `senderId: "nobody"`: nil,
	} {
		if got := p.conversing("admin", filter); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	data := p.ok("admin", `{ conversation(senderId: "acme", toUserId: "US.13491208655302741918") { `+conversationFields+` } }`, nil)
	const want = `map[freeUntil:<nil> lastInbound:map[content:map[body:It is me]] lastInboundAt:2026-10-26T07:41:44Z name:Ada Example optOutSource:API optedOut:true optedOutSince:SINCE senderId:acme to:+14155550101 toUserId:US.13491208655302741918 windowOpenUntil:2026-10-27T07:41:44Z]`
	since := fmt.Sprint(at(t, data, "conversation", "optedOutSince"))
	if got := fmt.Sprint(at(t, data, "conversation")); strings.Replace(got, since, "SINCE", 1) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(p.ok("admin", `{ conversation(senderId: "acme", to: "+14155550109") { to optedOut lastInboundAt lastInbound { id } lastOutboundAt } }`, nil)); got != "map[conversation:map[lastInbound:<nil> lastInboundAt:<nil> lastOutboundAt:<nil> optedOut:false to:+14155550109]]" {
		t.Errorf("a person who never wrote: %s", got)
	}

	const thread = `query($after: String) { conversation(senderId: "acme", to: "+14155550101") { lastOutboundAt messages(first: 2, after: $after) {
		edges { cursor node { outbound { id content } inbound { content } echo { raw standby } } } pageInfo { hasNextPage endCursor } } } }`
	var got []string
	for cursor, next := any(nil), true; next; {
		data := p.ok("admin", thread, map[string]any{"after": cursor})
		for _, e := range at(t, data, "conversation", "messages", "edges").([]any) {
			node := at(t, e, "node").(map[string]any)
			switch {
			case node["outbound"] != nil:
				got = append(got, at(t, node, "outbound", "id").(string))
			case node["inbound"] != nil:
				got = append(got, at(t, node, "inbound", "content", "body").(string))
			default:
				got = append(got, at(t, node, "echo", "raw", "text", "body").(string))
			}
		}
		if sent := fmt.Sprint(at(t, data, "conversation", "lastOutboundAt")); sent != "2026-10-26T07:41:49Z" {
			t.Errorf("last outbound at %s", sent)
		}
		cursor, next = at(t, data, "conversation", "messages", "pageInfo", "endCursor"), at(t, data, "conversation", "messages", "pageInfo", "hasNextPage").(bool)
	}
	if want := []string{"It is me", "By hand", second, "Thanks", first, "Hello"}; !slices.Equal(got, want) {
		t.Errorf("the messages are %q, want %q", got, want)
	}

	reader := p.keys.add("reader", nil, graph.ScopeRead)
	shown, err := json.Marshal(p.ok(reader, `{ conversations(first: 10) { edges { node { `+conversationFields+` messages { edges { node { outbound { to content } inbound { from content } echo { raw } } } } } } } }`, nil))
	must(t, err)
	for _, personal := range []string{"4155550101", "134912086553", "Ada", "It is me", "By hand", "hello"} {
		if strings.Contains(string(shown), personal) {
			t.Errorf("%q is shown without PERSONAL: %s", personal, shown)
		}
	}
	reads, choices := 0, 0
	p.eachAfter(0, func(e event.Recorded) {
		if e.Type == "LogRead" && strings.Contains(string(e.Data), "Query.conversation") && strings.Contains(string(e.Data), "PERSONAL") {
			reads++
		}
		if c, ok := conversation.ChoiceIn(e.Event); ok && c.Source == conversation.FromAPI && c.Personal.Reason == "by phone" && e.Meta.By.ID == "key-admin" {
			choices++
		}
	})
	if reads == 0 || choices != 4 {
		t.Errorf("%d reads and %d requests are recorded", reads, choices)
	}
	if data := p.ok("admin", `{ events(filter: {stream: "marketing-acme"}) { edges { node { type } } } }`, nil); len(at(t, data, "events", "edges").([]any)) != 5 {
		t.Errorf("the history is %v", data)
	}

	p.ok("admin", `mutation { eraseRecipient(to: "+14155550101", reason: "asked for it") { id } }`, nil)
	p.project()
	if got := p.conversing("admin", ""); !slices.Equal(got, []string{dora, cleo, ben}) {
		t.Errorf("after the erasure: %v", got)
	}
	if got := fmt.Sprint(p.ok("admin", `{ conversation(senderId: "acme", to: "+14155550101") { optedOut name lastInboundAt messages { edges { cursor } } } }`, nil)); got != "map[conversation:map[lastInboundAt:<nil> messages:map[edges:[]] name:<nil> optedOut:false]]" {
		t.Errorf("after the erasure: %s", got)
	}
	// A key without PERSONAL must not find out who the sender talks to.
	limited := p.ok(p.keys.add("limited", nil, graph.ScopeSend, graph.ScopeRead), `mutation($to: String) { setOptOut(senderId: "acme", to: $to, optedOut: false, reason: "by phone") {
		to optedOut lastInboundAt lastOutboundAt lastInbound { id } windowOpenUntil messages { edges { cursor } } } }`, map[string]any{"to": ben})
	wantData(t, limited, `{"setOptOut": {"to": "+1415•••0102", "optedOut": false, "lastInboundAt": null, "lastOutboundAt": null, "lastInbound": null,
		"windowOpenUntil": null, "messages": {"edges": []}}}`)
}
