package graph_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
)

func served(t *testing.T) *ast.Schema {
	t.Helper()
	return graph.NewExecutableSchema(graph.Config{}).Schema()
}

// additions are the files that add names to the contract.
var additions = []string{"accounts.graphqls", "breaker.graphqls", "campaigns.graphqls", "conversations.graphqls", "embed.graphqls", "guard.graphqls", "inbound.graphqls", "operation_list.graphqls", "outgoing_webhooks.graphqls", "parked.graphqls", "pause.graphqls", "readings.graphqls", "send.graphqls", "silence.graphqls", "sign_in.graphqls", "templates.graphqls"}

// TestServedSchemaIsPartOfTheContract checks that every served name is in the contract
// with the same type, arguments, defaults, and directives.
func TestServedSchemaIsPartOfTheContract(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("testdata", "contract.graphqls"))
	must(t, err)
	sources := []*ast.Source{{Name: "contract", Input: string(source)}}
	for _, added := range additions {
		text, err := os.ReadFile(added)
		must(t, err)
		sources = append(sources, &ast.Source{Name: added, Input: string(text)})
	}
	contract := gqlparser.MustLoadSchema(sources...)
	for name, have := range served(t).Types {
		want := contract.Types[name]
		if have.BuiltIn {
			continue
		}
		if want == nil || want.Kind != have.Kind {
			t.Errorf("%s %s is neither in the contract nor in additions", have.Kind, name)
			continue
		}
		if have.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for _, d := range want.Directives {
			if have.Directives.ForName(d.Name) == nil {
				t.Errorf("%s lacks @%s", name, d.Name)
			}
		}
		for _, v := range have.EnumValues {
			if want.EnumValues.ForName(v.Name) == nil || v.Description == "" {
				t.Errorf("%s.%s is neither in the contract nor in additions, or has no description", name, v.Name)
			}
		}
		if have.Kind == ast.Enum && len(have.EnumValues) != len(want.EnumValues) {
			t.Errorf("%s has %d values, want %d", name, len(have.EnumValues), len(want.EnumValues))
		}
		for _, f := range have.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			compareField(t, name+"."+f.Name, f, want.Fields.ForName(f.Name))
		}
		if have.Kind == ast.InputObject { // required fields must exist
			for _, f := range want.Fields {
				if f.Type.NonNull && have.Fields.ForName(f.Name) == nil {
					t.Errorf("%s lacks the required %s", name, f.Name)
				}
			}
		}
	}
}

// TestTheWholeContractIsServed checks that every name in the contract is served.
func TestTheWholeContractIsServed(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("testdata", "contract.graphqls"))
	must(t, err)
	have := served(t)
	for name, want := range gqlparser.MustLoadSchema(&ast.Source{Name: "contract", Input: string(source)}).Types {
		got := have.Types[name]
		if got == nil {
			t.Errorf("%s is not served", name)
			continue
		}
		for _, f := range want.Fields {
			field := got.Fields.ForName(f.Name)
			if field == nil {
				t.Errorf("%s.%s is not served", name, f.Name)
				continue
			}
			for _, a := range f.Arguments {
				if field.Arguments.ForName(a.Name) == nil {
					t.Errorf("%s.%s(%s) is not served", name, f.Name, a.Name)
				}
			}
		}
		for _, v := range want.EnumValues {
			if got.EnumValues.ForName(v.Name) == nil {
				t.Errorf("%s.%s is not served", name, v.Name)
			}
		}
	}
}

func compareField(t *testing.T, name string, have, want *ast.FieldDefinition) {
	t.Helper()
	if want == nil {
		t.Errorf("%s is neither in the contract nor in additions", name)
		return
	}
	if have.Description == "" {
		t.Errorf("%s has no description", name)
	}
	if have.Type.String() != want.Type.String() || value(have.DefaultValue) != value(want.DefaultValue) {
		t.Errorf("%s is %s = %s, want %s = %s", name, have.Type, value(have.DefaultValue), want.Type, value(want.DefaultValue))
	}
	if h, w := scopeOf(have), scopeOf(want); h != w {
		t.Errorf("%s requires %q, want %q", name, h, w)
	}
	for _, a := range have.Arguments {
		b := want.Arguments.ForName(a.Name)
		if b == nil || a.Type.String() != b.Type.String() || value(a.DefaultValue) != value(b.DefaultValue) || a.Description == "" {
			t.Errorf("%s(%s) is not as in the contract, or has no description", name, a.Name)
		}
	}
	for _, b := range want.Arguments {
		if have.Arguments.ForName(b.Name) == nil && name != "Query.ledger" {
			t.Errorf("%s lacks the argument %s", name, b.Name)
		}
	}
}

