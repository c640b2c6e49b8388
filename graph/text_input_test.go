package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/graph"
)

// place is a position at which an argument of a root field accepts a text.
type place struct {
	operation ast.Operation
	field     *ast.FieldDefinition
	path      []string // from the argument's name
	typ       string   // String, ID, or JSON
}

func (p place) String() string { return p.field.Name + "(" + strings.Join(p.path, ".") + ")" }

// texts lists all places of the schema that accept a text.
func texts(schema *ast.Schema) []place {
	var places []place
	var walk func(p place, t *ast.Type, seen []string)
	walk = func(p place, t *ast.Type, seen []string) {
		if t.Elem != nil {
			walk(p, t.Elem, seen)
			return
		}
		switch def := schema.Types[t.NamedType]; {
		case slices.Contains([]string{"String", "ID", "JSON"}, t.NamedType):
			p.typ = t.NamedType
			places = append(places, p)
		case def.Kind == ast.InputObject && !slices.Contains(seen, def.Name):
			for _, f := range def.Fields {
				next := p
				next.path = append(slices.Clone(p.path), f.Name)
				walk(next, f.Type, append(slices.Clone(seen), def.Name))
			}
		}
	}
	for operation, root := range map[ast.Operation]*ast.Definition{ast.Query: schema.Query, ast.Mutation: schema.Mutation, ast.Subscription: schema.Subscription} {
		for _, f := range root.Fields {
			for _, a := range f.Arguments {
				walk(place{operation: operation, field: f, path: []string{a.Name}}, a.Type, nil)
			}
		}
	}
	return places
}

// valueOf returns the smallest value of a type, with what at the path, if there is one.
func valueOf(schema *ast.Schema, t *ast.Type, path []string, what any) any {
	if t.Elem != nil {
		return []any{valueOf(schema, t.Elem, path, what)}
	}
	def := schema.Types[t.NamedType]
	switch {
	case def.Kind == ast.Enum:
		return def.EnumValues[0].Name
	case def.Kind == ast.InputObject:
		value := make(map[string]any)
		for _, f := range def.Fields {
			if len(path) > 0 && f.Name == path[0] {
				value[f.Name] = valueOf(schema, f.Type, path[1:], what)
			} else if f.Type.NonNull && f.DefaultValue == nil {
				value[f.Name] = valueOf(schema, f.Type, nil, nil)
			}
		}
		if def.Directives.ForName("oneOf") != nil && len(value) == 0 {
			value[def.Fields[0].Name] = valueOf(schema, def.Fields[0].Type, nil, nil)
		}
		return value
	case what != nil:
		return what
	}
	switch t.NamedType {
	case "ID":
		return uuid.Nil.String()
	case "Int", "Int64", "Float":
		return 1
	case "Boolean":
		return true
	case "Time":
		return "2026-01-31T12:00:00Z"
	case "Duration":
		return "PT1M"
	case "JSON":
		return map[string]any{}
	}
	return "1"
}

// request returns a request with what at the place.
func (p place) request(schema *ast.Schema, what any) (query string, variables map[string]any) {
	variables = make(map[string]any)
	var declared, given []string
	for _, a := range p.field.Arguments {
		switch {
		case a.Name == p.path[0]:
			variables[a.Name] = valueOf(schema, a.Type, p.path[1:], what)
		case a.Type.NonNull && a.DefaultValue == nil:
			variables[a.Name] = valueOf(schema, a.Type, nil, nil)
		default:
			continue
		}
		declared, given = append(declared, "$"+a.Name+": "+a.Type.String()), append(given, a.Name+": $"+a.Name)
	}
	selection := ""
	switch def := schema.Types[p.field.Type.Name()]; {
	case def.Name == "QueueMessageResult":
		selection = " { error { code field } }"
	case def.IsCompositeType():
		selection = " { __typename }"
	}
	return fmt.Sprintf("%s (%s) { %s(%s)%s }", p.operation, strings.Join(declared, ", "), p.field.Name, strings.Join(given, ", "), selection), variables
}

// refusal returns the code and the field of a request's error, or of its only input's
// error.
func (p *platform) refusal(at place, query string, variables map[string]any) (code, field string) {
	p.tb.Helper()
	req := p.request("admin", query, variables)
	var r reply
	if at.operation == ast.Subscription {
		req.Header.Set("Accept", "text/event-stream")
		must(p.tb, json.Unmarshal([]byte(p.stream(req).next()), &r))
	} else {
		r = p.send(req)
	}
	if len(r.Errors) > 0 {
		field, _ = r.Errors[0].Extensions["field"].(string)
		return r.code(), field
	}
	var data map[string][]struct {
		Error *struct{ Code, Field string }
	}
	if json.Unmarshal(r.Data, &data) == nil && len(data[at.field.Name]) == 1 {
		if e := data[at.field.Name][0].Error; e != nil {
			return e.Code, e.Field
		}
	}
	return "", ""
}

