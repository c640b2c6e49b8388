package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/domain/inbound"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/httpapi"
)

// inboundTo returns a webhook with a text message to a number.
func inboundTo(number, wamid, from, text string) string {
	return fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"900","changes":[{"field":"messages","value":{
		"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550100100","phone_number_id":%q},
		"contacts":[{"profile":{"name":"Ada Example"},"wa_id":%q}],
		"messages":[{"from":%q,"id":%q,"timestamp":"1793000504","type":"text","text":{"body":%q},"context":{"id":"wamid.before"}}]}}]}]}`,
		number, from, from, wamid, text)
}

const inboundPage = `query($after: String, $first: Int) { inboundMessages(senderId: "acme", first: $first, after: $after) {
	edges { cursor node { id senderId at type standby from name content whatsappId replyTo hasMedia erasedAt } } pageInfo { hasNextPage endCursor } } }`

// Inbound messages are listed oldest first, and a subscription continues after any of their
// cursors, without gaps or repeats.
func TestInboundMessagesAreListedAndFollowed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "10010"}) { id } }`, nil)
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	url := p.webhooks()
	write := func(number string, n int) {
		t.Helper()
		body := inboundTo(number, fmt.Sprintf("wamid.%s.%d", number, n), "14155550102", fmt.Sprint("text ", n))
		for range 2 { // WhatsApp repeats webhooks
			if status := p.deliver(url, body); status != http.StatusOK {
				t.Fatalf("webhook: %d", status)
			}
		}
	}
	const before, after = 7, 4
	for n := range before {
		write("1001", n)
		write("10010", n)
		write("999", n) // belongs to no sender
	}

	var ids, cursors []string
	for cursor, next := any(nil), true; next; {
		data := p.ok("admin", inboundPage, map[string]any{"first": 3, "after": cursor})
		for _, e := range at(t, data, "inboundMessages", "edges").([]any) {
			n := len(ids)
			want := fmt.Sprintf("map[at:2026-10-26T07:41:44Z content:map[body:text %d] erasedAt:<nil> from:14155550102 hasMedia:false id:%s name:Ada Example replyTo:wamid.before senderId:acme standby:false type:text whatsappId:wamid.1001.%d]",
				n, at(t, e, "node", "id"), n)
			if got := fmt.Sprint(at(t, e, "node")); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			ids, cursors = append(ids, at(t, e, "node", "id").(string)), append(cursors, at(t, e, "cursor").(string))
		}
		cursor, next = at(t, data, "inboundMessages", "pageInfo", "endCursor"), at(t, data, "inboundMessages", "pageInfo", "hasNextPage").(bool)
	}
	if len(ids) != before {
		t.Fatalf("%d messages are listed", len(ids))
	}
	shown, err := json.Marshal(p.ok(reader, inboundPage, nil))
	must(t, err)
	for _, personal := range []string{"14155550102", "Ada", "text ", "wamid"} {
		if strings.Contains(string(shown), personal) {
			t.Errorf("without PERSONAL: %s", shown)
		}
	}
	if data := p.ok("admin", `query($id: ID!) { inboundMessage(id: $id) { content } none: inboundMessage(id: "1001-0-00000000") { id } }`, map[string]any{"id": ids[3]}); fmt.Sprint(data) != "map[inboundMessage:map[content:map[body:text 3]] none:<nil>]" {
		t.Errorf("by ID: %v", data)
	}
	for _, bad := range []string{`senderId: "nobody"`, `senderId: "acme", first: 0`, `senderId: "acme", after: "x"`} {
		if r := p.ask("admin", `{ inboundMessages(`+bad+`) { edges { cursor } } }`, nil); r.code() != "NOT_FOUND" && r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q", bad, r.code())
		}
	}

	narrow := p.keys.add("narrow", []string{"acme", "unborn"}, graph.ScopeRead)
	for name, query := range map[string]string{
		"admin": `subscription($after: String) { inboundMessages(senderId: "acme", after: $after) { cursor node { id } } }`,
		narrow:  `subscription($after: String) { inboundMessages(after: $after) { cursor node { id } } }`,
	} {
		f := p.stream(p.request(name, query, map[string]any{"after": cursors[2]}))
		next := func() string {
			t.Helper()
			var r struct {
				Data struct {
					InboundMessages struct{ Node struct{ ID string } }
				}
			}
			must(t, json.Unmarshal([]byte(f.next()), &r))
			return r.Data.InboundMessages.Node.ID
		}
		var got []string
		for range len(ids) - 3 {
			got = append(got, next())
		}
		if !slices.Equal(got, ids[3:]) {
			t.Errorf("%s: resumed with %v, want %v", name, got, ids[3:])
		}
		for range after {
			write("10010", len(ids))
			write("1001", len(ids))
			ids = append(ids, next())
		}
	}
	data := p.ok("admin", inboundPage, map[string]any{"first": 200})
	var listed []string
	for _, e := range at(t, data, "inboundMessages", "edges").([]any) {
		listed = append(listed, at(t, e, "node", "id").(string))
	}
	if !slices.Equal(listed, ids) || len(ids) != before+2*after {
		t.Errorf("%d were delivered, %d are listed", len(ids), len(listed))
	}
}