func value(v *ast.Value) string {
	if v == nil {
		return "none"
	}
	return v.String()
}

func scopeOf(f *ast.FieldDefinition) string {
	if d := f.Directives.ForName("hasScope"); d != nil {
		return d.Arguments.ForName("scope").Value.Raw
	}
	return ""
}

// rootCall returns a valid request for one root field.
func rootCall(s *ast.Schema, operation string, f *ast.FieldDefinition) string {
	var args []string
	for _, a := range f.Arguments {
		if a.Type.NonNull {
			args = append(args, a.Name+": "+literal(s, a.Type))
		}
	}
	call := f.Name
	if len(args) > 0 {
		call += "(" + strings.Join(args, ", ") + ")"
	}
	if k := s.Types[f.Type.Name()].Kind; k == ast.Scalar || k == ast.Enum {
		return fmt.Sprintf("%s { %s }", operation, call)
	}
	return fmt.Sprintf("%s { %s { __typename } }", operation, call)
}

func literal(s *ast.Schema, t *ast.Type) string {
	if t.Elem != nil {
		return "[" + literal(s, t.Elem) + "]"
	}
	def := s.Types[t.NamedType]
	switch {
	case t.NamedType == "Int":
		return "1"
	case t.NamedType == "Boolean":
		return "true"
	case t.NamedType == "Time":
		return `"2026-01-01T00:00:00Z"`
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case def.Kind == ast.InputObject:
		var members []string
		for _, f := range def.Fields {
			if f.Type.NonNull || (def.Directives.ForName("oneOf") != nil && len(members) == 0) {
				members = append(members, f.Name+": "+literal(s, f.Type))
			}
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return `"x"`
}

func TestEveryRootFieldIsRefusedWithoutItsScope(t *testing.T) {
	t.Parallel()
	p, s := setup(t), served(t)
	all := []graph.Scope{graph.ScopeSend, graph.ScopeRead, graph.ScopePersonal, graph.ScopeAudit, graph.ScopeOperate}
	for operation, def := range map[string]*ast.Definition{"query": s.Query, "mutation": s.Mutation, "subscription": s.Subscription} {
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			query := rootCall(s, operation, f)
			if r := p.ask("", query, nil); r.Status != http.StatusUnauthorized || r.code() != "UNAUTHENTICATED" {
				t.Errorf("%s without a key: %d %s", f.Name, r.Status, r.code())
			}
			needed := scopeOf(f)
			if needed == "" {
				continue
			}
			var others []graph.Scope
			for _, scope := range all {
				if string(scope) != needed {
					others = append(others, scope)
				}
			}
			key := p.keys.add("without-"+needed, nil, others...)
			req := p.request(key, query, nil)
			if operation != "subscription" {
				if r := p.send(req); r.code() != "FORBIDDEN" {
					t.Errorf("%s without %s: %q %+v", f.Name, needed, r.code(), r.Errors)
				}
				continue
			}
			frames := p.stream(req)
			contains(t, frames.next(), `"FORBIDDEN"`)
		}
	}
}

func TestQueueMessage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("order-1")
	data := p.ok("admin", queueOne, text("order-1", "hello"))
	if at(t, data, "queueMessage", "replayed") != true || at(t, data, "queueMessage", "message", "id") != id {
		t.Errorf("the repeat is not reported as one: %v", data)
	}
	r := p.ask("admin", queueOne, text("order-1", "other"))
	if r.code() != "CONFLICT" || r.Errors[0].Extensions["messageId"] != id {
		t.Errorf("other content: %+v", r.Errors)
	}
	bad := text("order-2", "hello")
	bad["input"].(map[string]any)["to"] = "12"
	if r := p.ask("admin", queueOne, bad); r.code() != "INVALID_INPUT" || r.Errors[0].Extensions["field"] != "to" {
		t.Errorf("bad number: %+v", r.Errors)
	}
	// A caller sees its own write, with nothing projected.
	data = p.ok("admin", `query($id: ID!) { message(id: $id) { status sender { id queueDepth } history { edges { node { type by { kind id } } } } } }`,
		map[string]any{"id": id})
	if at(t, data, "message", "status") != "QUEUED" || at(t, data, "message", "history", "edges", 0, "node", "by", "id") != "key-admin" {
		t.Errorf("%v", data)
	}
}