// Every place for a text rejects a text with a control character or without a length
// limit, and names the place. New arguments and fields are included automatically.
func TestEveryTextIsChecked(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	p := setup(t)
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	places := texts(schema)
	if len(places) < 100 {
		t.Fatalf("the schema has only %d places for texts", len(places))
	}
	hostile := map[string]string{"U+0000": "x\x00", "a C1 control character": "\u0085", "a megabyte": strings.Repeat("ab", 500_000)}
	before, err := p.log.End(p.ctx)
	must(t, err)
	for _, at := range places {
		for _, name := range slices.Sorted(maps.Keys(hostile)) {
			text := hostile[name]
			if at.operation == ast.Subscription && name == "a megabyte" {
				text = text[:200_000] // a larger request for a stream is rejected before it is read
			}
			var what any = text
			if at.typ == "JSON" {
				what = map[string]any{"nested": []any{text}}
			}
			query, variables := at.request(schema, what)
			code, field := p.refusal(at, query, variables)
			if code != "INVALID_INPUT" && code != "TOO_LARGE" {
				t.Errorf("%s takes %s: %s\n%s", at, name, strconv.Quote(code), query)
			}
			if last := at.path[len(at.path)-1]; !strings.Contains(field, last) && name != "a megabyte" {
				t.Errorf("%s refuses %s at %q, want a field of %s", at, name, field, last)
			}
		}
	}
	err = p.log.Subscribe(p.ctx, event.Subscription{After: before}, func(_ context.Context, b event.Batch) error {
		for _, e := range b.Events {
			if !strings.HasPrefix(e.Stream, "access-") { // reads are recorded
				t.Errorf("%s was recorded in %s", e.Type, e.Stream)
			}
		}
		if b.Live {
			return errRead
		}
		return nil
	})
	if !errors.Is(err, errRead) {
		t.Error(err)
	}
}

var errRead = errors.New("read to the end")

// Reasons and names have limits that match their meaning, and reasons can have several
// lines.
func TestTextsHaveTheirKind(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, _ := p.queue("kind")
	for mutation, want := range map[string]string{
		`pauseSender(id: "acme", reason: "` + strings.Repeat("x", 1025) + `") { id }`:         "reason",
		`cancelMessage(id: "` + id + `", reason: "` + strings.Repeat("x", 1025) + `") { id }`: "reason",
		`registerSender(input: {id: "b", name: "a\nb", phoneNumberId: "7"}) { id }`:           "name",
		`updateSender(input: {id: "acme", accessToken: "a\nb"}) { id }`:                       "accessToken",
		`createOutgoingWebhook(input: {url: "https://example.com/\n"}) { secret }`:            "input.url",
		`createApiKey(input: {name: "a\tb", scopes: [READ]}) { secret }`:                      "input.name",
	} {
		r := p.ask("admin", "mutation { "+mutation+" }", nil)
		if r.code() != "INVALID_INPUT" || r.Errors[0].Extensions["field"] != want {
			t.Errorf("%.80s: %+v, want it refused at %s", mutation, r.Errors, want)
		}
	}
	p.ok("admin", `mutation { pauseSender(id: "acme", reason: "stock-taking\n\tuntil noon") { id } }`, nil)
	p.ok("admin", queueOne, text("lines", "Grüße 👋\n\ta\r\nb"))
}

// Times after the year 9999 and numbers beyond 32 bits are rejected in the argument
// that contains them.
func TestFiltersAreChecked(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for filter, want := range map[string]string{
		`messages(filter: {queuedAfter: "9999-12-31T23:59:59-01:00"}) { edges { cursor } }`:     "queuedAfter",
		`messages(filter: {queuedBefore: "0000-01-01T00:00:00+01:00"}) { edges { cursor } }`:    "queuedBefore",
		`messages(filter: {errorCode: 3000000000}) { edges { cursor } }`:                        "errorCode",
		`deadLetters(filter: {code: 3000000000}) { totalCount }`:                                "code",
		`messages(filter: {template: "\u0000"}) { edges { cursor } }`:                           "filter.template",
		`messageCounts(filter: {errorCategory: "x\u0000"}) { count }`:                           "filter.errorCategory",
		`events(filter: {types: ["Queued", "x\u0000"]}) { edges { cursor } }`:                   "filter.types.1",
		`metrics(window: "P999999999D") { sent }`:                                               "window",
		`message(id: "` + uuid.NewString() + `", asOf: "9999-12-31T23:59:59-01:00") { status }`: "asOf",
	} {
		r := p.ask("admin", "{ "+filter+" }", nil)
		var field string
		if len(r.Errors) > 0 {
			field, _ = r.Errors[0].Extensions["field"].(string)
		}
		if r.code() != "INVALID_INPUT" || !strings.HasSuffix(field, want) {
			t.Errorf("%s: %+v, want it refused at %s", filter, r.Errors, want)
		}
	}
}

