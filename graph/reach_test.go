package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/audit"
	"github.com/waypost/waypost/graph"
)

// aimed is a call of a root field that targets data of another sender.
type aimed struct {
	// args are the field's arguments. Names in braces stand for the other sender's
	// data.
	args string
	// code is the error that the call must return. If empty, the call must succeed and
	// return nothing of the other sender.
	code string
}

// aimedAtOthers contains calls of every root field of the schema by a key that is
// limited to the sender "other". They target data of the sender "acme" or of the whole
// installation. For a new field, add calls that show what such a key can do with it.
var aimedAtOthers = map[string][]aimed{
	"query message":          {{`id: "{message}"`, ""}, {`id: "{message}", asOf: "2100-01-01T00:00:00Z"`, ""}},
	"query messages":         {{``, ""}, {`filter: {senderId: "acme"}`, ""}, {`filter: {to: "+14155550101"}`, ""}, {`filter: {idempotencyKey: "secret-order"}`, ""}},
	"query messageCounts":    {{``, ""}, {`filter: {senderId: "acme"}`, ""}, {`filter: {to: "+14155550101"}`, ""}, {`filter: {labels: [{name: "campaign", value: "acme-spring"}]}`, ""}},
	"query deadLetters":      {{``, ""}, {`filter: {senderId: "acme"}`, ""}, {`filter: {label: {name: "campaign", value: "acme-spring"}}`, ""}},
	"query inboundMessages":  {{`senderId: "acme"`, "FORBIDDEN"}},
	"query inboundMessage":   {{`id: "{inbound}"`, ""}},
	"query conversations":    {{``, ""}, {`filter: {senderId: "acme"}`, ""}},
	"query conversation":     {{`senderId: "acme", to: "+14155550101"`, "FORBIDDEN"}},
	"query sender":           {{`id: "acme"`, ""}},
	"query senders":          {{``, ""}},
	"query metrics":          {{``, "INVALID_INPUT"}, {`senderId: "acme"`, "FORBIDDEN"}},
	"query metricSeries":     {{`from: "{from}", to: "{to}"`, "INVALID_INPUT"}, {`senderId: "acme", from: "{from}", to: "{to}"`, "FORBIDDEN"}},
	"query ledger":           {{``, "INVALID_INPUT"}, {`senderId: "acme"`, "FORBIDDEN"}, {`senderId: "acme", asOf: "{from}"`, "FORBIDDEN"}},
	"query events":           {{``, ""}, {`filter: {senderId: "acme"}`, "FORBIDDEN"}, {`filter: {messageId: "{message}"}`, ""}, {`filter: {stream: "message-{message}"}`, ""}, {`filter: {streamPrefix: "erasure-"}`, ""}, {`filter: {stream: "key-{key}"}`, ""}, {`filter: {correlationId: "{message}"}`, ""}, {`filter: {actorId: "key-admin"}`, ""}, {`order: NEWEST_FIRST`, ""}},
	"query alerts":           {{``, ""}, {`filter: {senderId: "acme"}`, "FORBIDDEN"}},
	"query alertRules":       {{``, ""}},
	"query silences":         {{``, ""}},
	"query campaignPauses":   {{``, ""}, {`label: {name: "campaign", value: "acme-spring"}`, ""}},
	"query outgoingWebhooks": {{``, ""}},
	"query apiKeys":          {{``, ""}, {`includeRevoked: true`, ""}},
	"query operation":        {{`id: "{operation}"`, ""}},
	"query operations":       {{``, ""}},
	"query readModel":        {{``, ""}}, // the position of the read models reveals nothing about a sender
	"query viewer":           {{``, ""}},
	"query checkMessages": {
		{`inputs: [{senderId: "acme", to: "+14155550101", idempotencyKey: "secret-order", content: {text: {body: "hello"}}}]`, ""}, // rejected in its result
	},
	// There is one for the installation. Values derived from it are useless without
	// access to the sender.
	"query idempotencySecret": {{``, ""}},

	"mutation queueMessage": {{`input: {senderId: "acme", to: "+14155550101", content: {text: {body: "b"}}}`, "FORBIDDEN"}},
	"mutation queueMessages": {
		{`inputs: [{senderId: "acme", to: "+14155550101", idempotencyKey: "secret-order", content: {text: {body: "hello"}}}]`, ""}, // rejected in its result
	},
	"mutation cancelMessage":   {{`id: "{message}"`, "NOT_FOUND"}},
	"query templates":          {{``, ""}, {`filter: {businessAccountId: "9001"}`, ""}},
	"query template":           {{`businessAccountId: "9001", name: "acme_sale", language: "en"`, ""}},
	"mutation syncTemplates":   {{`businessAccountId: "9001"`, "FORBIDDEN"}},
	"mutation markInboundRead": {{`id: "{inbound}"`, "NOT_FOUND"}},
	"mutation setOptOut":       {{`senderId: "acme", to: "+14155550101", optedOut: true, reason: "x"`, "FORBIDDEN"}},
	"mutation cancelMessages":  {{`input: {ids: ["{message}"]}, reason: "r"`, ""}, {`input: {filter: {senderId: "acme"}}, reason: "r"`, ""}, {`input: {filter: {}}, reason: "r", dryRun: true`, ""}},
	"mutation requeueDeadLetters": {
		{`input: {ids: ["{message}"]}`, ""}, {`input: {filter: {senderId: "acme"}}`, ""}, {`input: {filter: {}}, dryRun: true`, ""},
	},
	"mutation discardDeadLetters": {{`input: {ids: ["{message}"]}, reason: "r"`, ""}, {`input: {filter: {}}, reason: "r"`, ""}},
	// Data keys belong to a person, not to a sender.
	"mutation eraseRecipient":   {{`to: "+14155550101", reason: "r"`, "FORBIDDEN"}},
	"mutation setAlertRule":     {{`input: {id: "error-rate", kind: ERROR_RATE, enabled: false}`, "FORBIDDEN"}, {`input: {kind: ERROR_RATE, senderId: "acme", threshold: 0.5}`, "FORBIDDEN"}},
	"mutation acknowledgeAlert": {{`id: "{alert}"`, "NOT_FOUND"}, {`id: "{alertOfAll}"`, "NOT_FOUND"}},
	"mutation silenceAlerts": {
		{`input: {reason: "r", until: "2100-01-01T00:00:00Z"}`, "FORBIDDEN"}, {`input: {senderId: "acme", reason: "r", until: "2100-01-01T00:00:00Z"}`, "FORBIDDEN"},
	},
	"mutation endSilence": {{`id: "{silence}"`, "NOT_FOUND"}, {`id: "{silenceOfAll}"`, "NOT_FOUND"}},
	"mutation createOutgoingWebhook": {
		{`input: {url: "https://example.com/h", senderIds: ["acme"]}`, "INVALID_INPUT"}, {`input: {url: "https://example.com/h"}`, "INVALID_INPUT"},
	},
	"mutation updateOutgoingWebhook": {
		{`id: "{hook}", input: {url: "https://example.com/h", senderIds: ["other"]}`, "NOT_FOUND"}, {`id: "{hookOfAll}", input: {url: "https://example.com/h", senderIds: ["other"]}`, "NOT_FOUND"},
	},
	"mutation rotateOutgoingWebhookSecret": {{`id: "{hook}"`, "NOT_FOUND"}, {`id: "{hookOfAll}"`, "NOT_FOUND"}},
	"mutation disableOutgoingWebhook":      {{`id: "{hook}"`, "NOT_FOUND"}, {`id: "{hookOfAll}"`, "NOT_FOUND"}},
	"mutation enableOutgoingWebhook":       {{`id: "{hook}"`, "NOT_FOUND"}, {`id: "{hookOfAll}"`, "NOT_FOUND"}},
	"mutation removeOutgoingWebhook":       {{`id: "{hook}"`, "NOT_FOUND"}, {`id: "{hookOfAll}"`, "NOT_FOUND"}},
	"mutation registerSender": {
		{`input: {id: "third", name: "n", phoneNumberId: "3"}`, "FORBIDDEN"},
		{`input: {id: "acme", name: "n", phoneNumberId: "1001"}`, "FORBIDDEN"},
		{`input: {id: "unborn", name: "n", phoneNumberId: "1001"}`, "CONFLICT"}, // accessible to the key, but with the number of another sender
	},
	"mutation updateSender":  {{`input: {id: "acme", name: "n"}`, "FORBIDDEN"}},
	"mutation setSenderRate": {{`id: "acme", messagesPerSecond: 1`, "FORBIDDEN"}},
	// A pause concerns the messages of all senders.
	"mutation pauseCampaign":     {{`input: {label: {name: "campaign", value: "acme-spring"}, reason: "r"}`, "FORBIDDEN"}},
	"mutation resumeCampaign":    {{`label: {name: "campaign", value: "acme-spring"}`, "FORBIDDEN"}, {`id: "00000000-0000-4000-8000-000000000000"`, "FORBIDDEN"}},
	"mutation pauseSender":       {{`id: "acme", reason: "r"`, "FORBIDDEN"}},
	"mutation resumeSender":      {{`id: "acme"`, "FORBIDDEN"}},
	"mutation resumeLanes":       {{`id: "acme", priorities: [BULK]`, "FORBIDDEN"}},
	"mutation liftRestrictions":  {{`id: "acme", reason: "x"`, "FORBIDDEN"}},
	"mutation createAccessToken": {{`scopes: [READ], senderIds: ["acme"]`, "FORBIDDEN"}, {`scopes: [READ]`, ""}},
	"mutation createEmbedToken": {
		{`view: {messageId: "{message}"}`, "NOT_FOUND"},
		{`view: {senderId: "acme"}`, "FORBIDDEN"},
		{`view: {campaign: {name: "campaign", value: "acme-spring"}}`, ""}, // counts only messages of the key's senders
	},
	"mutation createApiKey": {{`input: {name: "n", scopes: [READ]}`, "FORBIDDEN"}, {`input: {name: "n", scopes: [READ], senderIds: ["acme"]}`, "FORBIDDEN"}},
	"mutation revokeApiKey": {{`id: "{key}"`, "NOT_FOUND"}, {`id: "{keyOfAll}"`, "NOT_FOUND"}},

	"subscription messageUpdates":  {{`senderId: "acme"`, "FORBIDDEN"}, {`after: "{start}"`, ""}, {`ids: ["{message}"], after: "{start}"`, ""}},
	"subscription messageEvents":   {{`senderId: "acme"`, "FORBIDDEN"}, {`after: "{start}"`, ""}, {`messageId: "{message}", after: "{start}"`, ""}},
	"subscription alerts":          {{`after: "{start}"`, ""}, {``, ""}},
	"subscription inboundMessages": {{`senderId: "acme"`, "FORBIDDEN"}, {`after: "{start}"`, ""}},
	"subscription metrics":         {{``, "INVALID_INPUT"}, {`senderId: "acme"`, "FORBIDDEN"}},
}