func TestContentIsExactlyOneAlsoThroughVariables(t *testing.T) {
	t.Parallel()
	p := setup(t)
	image := map[string]any{"link": "https://example.com/a.png"}
	body := map[string]any{"body": "hello"}
	for name, content := range map[string]map[string]any{
		"none": {}, "two": {"text": body, "image": image}, "one and a null": {"text": body, "image": nil}, "a null": {"text": nil},
	} {
		v := text("", "")
		in := v["input"].(map[string]any)
		in["idempotencyKey"], in["content"] = nil, content
		if r := p.ask("admin", queueOne, v); r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q, data %s", name, r.code(), r.Data)
		}
		many := `mutation($inputs: [QueueMessageInput!]!) { queueMessages(inputs: $inputs) { message { id } error { code } } }`
		if r := p.ask("admin", many, map[string]any{"inputs": []any{in}}); r.code() != "INVALID_INPUT" {
			t.Errorf("%s among many: %q, data %s", name, r.code(), r.Data)
		}
	}
}

// Variables can have enum values in any case. What is recorded is the schema's value.
func TestEnumsOfVariablesAreThoseOfTheSchema(t *testing.T) {
	t.Parallel()
	p := setup(t)
	v := text("a", "hello")
	v["input"].(map[string]any)["priority"], v["input"].(map[string]any)["onAmbiguous"] = "bulk", "dead_letter"
	data := p.ok("admin", queueOne, v)
	m, err := p.messages.Load(p.ctx, uuid.MustParse(at(t, data, "queueMessage", "message", "id").(string)))
	must(t, err)
	if m.Message.Priority != message.PriorityBulk || m.Message.OnAmbiguous != message.AmbiguityDeadLetter {
		t.Errorf("recorded as %s and %s", m.Message.Priority, m.Message.OnAmbiguous)
	}
	data = p.ok("admin", `mutation($id: ID!, $lanes: [Priority!], $one: Priority!) {
		pauseSender(id: $id, reason: "test", priorities: $lanes) { pausedPriorities }
		resumeLanes(id: $id, priorities: [$one]) { pausedPriorities }
	}`, map[string]any{"id": "acme", "lanes": "bulk", "one": "Bulk"})
	if at(t, data, "pauseSender", "pausedPriorities", 0) != "BULK" || len(at(t, data, "resumeLanes", "pausedPriorities").([]any)) != 0 {
		t.Errorf("%v", data)
	}
	data = p.ok("admin", `mutation($in: AlertRuleInput!) { setAlertRule(input: $in) { severity statistic } }`,
		map[string]any{"in": map[string]any{"kind": "delivery_latency", "statistic": "p95", "severity": "critical"}})
	if at(t, data, "setAlertRule", "severity") != "CRITICAL" || at(t, data, "setAlertRule", "statistic") != "P95" {
		t.Errorf("%v", data)
	}
}

func TestQueueMessagesFailsABadValueAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	good, bad := text("a", "hello")["input"], text("b", "hello")["input"].(map[string]any)
	bad["to"] = "nobody"
	data := p.ok("admin", `mutation($inputs: [QueueMessageInput!]!) { queueMessages(inputs: $inputs) { replayed message { id } error { code field } } }`,
		map[string]any{"inputs": []any{good, bad, good}})
	if at(t, data, "queueMessages", 0, "error") != nil || at(t, data, "queueMessages", 1, "error", "field") != "to" ||
		at(t, data, "queueMessages", 1, "message") != nil || at(t, data, "queueMessages", 2, "replayed") != true {
		t.Errorf("%v", data)
	}
}