// caller calls WhatsApp with a fixed token.
type caller struct{ client *whatsapp.Client }

func (c caller) MarkRead(ctx context.Context, s sender.Sender, whatsAppID string, typing bool) error {
	return c.client.MarkRead(ctx, s.PhoneNumberID, "token", whatsAppID, typing)
}

func (c caller) OpenMedia(ctx context.Context, s sender.Sender, mediaID string) (inbox.Media, error) {
	return c.client.Media(ctx, s.PhoneNumberID, "token", mediaID)
}

// A message is marked as read at WhatsApp, and its file is streamed from there, by those who may.
// Both are recorded, and nothing is left once the person is erased.
func TestInboundMessagesAreMarkedReadAndTheirFilesServed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	control := simulator.DefaultControl()
	control.Latency, control.WebhookLinger = 0, 0
	sim, err := simulator.Start(p.ctx, simulator.Options{WebhookURL: p.webhooks(), AppSecret: appSecret, Control: &control})
	must(t, err)
	closing(t, sim)
	rows, err := whatsapp.LoadErrorTable()
	must(t, err)
	client, err := whatsapp.NewClient(whatsapp.Options{URL: sim.URL(), Errors: rows})
	must(t, err)
	t.Cleanup(client.Close)
	p.parts.Inbound = inbox.NewCommands(p.log, time.Now, newID, p.parts.Senders, caller{client})
	p.options.Commands, p.options.Queries = app.New(p.parts)
	p.serve(p.options)
	files := httptest.NewServer(httpapi.New(httpapi.Options{
		Media: httpapi.NewMedia(p.api.OpenInboundFile, slog.New(slog.DiscardHandler)), Logger: slog.New(slog.DiscardHandler),
	}).Handler())
	t.Cleanup(files.Close)
	fetch := func(key, id string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(p.ctx, http.MethodGet, files.URL+"/media/"+id, nil)
		must(t, err)
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp, string(body)
	}

	_, cursor := p.queue("before") // without a cursor, the subscription could start after the messages
	f := p.stream(p.request("admin", `subscription($after: String) { inboundMessages(senderId: "acme", after: $after) { node { id type } } }`, map[string]any{"after": cursor}))
	for _, body := range []string{
		`{"phone_number_id":"1001","from":"14155550177","text":"Hi"}`,
		`{"phone_number_id":"1001","from":"14155550177","type":"document","content":{"filename":"a b.html"},"mime_type":"text/html","file":"PGI+aGk8L2I+"}`,
	} {
		resp, err := http.Post("http://"+sim.Addr()+"/inbound", "application/json", strings.NewReader(body))
		must(t, err)
		must(t, resp.Body.Close())
	}
	ids := map[string]string{}
	for range 2 {
		var r struct {
			Data struct {
				InboundMessages struct{ Node struct{ ID, Type string } }
			}
		}
		must(t, json.Unmarshal([]byte(f.next()), &r))
		ids[r.Data.InboundMessages.Node.Type] = r.Data.InboundMessages.Node.ID
	}

	const mark = `mutation($id: ID!, $typing: Boolean) { markInboundRead(id: $id, typing: $typing) { id type } }`
	for _, typing := range []any{nil, true} {
		data := p.ok("admin", mark, map[string]any{"id": ids["text"], "typing": typing})
		if at(t, data, "markInboundRead", "id") != ids["text"] {
			t.Errorf("marked %v", data)
		}
	}
	for _, id := range []string{"nonsense", "1001-99-00000000", "1001-0-00000000"} {
		if r := p.ask("admin", mark, map[string]any{"id": id}); r.code() != "NOT_FOUND" {
			t.Errorf("%s: %q", id, r.code())
		}
	}
	must(t, sim.SetControl(func() simulator.Control { c := sim.Control(); c.InvalidTokens = []string{"token"}; return c }()))
	if r := p.ask("admin", mark, map[string]any{"id": ids["text"]}); r.code() != "CONFLICT" {
		t.Errorf("with a rejected token: %q %v", r.code(), r.Errors)
	}
	must(t, sim.SetControl(func() simulator.Control { c := sim.Control(); c.InvalidTokens = nil; return c }()))

	resp, body := fetch("admin", ids["document"])
	if resp.StatusCode != http.StatusOK || body != "<b>hi</b>" || resp.Header.Get("Content-Type") != "text/html" ||
		resp.Header.Get("Content-Disposition") != `attachment; filename="a b.html"` || resp.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") || resp.ContentLength != 9 {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	narrow := p.keys.add("narrow", []string{"other"}, graph.ScopeAdmin)
	for _, tc := range []struct {
		key, id string
		status  int
	}{
		{"", ids["document"], http.StatusUnauthorized},
		{"unknown", ids["document"], http.StatusUnauthorized},
		{reader, ids["document"], http.StatusForbidden},
		{narrow, ids["document"], http.StatusNotFound},
		{"admin", ids["text"], http.StatusNotFound},
		{"admin", "..%2f1001", http.StatusNotFound},
	} {
		if resp, body := fetch(tc.key, tc.id); resp.StatusCode != tc.status {
			t.Errorf("%q, %s: %d %s", tc.key, tc.id, resp.StatusCode, body)
		}
	}

	marked, reads := 0, 0
	p.eachAfter(0, func(e event.Recorded) {
		if m, ok := e.Event.(inbound.InboundMarkedRead); ok && m.InboundID == ids["text"] && e.Meta.Sender == "acme" && e.Meta.By.ID == "key-admin" {
			marked++
		}
		if strings.Contains(string(e.Data), "InboundMessage.media") && strings.Contains(string(e.Data), ids["document"]) {
			reads++
		}
	})
	if marked != 2 || reads != 1 || sim.Stats().Answers["200"] != 2 {
		t.Errorf("%d receipts and %d reads are recorded, %d receipts were made", marked, reads, sim.Stats().Answers["200"])
	}

	p.ok("admin", `mutation { eraseRecipient(to: "+14155550177", reason: "asked for it") { id } }`, nil)
	data := p.ok("admin", `{ inboundMessages(senderId: "acme") { edges { node { from name content raw whatsappId hasMedia erasedAt } } } }`, nil)
	for _, e := range at(t, data, "inboundMessages", "edges").([]any) {
		node := at(t, e, "node").(map[string]any)
		if node["erasedAt"] == nil || node["from"] != nil || node["content"] != nil || node["raw"] != nil || node["whatsappId"] != nil || node["hasMedia"] != nil {
			t.Errorf("after the erasure: %v", node)
		}
	}
	if resp, body := fetch("admin", ids["document"]); resp.StatusCode != http.StatusNotFound {
		t.Errorf("after the erasure: %d %q", resp.StatusCode, body)
	}
	if r := p.ask("admin", mark, map[string]any{"id": ids["text"]}); r.code() != "CONFLICT" {
		t.Errorf("marked after the erasure: %q", r.code())
	}
}