// Bytes that are not UTF-8, and half characters, are rejected before a decoder replaces
// them.
func TestRequestsAreUTF8(t *testing.T) {
	t.Parallel()
	p := setup(t)
	post := func(body string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.url, strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer admin")
		return p.send(req)
	}
	const pause = `{"query":"mutation($r: String!) { pauseSender(id: \"acme\", reason: $r) { id } }","variables":{"r":"%s"}}`
	for what, body := range map[string]string{
		"Windows-1252":              fmt.Sprintf(pause, "Gr\xfc\xdfe"),
		"half an emoji":             fmt.Sprintf(pause, `\ud83d`),
		"the other half":            fmt.Sprintf(pause, `\ude00!`),
		"half an emoji in a string": `{"query":"mutation { pauseSender(id: \"acme\", reason: \"\\ud83d\") { id } }"}`,
	} {
		r := post(body)
		if r.Status != http.StatusBadRequest || r.code() != "INVALID_INPUT" || !strings.Contains(r.Errors[0].Message, "at byte") {
			t.Errorf("%s: %d %+v", what, r.Status, r.Errors)
		}
	}
	for what, body := range map[string]string{
		"an emoji":             fmt.Sprintf(pause, `\ud83d\ude00`),
		"an emoji in a string": `{"query":"mutation { pauseSender(id: \"acme\", reason: \"\\ud83d\\ude00\") { id } }"}`,
		"a backslash":          fmt.Sprintf(pause, `C:\\ud83d`),
	} {
		if r := post(body); len(r.Errors) > 0 {
			t.Errorf("%s: %+v", what, r.Errors)
		}
	}
}

// The read models accept every text that the API or a broker's command accepts.
func TestAcceptedTextsAreProjected(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	p := setup(t)
	parser := graph.NewCommandParser()
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string {
			return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"x\x00", "\u0085", "a\n\tb", "😀", "\ufffd", strings.Repeat("ü", 1024)})).Draw(rt, name)
		}
		id, _ := p.queue(uuid.NewString())
		for mutation, variables := range map[string]map[string]any{
			`mutation($a: String!) { pauseSender(id: "acme", reason: $a) { id } }`:                       {"a": text("pause")},
			`mutation($a: String!) { updateSender(input: {id: "acme", name: $a}) { id } }`:               {"a": text("name")},
			`mutation($a: String!) { updateSender(input: {id: "acme", displayPhoneNumber: $a}) { id } }`: {"a": text("display")},
			`mutation($a: String!, $id: ID!) { cancelMessage(id: $id, reason: $a) { id } }`:              {"a": text("cancel"), "id": id},
			`mutation($input: QueueMessageInput!) { queueMessage(input: $input) { message { id } } }`: {"input": map[string]any{
				"senderId": "acme", "to": "+14155550101", "idempotencyKey": text("key"), "replyTo": text("reply"),
				"labels":  []any{map[string]any{"name": text("label"), "value": text("value")}},
				"content": map[string]any{"text": map[string]any{"body": text("body")}},
			}},
			`mutation($o: JSON!) { queueMessage(input: {senderId: "acme", to: "+14155550101", content: {interactive: {kind: "button", object: $o}}}) { message { id } } }`: {
				"o": map[string]any{"body": map[string]any{"text": text("interactive")}, "action": map[string]any{"buttons": []any{
					map[string]any{"type": "reply", "reply": map[string]any{"id": text("button"), "title": "Yes"}},
				}}},
			},
		} {
			if r := p.ask("admin", mutation, variables); len(r.Errors) > 0 && r.code() == "INTERNAL" {
				rt.Fatalf("%s\n%+v", mutation, r.Errors)
			}
		}
		raw, err := json.Marshal(map[string]any{
			"v": 1, "senderId": "acme", "to": "+14155550101", "idempotencyKey": text("command key"),
			"content": map[string]any{"text": map[string]any{"body": text("command body")}},
		})
		must(t, err)
		if request, err := parser.Parse(raw); err == nil {
			_, _ = p.options.Commands.QueueMessage(p.ctx, request, event.Cause{By: domain.Platform("test")}) // it may be refused
		}
	})
	p.queue("last") // both groups of projections have processed it when they have reached the end of the log
	p.project()
	parked, err := postgres.NewReadModel(p.pool).ParkedStreams(p.ctx)
	if err != nil || len(parked) > 0 {
		t.Errorf("parked %+v, %v", parked, err)
	}
}

// Commands that are not UTF-8 are rejected with the position.
func TestCommandsAreUTF8(t *testing.T) {
	t.Parallel()
	parser := graph.NewCommandParser()
	const form = `{"v": 1, "senderId": "acme", "to": "+14155550101", "content": {"text": {"body": "%s"}}}`
	for body, want := range map[string]string{"Gr\xfc\xdfe": "is not valid UTF-8 at byte", `\ud83d`: "one half of a character"} {
		if _, err := parser.Parse(fmt.Appendf(nil, form, body)); domain.CodeOf(err) != domain.CodeInvalidInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", body, err, want)
		}
	}
}