func TestPersonalDataNeedsItsScope(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("private")
	p.deadLetter(id)
	p.project()
	masked := p.keys.add("masked", nil, graph.ScopeRead, graph.ScopeAudit)
	fields := `to content failure { details } attemptLog { outcome failure { details } }`
	query := `query($id: ID!) {
		message(id: $id) { ` + fields + ` history { edges { node { data } } } }
		messages { edges { node { ` + fields + ` } } }
		deadLetters { totalCount byCategory { category count } edges { node { message { ` + fields + ` } failure { details } } } }
	}`
	r := p.ask(masked, query, map[string]any{"id": id})
	if len(r.Errors) > 0 {
		t.Fatal(r.Errors)
	}
	for _, secret := range []string{"4155550101", "hello"} {
		if strings.Contains(string(r.Data), secret) {
			t.Errorf("%q is shown: %s", secret, r.Data)
		}
	}
	contains(t, string(r.Data), message.MaskNumber("+14155550101"))
	r = p.ask("admin", query, map[string]any{"id": id})
	contains(t, string(r.Data), `"to":"+14155550101"`)
	contains(t, string(r.Data), `"content":{"body":"hello"}`)
	contains(t, string(r.Data), `"byCategory":[{"category":"network","count":1}]`)
}

func TestMessageAsOf(t *testing.T) {
	t.Parallel()
	p := setup(t)
	before := time.Now()
	id, _ := p.queue("earlier")
	between := time.Now()
	p.deadLetter(id)
	query := `query($id: ID!, $at: Time) { message(id: $id, asOf: $at) { status calls history { edges { node { type } } } } }`
	if data := p.ok("admin", query, map[string]any{"id": id, "at": before}); data["message"] != nil {
		t.Errorf("known before it was queued: %v", data)
	}
	data := p.ok("admin", query, map[string]any{"id": id, "at": between})
	if at(t, data, "message", "status") != "QUEUED" || len(at(t, data, "message", "history", "edges").([]any)) != 1 {
		t.Errorf("then: %v", data)
	}
	if data := p.ok("admin", query, map[string]any{"id": id}); at(t, data, "message", "status") != "DEAD_LETTERED" {
		t.Errorf("now: %v", data)
	}
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	if r := p.ask(reader, query, map[string]any{"id": id, "at": between}); r.code() != "FORBIDDEN" {
		t.Errorf("without AUDIT: %q", r.code())
	}
}

func TestMessagesArePagedAndCounted(t *testing.T) {
	t.Parallel()
	p := setup(t)
	var ids []string
	for i := range 5 {
		id, _ := p.queue(fmt.Sprint("page-", i))
		ids = append([]string{id}, ids...)
	}
	p.project()
	query := `query($after: String) { messages(first: 2, after: $after) { edges { node { id } } pageInfo { hasNextPage endCursor } } }`
	var got []string
	for after := any(nil); ; {
		data := p.ok("admin", query, map[string]any{"after": after})
		for _, e := range at(t, data, "messages", "edges").([]any) {
			got = append(got, at(t, e, "node", "id").(string))
		}
		after = at(t, data, "messages", "pageInfo", "endCursor")
		if at(t, data, "messages", "pageInfo", "hasNextPage") != true {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("got %v, want %v", got, ids)
	}
	data := p.ok("admin", `{ messageCounts { status count } ledger { accepted open balanced } readModel { behind } senders { id queueDepth lanes { priority depth } } }`, nil)
	if at(t, data, "messageCounts", 0, "count") != 5.0 || at(t, data, "ledger", "accepted") != 5.0 ||
		at(t, data, "ledger", "balanced") != true || at(t, data, "senders", 0, "queueDepth") != 5.0 {
		t.Errorf("%v", data)
	}
}

// A message that WhatsApp holds back is shown as held, alone and in a list, until its next status.
func TestMessagesAreShownAsHeldForQuality(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("held")
	held := func(want bool) {
		t.Helper()
		p.project()
		data := p.ok("admin", `query($id: ID!) { message(id: $id) { heldForQuality } messages { edges { node { heldForQuality } } } }`, map[string]any{"id": id})
		if one, listed := at(t, data, "message", "heldForQuality"), at(t, data, "messages", "edges", 0, "node", "heldForQuality"); one != want || listed != want {
			t.Errorf("held for quality: %v, in the list %v, want %t", one, listed, want)
		}
	}
	record := func(events ...message.Event) {
		t.Helper()
		_, err := p.messages.Change(p.ctx, uuid.MustParse(id), event.Cause{By: domain.Platform("test")}, func(message.Message) ([]message.Event, error) { return events, nil })
		must(t, err)
	}
	held(false)
	record(message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now()}, message.Sent{
		Call: 1, At: time.Now(), By: message.ByAnswer, Held: "held_for_quality_assessment", Personal: message.SentPersonal{WhatsAppID: "wamid.held"},
	})
	held(true)
	record(message.Confirmed{Call: 1, At: time.Now()})
	held(false)
}