// TestNarrowedKeyReachesNothingOfOthers calls every root field of the schema with a key and
// as a person that are limited to a sender, targeting another one: no data of the other sender is
// returned or changed. It fails for a field that is not in aimedAtOthers.
func TestNarrowedKeyReachesNothingOfOthers(t *testing.T) {
	t.Parallel()
	p, s := setup(t), served(t)
	names, traces := p.peopleOthers()
	names["start"] = at(t, p.ok("admin", `{ messages { edges { node { cursor } } } }`, nil), "messages", "edges", 0, "node", "cursor").(string)
	p.keys.add("narrow", []string{"other", "unborn"}, graph.ScopeAdmin)
	p.person = &access.Person{
		Subject: "narrow-person", Grant: access.Grant{Scopes: []access.Scope{access.ScopeAdmin}, Senders: []string{"other", "unborn"}}, ExpiresAt: time.Now().Add(patience),
	}
	end, err := p.log.End(p.ctx)
	must(t, err)
	known := map[string]bool{}
	// Mutations come last: what the caller started itself is shown to it.
	for _, root := range []struct {
		operation string
		*ast.Definition
	}{{"query", s.Query}, {"subscription", s.Subscription}, {"mutation", s.Mutation}} {
		operation := root.operation
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			field := operation + " " + f.Name
			known[field] = true
			if len(aimedAtOthers[field]) == 0 {
				t.Errorf("%s has no call in aimedAtOthers: add one that shows what a key that is limited to senders can do with it", field)
			}
			for _, call := range aimedAtOthers[field] {
				for _, key := range []string{"narrow", ""} { // without a key, the person is the caller
					p.aim(key, operation, f, call, s, names, traces)
				}
			}
		}
	}
	for field := range aimedAtOthers {
		if !known[field] {
			t.Errorf("%s is not in the schema", field)
		}
	}
	own := map[string]bool{audit.LogRead{}.EventType(): true, access.KeyCreated{}.EventType(): true} // its reads, and its access token
	p.eachAfter(end, func(e event.Recorded) {
		operation := strings.HasPrefix(e.Stream, "operation") || strings.HasPrefix(e.Stream, "selection-") // which changed nothing
		if by := e.Meta.By.ID; !own[e.Type] && !operation && (by == "key-narrow" || by == "narrow-person") {
			t.Errorf("%s in %s was recorded for %s", e.Type, e.Stream, by)
		}
	})
}