func TestCursorsOfAnotherLogAreGone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	query := `query($after: String) { messages(after: $after) { edges { cursor } } }`
	other := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"
	if r := p.ask("admin", query, map[string]any{"after": other}); r.code() != "CURSOR_GONE" {
		t.Errorf("another log's: %q", r.code())
	}
	beyond := binary.BigEndian.AppendUint64(slices.Clone(p.logID[:]), uint64(event.MaxPosition)+1)
	invalid := map[string]any{"nonsense": "nonsense", "a position beyond the last": base64.RawURLEncoding.EncodeToString(beyond)}
	for what, after := range invalid {
		if r := p.ask("admin", query, map[string]any{"after": after}); r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q", what, r.code())
		}
		contains(t, p.stream(p.request("admin", updates, map[string]any{"after": after})).next(), `"INVALID_INPUT"`)
	}
}

func TestDeadLettersAreRequeuedAndDiscarded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	first, _ := p.queue("dead-1")
	second, _ := p.queue("dead-2")
	alive, _ := p.queue("alive")
	p.deadLetter(first)
	p.deadLetter(second)
	p.project()
	fields := `{ id state selected done refusedCount refused { messageId code } }`
	data := p.ok("admin", `mutation { requeueDeadLetters(input: {filter: {}}, dryRun: true) `+fields+` }`, nil)
	if at(t, data, "requeueDeadLetters", "state") != "DRY_RUN" || at(t, data, "requeueDeadLetters", "selected") != 2.0 {
		t.Errorf("dry run: %v", data)
	}
	status := func(id string) any {
		return at(t, p.ok("admin", `query($id: ID!) { message(id: $id) { status } }`, map[string]any{"id": id}), "message", "status")
	}
	if s := status(first); s != "DEAD_LETTERED" {
		t.Errorf("the dry run changed it: %v", s)
	}
	data = p.ok("admin", `mutation($ids: [ID!]) { requeueDeadLetters(input: {ids: $ids}) `+fields+` }`,
		map[string]any{"ids": []string{first, first, alive}})
	op := data["requeueDeadLetters"]
	if at(t, op, "state") != "DONE" || at(t, op, "selected") != 2.0 || at(t, op, "done") != 1.0 ||
		at(t, op, "refused", 0, "messageId") != alive || at(t, op, "refused", 0, "code") != "CONFLICT" {
		t.Errorf("requeue: %v", op)
	}
	if found := p.ok("admin", `query($id: ID!) { operation(id: $id) `+fields+` }`, map[string]any{"id": at(t, op, "id")}); fmt.Sprint(found["operation"]) != fmt.Sprint(op) {
		t.Errorf("operation: %v", found)
	}
	p.project()
	p.ok("admin", `mutation { discardDeadLetters(input: {filter: {category: "network"}}, reason: "old") `+fields+` }`, nil)
	if a, b := status(first), status(second); a != "QUEUED" || b != "DISCARDED" {
		t.Errorf("after: %v, %v", a, b)
	}
	for _, input := range []string{`{}`, `{ids: [], filter: {}}`} {
		if r := p.ask("admin", `mutation { requeueDeadLetters(input: `+input+`) { id } }`, nil); r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q", input, r.code())
		}
	}
}

func TestSendersAreChanged(t *testing.T) {
	t.Parallel()
	p := setup(t)
	data := p.ok("admin", `mutation {
		updateSender(input: {id: "acme", name: "Acme Ltd"}) { name }
		setSenderRate(id: "acme", messagesPerSecond: 20) { messagesPerSecond }
		pauseSender(id: "acme", reason: "maintenance") { state stateReason pausedPriorities }
	}`, nil)
	if at(t, data, "updateSender", "name") != "Acme Ltd" || at(t, data, "setSenderRate", "messagesPerSecond") != 20.0 ||
		at(t, data, "pauseSender", "state") != "PAUSED" || at(t, data, "pauseSender", "stateReason") != "maintenance" {
		t.Errorf("%v", data)
	}
	data = p.ok("admin", `mutation { resumeSender(id: "acme") { state pausedPriorities } }`, nil)
	if at(t, data, "resumeSender", "state") != "ACTIVE" {
		t.Errorf("%v", data)
	}
	if r := p.ask("admin", `mutation { setSenderRate(id: "acme", messagesPerSecond: 0) { id } }`, nil); r.Errors[0].Extensions["field"] != "messagesPerSecond" {
		t.Errorf("%+v", r.Errors)
	}
	if r := p.ask("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "1001"}) { id } }`, nil); r.code() != "CONFLICT" {
		t.Errorf("a number with two senders: %+v", r.Errors)
	}
}

func TestAKeyIsLimitedToItsSenders(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("theirs")
	p.project()
	key := p.keys.add("limited", []string{"other"}, graph.ScopeSend, graph.ScopeRead, graph.ScopeOperate, graph.ScopeAudit)
	data := p.ok(key, `query($id: ID!) { message(id: $id) { id } messages { edges { node { id } } } sender(id: "acme") { id } senders { id } messageCounts { count } }`,
		map[string]any{"id": id})
	if fmt.Sprint(data) != "map[message:<nil> messageCounts:[] messages:map[edges:[]] sender:<nil> senders:[]]" {
		t.Errorf("%v", data)
	}
	for query, want := range map[string]string{
		`mutation($id: ID!) { cancelMessage(id: $id) { id } }`:                                                                "NOT_FOUND",
		`mutation { pauseSender(id: "acme", reason: "x") { id } }`:                                                            "FORBIDDEN",
		`{ ledger(senderId: "acme") { open } }`:                                                                               "FORBIDDEN",
		`mutation { queueMessage(input: {senderId: "acme", to: "+14155550101", content: {text: {body: "x"}}}) { replayed } }`: "FORBIDDEN",
	} {
		var v map[string]any
		if strings.Contains(query, "$id") {
			v = map[string]any{"id": id}
		}
		if r := p.ask(key, query, v); r.code() != want {
			t.Errorf("%s: %q", query, r.code())
		}
	}
	data = p.ok(key, `mutation($ids: [ID!]) { requeueDeadLetters(input: {ids: $ids}) { refused { code } } }`, map[string]any{"ids": []string{id}})
	if at(t, data, "requeueDeadLetters", "refused", 0, "code") != "NOT_FOUND" {
		t.Errorf("%v", data)
	}
}

func TestBadRequestsAreInvalidInput(t *testing.T) {
	t.Parallel()
	p := setup(t)
	deep := "{ __schema { types " + strings.Repeat("{ fields { type ", 15) + "{ name }" + strings.Repeat("} }", 15) + " } }"
	for name, query := range map[string]string{
		"syntax": `{`, "unknown field": `{ nothing }`, "bad time": `{ message(id: "x", asOf: "noon") { id } }`,
		"large page": `{ messages(first: 201) { edges { cursor } } }`, "deep": deep,
		"costly": `{ messages(first: 200) { edges { node { history(first: 200) { edges { node { id type } } } } } } }`,
	} {
		if r := p.ask("admin", query, nil); r.code() != "INVALID_INPUT" {
			t.Errorf("%s: %q %+v", name, r.code(), r.Errors)
		}
	}
	req := p.request("admin", "{ viewer { name } } #"+strings.Repeat("x", 4<<20), nil)
	if r := p.send(req); r.code() != "TOO_LARGE" || r.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("large: %d %q", r.Status, r.code())
	}
}