// query returns the call as a document, and its arguments. names replaces the names in braces.
func (c aimed) query(operation string, f *ast.FieldDefinition, s *ast.Schema, names map[string]string) (query, args string) {
	args = c.args
	for name, value := range names {
		args = strings.ReplaceAll(args, "{"+name+"}", value)
	}
	query = operation + " { " + f.Name
	if args != "" {
		query += "(" + args + ")"
	}
	return query + selection(s, f.Type, 3) + " }", args
}

// aim makes a call and checks the response.
func (p *platform) aim(key, operation string, f *ast.FieldDefinition, call aimed, s *ast.Schema, names map[string]string, traces []string) {
	p.tb.Helper()
	query, args := call.query(operation, f, s, names)
	check := func(shown string) {
		for _, trace := range traces {
			echo := strings.Contains(args, trace) || (trace == `"selected":1` && strings.Contains(args, "ids:"))
			if strings.Contains(shown, trace) && !echo {
				p.tb.Errorf("%s %s(%s) reveals %q: %s", operation, f.Name, args, trace, shown)
			}
		}
	}
	if operation == "subscription" {
		shown := p.listen(p.request(key, query, nil), call.code)
		if call.code != "" && !strings.Contains(shown, call.code) {
			p.tb.Errorf("subscription %s(%s) is not refused with %s: %s", f.Name, args, call.code, shown)
		}
		check(shown)
		return
	}
	r := p.ask(key, query, nil)
	errs, err := json.Marshal(r.Errors)
	must(p.tb, err)
	if r.code() != call.code {
		p.tb.Errorf("%s %s(%s): %q, want %q: %s", operation, f.Name, args, r.code(), call.code, errs)
	}
	check(string(r.Data) + string(errs))
}