func TestOnBehalfOfIsRecorded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	req := p.request("admin", queueOne, text("behalf", "hello"))
	req.Header.Set("Waypost-On-Behalf-Of", "agent 7")
	contains(t, string(p.send(req).Data), "QUEUED")
	id := message.ID("acme", "behalf").String()
	data := p.ok("admin", `query($id: ID!) { message(id: $id) { history { edges { node { by { onBehalfOf } } } } } }`, map[string]any{"id": id})
	if got := at(t, data, "message", "history", "edges", 0, "node", "by", "onBehalfOf"); got != "agent 7" {
		t.Errorf("got %v", got)
	}
}

// failingReader fails like a broken adapter: with an error that contains too much, or
// with a panic.
type failingReader struct{ app.MessageReader }

func (failingReader) Messages(context.Context, query.MessageFilter, query.Page) (query.MessagePage, error) {
	return query.MessagePage{}, errors.New("password=hunter2")
}

func (failingReader) MessageCounts(context.Context, query.MessageFilter) ([]query.StatusCount, error) {
	panic("password=hunter2")
}

func TestInternalErrorsTellAnIDAndNoMore(t *testing.T) {
	t.Parallel()
	p := setup(t)
	opts := p.options
	opts.Queries.MessageReader = failingReader{}
	p.serve(opts)
	for _, q := range []string{`{ messages { edges { cursor } } }`, `{ messageCounts { count } }`} {
		r := p.ask("admin", q, nil)
		if r.code() != "INTERNAL" || strings.Contains(fmt.Sprint(r), "hunter2") {
			t.Fatalf("%s: %+v", q, r)
		}
		id := strings.Fields(strings.TrimSuffix(r.Errors[0].Message, ";"))[2]
		contains(t, p.logged.String(), "errorId="+strings.TrimSuffix(id, ";"))
		contains(t, p.logged.String(), "hunter2")
	}
}

// What lists don't have of a message is loaded. If that fails, the caller learns why.
func TestPartsOfListedMessagesThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue("order-1")
	p.projectAll()
	opts := p.options
	opts.Queries.FindMessage = func(context.Context, uuid.UUID) (repository.Loaded, error) {
		return repository.Loaded{}, domain.Unavailable("the event store cannot be reached; try again")
	}
	p.serve(opts)
	for _, part := range []string{"content", "pricing", "heldForQuality", "attemptLog { call }", "outsideWindow", "fallback", "substitutedAt"} {
		if r := p.ask("admin", `{ messages { edges { node { `+part+` } } } }`, nil); r.code() != "UNAVAILABLE" {
			t.Errorf("%s: got %+v; want UNAVAILABLE", part, r)
		}
	}
}