// listen returns what a stream sends until it is silent, or until it contains the
// awaited text.
func (p *platform) listen(req *http.Request, until string) string {
	p.tb.Helper()
	patient := 300 * time.Millisecond // everything that must not be shown is already in the event log
	if until != "" {
		patient = patience
	}
	ctx, cancel := context.WithTimeout(p.ctx, patient)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	must(p.tb, err)
	defer resp.Body.Close()
	var shown []byte
	for buf := make([]byte, 4096); ; {
		n, err := resp.Body.Read(buf)
		shown = append(shown, buf[:n]...)
		if err != nil || (until != "" && strings.Contains(string(shown), until)) {
			return string(shown)
		}
	}
}

// peopleOthers creates one of everything for the sender acme and for the installation
// as a whole. It returns the names of all these objects, and the texts that reveal
// them.
func (p *platform) peopleOthers() (names map[string]string, traces []string) {
	p.tb.Helper()
	body := text("secret-order", "hello-of-acme")
	body["input"].(map[string]any)["labels"] = []map[string]string{{"name": "campaign", "value": "acme-spring"}}
	id := at(p.tb, p.ok("admin", queueOne, body), "queueMessage", "message", "id").(string)
	p.deadLetter(id)
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "2002"}) { id } }`, nil)
	hook := func(senders string) string {
		data := p.ok("admin", `mutation { createOutgoingWebhook(input: {url: "https://example.com/of-acme"`+senders+`}) { outgoingWebhook { id } } }`, nil)
		return at(p.tb, data, "createOutgoingWebhook", "outgoingWebhook", "id").(string)
	}
	key, _ := p.createKey(map[string]any{"name": "key-of-acme", "scopes": []string{"READ"}, "senderIds": []string{"acme"}})
	keyOfAll, _ := p.createKey(map[string]any{"name": "key-of-all", "scopes": []string{"READ"}})
	p.ok("admin", `mutation { setAlertRule(input: {kind: ERROR_RATE, senderId: "acme", threshold: 0.73}) { id } }`, nil)
	silence := func(sender string) string {
		data := p.ok("admin", `mutation { silenceAlerts(input: {`+sender+`reason: "known", until: "`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}) { id } }`, nil)
		return at(p.tb, data, "silenceAlerts", "id").(string)
	}
	p.ok("admin", `mutation { pauseSender(id: "acme", reason: "acme-is-paused") { id } }`, nil)
	p.ok("admin", `mutation { eraseRecipient(to: "+14155550199", reason: "acme-erased") { id } }`, nil)
	operation := at(p.tb, p.ok("admin", `mutation { discardDeadLetters(input: {filter: {senderId: "acme", code: 1}}, reason: "acme-discard") { id } }`, nil), "discardDeadLetters", "id").(string)
	names = map[string]string{
		"message": id, "hook": hook(`, senderIds: ["acme"]`), "hookOfAll": hook(""), "key": key, "keyOfAll": keyOfAll, "operation": operation,
		"alert":      p.raise("error-rate", "acme", alert.Critical).ID.String(),
		"alertOfAll": p.raise("error-rate", "", alert.Warning).ID.String(),
		"silence":    silence(`senderId: "acme", `), "silenceOfAll": silence(""),
		"from": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "to": time.Now().UTC().Format(time.RFC3339),
	}
	if status := p.deliver(p.webhooks(), inboundTo("1001", "wamid.of-acme", "14155550102", "written-to-acme")); status != http.StatusOK {
		p.tb.Fatalf("webhook: %d", status)
	}
	names["inbound"] = at(p.tb, p.ok("admin", `{ inboundMessages(senderId: "acme") { edges { node { id } } } }`, nil), "inboundMessages", "edges", 0, "node", "id").(string)
	p.projectAll()
	_, err := p.pool.Exec(p.ctx, `INSERT INTO parked_event (projection, stream, revision, position, type, error)
		VALUES ('views', $1, 0, 1, 'Queued', 'parked-of-acme'), ('views', $2, 0, 2, 'RuleChanged', 'parked-of-all')`,
		"message-"+id, "rule-error-rate-of-all")
	must(p.tb, err)
	traces = []string{
		"acme", "Acme", `"1001"`, `"1001-`, "4155550101", "secret-order", "key-of-all", "parked-of-all", "written-to-acme", "14155550102", `"count":1`, `"totalCount":1`, `"accepted":1`,
		`"deadLettered":1`, `"queueDepth":1`, `"selected":1`, `"done":1`, "0.73",
	}
	for _, name := range []string{"message", "hook", "hookOfAll", "key", "keyOfAll", "operation", "alert", "alertOfAll", "silence", "inbound"} {
		traces = append(traces, names[name])
	}
	return names, traces
}

// eachAfter calls do with the events of the log after a position.
func (p *platform) eachAfter(after event.Position, do func(event.Recorded)) {
	p.tb.Helper()
	live := errors.New("live")
	err := p.log.Subscribe(p.ctx, event.Subscription{After: after}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			do(e)
		}
		if b.Live {
			return live
		}
		return nil
	})
	if !errors.Is(err, live) {
		p.tb.Fatal(err)
	}
}

// TestNothingPersonalIsShownWithoutItsScope queries everything with a key that has all
// scopes except PERSONAL: no response contains personal data, and none reveals whether
// a guess of a phone number is right.
func TestNothingPersonalIsShownWithoutItsScope(t *testing.T) {
	t.Parallel()
	p, s := setup(t), served(t)
	names, _ := p.peopleOthers()
	names["start"] = at(t, p.ok("admin", `{ messages(filter: {idempotencyKey: "secret-order"}) { edges { node { cursor } } } }`, nil), "messages", "edges", 0, "node", "cursor").(string)
	key := p.keys.add("masked", nil, graph.ScopeRead, graph.ScopeSend, graph.ScopeAudit, graph.ScopeOperate)
	personal := []string{"4155550101", "hello-of-acme", "acme-spring", "said no"}
	for operation, def := range map[string]*ast.Definition{"query": s.Query, "subscription": s.Subscription} {
		for _, f := range def.Fields {
			for _, call := range aimedAtOthers[operation+" "+f.Name] {
				query, args := call.query(operation, f, s, names)
				req := p.request(key, query, nil)
				var shown string
				if operation == "subscription" {
					shown = p.listen(req, "")
				} else {
					r := p.send(req)
					shown = string(r.Data)
					if lookup := strings.Contains(args, `filter: {to: "+`) || scopeOf(f) == string(graph.ScopePersonal); lookup != (r.code() == "FORBIDDEN") && (lookup || scopeOf(f) != "ADMIN") {
						t.Errorf("%s(%s): %q", f.Name, args, r.code())
					}
				}
				for _, secret := range personal {
					if strings.Contains(shown, secret) {
						t.Errorf("%s %s(%s) reveals %q: %s", operation, f.Name, args, secret, shown)
					}
				}
			}
		}
	}
	for _, dry := range []string{"true", "false"} {
		r := p.ask(key, `mutation { cancelMessages(input: {filter: {to: "+14155550101"}}, reason: "r", dryRun: `+dry+`) { selected } }`, nil)
		if r.code() != "FORBIDDEN" || r.Errors[0].Extensions["field"] != "input.filter.to" {
			t.Errorf("cancelling by number without PERSONAL: %+v", r.Errors)
		}
	}
	// Labels can be found by callers that know them, and are shown to callers with
	// access to personal data.
	const labels = `{ messages(filter: {labels: [{name: "campaign", value: "acme-spring"}]}) { edges { node { labels { name value } } } } }`
	for holder, want := range map[string]string{key: "•••", "admin": "acme-spring"} {
		data := p.ok(holder, labels, nil)
		if got := at(t, data, "messages", "edges", 0, "node", "labels", 0); fmt.Sprint(got) != "map[name:campaign value:"+want+"]" {
			t.Errorf("%s sees %v, want %s", holder, got, want)
		}
	}
}

// TestLookupsByNumberAreRecorded looks messages up by their recipient: the log records
// the lookup, but not the number.
func TestLookupsByNumberAreRecorded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue("looked-up")
	reader := p.keys.add("support", nil, graph.ScopeRead, graph.ScopePersonal, graph.ScopeOperate)
	end, err := p.log.End(p.ctx)
	must(t, err)
	p.ok(reader, `{ messageCounts(filter: {to: "+1 415 555 0101"}) { count } }`, nil)
	p.ok(reader, `mutation { cancelMessages(input: {filter: {to: "+1 415 555 0101"}}, reason: "r", dryRun: true) { selected } }`, nil)
	recorded := 0
	p.eachAfter(end, func(e event.Recorded) {
		if read, ok := e.Event.(audit.LogRead); ok && strings.Contains(fmt.Sprint(read.Scopes, read.Fields), "PERSONAL") && strings.Contains(fmt.Sprint(read.Fields), "MessageFilter.to") {
			recorded++
		}
		if strings.Contains(string(e.Data), "4155550101") {
			t.Errorf("%s contains the number: %s", e.Type, e.Data)
		}
	})
	if recorded != 2 {
		t.Errorf("%d lookups by number are recorded, want 2", recorded)
	}
}