// A check decides as queueMessages does, recognizes repeats, including messages queued
// with former keys, and queues nothing.
func TestCheckMessagesQueuesNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("order-1")
	input := func(key, body string, former ...any) any {
		in := text(key, body)["input"].(map[string]any)
		in["formerKeys"] = former
		return in
	}
	bad := input("c", "hello").(map[string]any)
	bad["to"] = "491512345678.0"
	inputs := []any{
		input("order-1", "hello"), input("order-1", "other"), bad, input("new", "hello"),
		input("order-2", "hello", "never", "order-1"), input("order-3", "other", "order-1"), input("order-4", "hello", "a", "b", "c", "d", "e"),
	}
	outcomes := func(operation string) []string {
		t.Helper()
		data := p.ok("admin", operation+` { replayed message { id } error { code field } } }`, map[string]any{"inputs": inputs})
		var out []string
		for _, result := range at(t, data, "r").([]any) {
			out = append(out, outcome(t, result, id))
		}
		return out
	}
	const check = `query($inputs: [QueueMessageInput!]!) { r: checkMessages(inputs: $inputs)`
	want := []string{"repeat", "CONFLICT idempotencyKey", "INVALID_INPUT to", "new", "repeat", "CONFLICT idempotencyKey", "INVALID_INPUT formerKeys"}
	for range 2 { // the first call queues nothing
		if got := outcomes(check); !slices.Equal(got, want) {
			t.Errorf("checked: %q, want %q", got, want)
		}
	}
	want[3] = "message"
	if got := outcomes(`mutation($inputs: [QueueMessageInput!]!) { r: queueMessages(inputs: $inputs)`); !slices.Equal(got, want) {
		t.Errorf("queued: %q, want %q", got, want)
	}
	sender := p.keys.add("sender", []string{"acme"}, graph.ScopeSend)
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	const secret = `{ idempotencySecret }`
	if first, again := p.ok(sender, secret, nil), p.ok("admin", secret, nil); len(first["idempotencySecret"].(string)) < 20 || first["idempotencySecret"] != again["idempotencySecret"] {
		t.Errorf("the secret is %v, then %v", first, again)
	}
	for _, query := range []string{secret, `{ checkMessages(inputs: []) { replayed } }`} {
		if r := p.ask(reader, query, nil); r.code() != "FORBIDDEN" {
			t.Errorf("a key without SEND queries %s: %+v", query, r)
		}
	}
}

// outcome returns a summary of a result of queueing or checking.
func outcome(t *testing.T, result any, id string) string {
	t.Helper()
	r := result.(map[string]any)
	if e, ok := r["error"].(map[string]any); ok {
		return fmt.Sprint(e["code"], " ", e["field"])
	}
	switch m, _ := r["message"].(map[string]any); {
	case m == nil && r["replayed"] == false:
		return "new"
	case r["replayed"] == true && m["id"] == id:
		return "repeat"
	case r["replayed"] == false && m["id"] != id:
		return "message"
	}
	return fmt.Sprint(r)
}

// Each lane shows who paused it, when, and why, and can be resumed alone.
func TestLanesShowTheirPausesAndAreResumedAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const fields = `{ state pausedPriorities pauseReason emptyIn pauses { priority reason since by { kind id } } }`
	p.queue("waiting")
	p.project()
	p.ok("admin", `mutation { pauseSender(id: "acme", reason: "stock-taking", priorities: [TRANSACTIONAL, BULK]) { id } }`, nil)
	s := at(t, p.ok("admin", `mutation { pauseSender(id: "acme", reason: "no codes", priorities: [OTP]) `+fields+` }`, nil), "pauseSender")
	if at(t, s, "state") != "PAUSED" || at(t, s, "emptyIn") != nil {
		t.Errorf("paused: %v", s)
	}
	for i, want := range [][2]string{{"OTP", "no codes"}, {"TRANSACTIONAL", "stock-taking"}, {"BULK", "stock-taking"}} {
		if pause := at(t, s, "pauses", i); at(t, pause, "priority") != want[0] || at(t, pause, "reason") != want[1] || at(t, pause, "by", "id") != "key-admin" || at(t, pause, "since") == nil {
			t.Errorf("pause %v, want %v", pause, want)
		}
	}
	s = at(t, p.ok("admin", `mutation { resumeLanes(id: "acme", priorities: [OTP, TRANSACTIONAL]) `+fields+` }`, nil), "resumeLanes")
	if at(t, s, "state") != "ACTIVE" || len(at(t, s, "pauses").([]any)) != 1 || at(t, s, "pauses", 0, "priority") != "BULK" || len(at(t, s, "pausedPriorities").([]any)) != 1 {
		t.Errorf("with one lane paused: %v", s)
	}
	s = at(t, p.ok("admin", `mutation { resumeLanes(id: "acme", priorities: [BULK]) `+fields+` }`, nil), "resumeLanes")
	if len(at(t, s, "pauses").([]any)) != 0 || at(t, s, "pauseReason") != nil {
		t.Errorf("resumed: %v", s)
	}
	if code := p.ask("admin", `mutation { resumeLanes(id: "acme", priorities: []) { id } }`, nil).code(); code != "INVALID_INPUT" {
		t.Errorf("without lanes: %q", code)
	}
}
