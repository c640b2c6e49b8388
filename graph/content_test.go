package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/graph"
)

// inputOf converts a documented request of the Cloud API to an input of the API.
func inputOf(t *testing.T, request map[string]any, key string) map[string]any {
	t.Helper()
	kind := request["type"].(string)
	content := request[kind]
	members, _ := content.(map[string]any)
	var in any = members
	switch kind {
	case "text":
		in = map[string]any{"body": members["body"], "previewUrl": members["preview_url"] == true}
	case "location":
		in = withMembers(members, map[string]any{"latitude": number(t, members["latitude"]), "longitude": number(t, members["longitude"])})
	case "reaction":
		in = map[string]any{"messageId": members["message_id"], "emoji": members["emoji"]}
	case "contacts":
		var list []any
		for _, c := range content.([]any) {
			list = append(list, map[string]any{"contact": c})
		}
		in = list
	case "interactive":
		object := withMembers(members, nil)
		delete(object, "type")
		in = map[string]any{"kind": members["type"], "object": object}
	case "template":
		in = templateInput(t, members)
	}
	input := map[string]any{"senderId": "acme", "to": request["to"], "idempotencyKey": key, "content": map[string]any{kind: in}}
	if c, ok := request["context"].(map[string]any); ok {
		input["replyTo"] = c["message_id"]
	}
	return input
}

func templateInput(t *testing.T, template map[string]any) map[string]any {
	t.Helper()
	in := map[string]any{"name": template["name"], "language": at(t, template, "language", "code")}
	components, _ := template["components"].([]any)
	var list []any
	for _, c := range components {
		c := c.(map[string]any)
		part := map[string]any{"type": strings.ToUpper(c["type"].(string)), "parameters": c["parameters"]}
		if sub, ok := c["sub_type"]; ok {
			part["subType"] = sub
		}
		if index, ok := c["index"].(string); ok {
			n, err := strconv.Atoi(index)
			must(t, err)
			part["index"] = n
		}
		if !slices.Contains([]string{"HEADER", "BODY", "BUTTON"}, part["type"].(string)) {
			part["type"], part["subType"] = "BODY", c["type"]
		}
		if cards, ok := c["cards"]; ok {
			part["parameters"] = cards
		}
		list = append(list, part)
	}
	in["components"] = list
	return in
}

func withMembers(of, more map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, of)
	maps.Copy(out, more)
	return out
}

func number(t *testing.T, text any) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text.(string), 64)
	must(t, err)
	return f
}

func TestEveryKindOfContentIsQueuedAsItIsSent(t *testing.T) {
	t.Parallel()
	p := setup(t)
	files, err := filepath.Glob(filepath.Join("..", "adapters", "whatsapp", "testdata", "requests", "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d requests, %v", len(files), err)
	}
	var inputs []any
	var requests []map[string]any
	for _, file := range files {
		raw, err := os.ReadFile(file)
		must(t, err)
		var request map[string]any
		must(t, json.Unmarshal(raw, &request))
		requests = append(requests, request)
		inputs = append(inputs, inputOf(t, request, filepath.Base(file)))
	}
	data := p.ok("admin", `mutation($inputs: [QueueMessageInput!]!) {
		queueMessages(inputs: $inputs) { message { type content replyTo } error { field message } }
	}`, map[string]any{"inputs": inputs})
	for i, request := range requests {
		got := at(t, data, "queueMessages", i)
		kind := request["type"].(string)
		if e := at(t, got, "error"); e != nil {
			t.Errorf("%s: %v", files[i], e)
			continue
		}
		if at(t, got, "message", "type") != strings.ToUpper(kind) || !reflect.DeepEqual(at(t, got, "message", "content"), request[kind]) {
			t.Errorf("%s:\n got %v\nwant %v", files[i], at(t, got, "message", "content"), request[kind])
		}
	}
}

func TestExactlyOneContentIsDemandedAlsoOfVariables(t *testing.T) {
	t.Parallel()
	p := setup(t)
	text, sticker := map[string]any{"body": "x"}, map[string]any{"id": "1"}
	of := func(content any) map[string]any {
		return map[string]any{"senderId": "acme", "to": "+14155550101", "content": content}
	}
	const (
		one   = `mutation($v: QueueMessageInput!) { queueMessage(input: $v) { replayed } }`
		many  = `mutation($v: [QueueMessageInput!]!) { queueMessages(inputs: $v) { replayed } }`
		inner = `mutation($v: MessageContentInput!) { queueMessage(input: {senderId: "acme", to: "+14155550101", content: $v}) { replayed } }`
		leaf  = `mutation($v: TextInput, $w: MediaInput) { queueMessage(input: {senderId: "acme", to: "+14155550101", content: {text: $v, sticker: $w}}) { replayed } }`
	)
	for name, c := range map[string]struct {
		query string
		value any
	}{
		"none":                     {one, of(map[string]any{})},
		"two":                      {one, of(map[string]any{"text": text, "sticker": sticker})},
		"one and null":             {one, of(map[string]any{"text": text, "sticker": nil})},
		"null":                     {one, of(map[string]any{"text": nil})},
		"two of one of many":       {many, []any{of(map[string]any{"text": text}), of(map[string]any{"text": text, "sticker": sticker})}},
		"none of one of many":      {many, []any{of(map[string]any{"text": text}), of(map[string]any{})}},
		"two within a literal":     {inner, map[string]any{"text": text, "sticker": sticker}},
		"no contacts and location": {inner, map[string]any{"contacts": nil, "location": map[string]any{"latitude": 1, "longitude": 2}}},
		"two as leaves":            {leaf, text},
	} {
		variables := map[string]any{"v": c.value}
		if c.query == leaf {
			variables["w"] = sticker
		}
		r := p.ask("admin", c.query, variables)
		if r.code() != "INVALID_INPUT" || !strings.Contains(strings.ToLower(fmt.Sprint(r.Errors)), "content") {
			t.Errorf("%s: %q %+v", name, r.code(), r.Errors)
		}
	}
	if data := p.ok("admin", inner, map[string]any{"v": map[string]any{"contacts": []any{map[string]any{
		"contact": map[string]any{"name": map[string]any{"formatted_name": "A B", "first_name": "A"}},
	}}}}); at(t, data, "queueMessage", "replayed") != false {
		t.Errorf("%v", data)
	}
}

func TestContentOutsideItsLimitsNamesFieldAndLimit(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.keys.add("sender", nil, graph.ScopeSend)
	long := strings.Repeat("x", 21)
	for _, c := range []struct {
		content     map[string]any
		replyTo     string
		field, want string
	}{
		{content: map[string]any{"location": map[string]any{"latitude": 91, "longitude": 0}}, field: "content.location.latitude", want: "-90 to 90"},
		{content: map[string]any{"contacts": []any{}}, field: "content.contacts", want: "1 to 5"},
		{content: map[string]any{"contacts": []any{map[string]any{"contact": map[string]any{}}}}, field: "content.contacts.0.contact.name", want: "formatted_name"},
		{content: map[string]any{"reaction": map[string]any{"messageId": "1", "emoji": "👍"}}, field: "content.reaction.messageId", want: "wamid."},
		{content: map[string]any{"interactive": map[string]any{"kind": "button", "object": map[string]any{
			"body":   map[string]any{"text": "b"},
			"action": map[string]any{"buttons": []any{map[string]any{"type": "reply", "reply": map[string]any{"id": "1", "title": long}}}},
		}}}, field: "content.interactive.object.action.buttons.0.reply.title", want: "21 characters, 1 to 20"},
		{content: map[string]any{"template": map[string]any{"name": "t", "language": "en", "components": []any{
			map[string]any{"type": "BUTTON", "subType": "copy_code", "index": 0, "parameters": []any{map[string]any{"type": "coupon_code", "coupon_code": long}}},
		}}}, field: "content.template.components.0.parameters.0.coupon_code", want: "1 to 20"},
		{content: map[string]any{"text": map[string]any{"body": "x"}}, replyTo: "4711", field: "replyTo", want: "wamid."},
	} {
		input := map[string]any{"senderId": "acme", "to": "+14155550101", "content": c.content}
		if c.replyTo != "" {
			input["replyTo"] = c.replyTo
		}
		r := p.ask("sender", `mutation($i: QueueMessageInput!) { queueMessage(input: $i) { replayed } }`, map[string]any{"i": input})
		if r.code() != "INVALID_INPUT" || r.Errors[0].Extensions["field"] != c.field || !strings.Contains(r.Errors[0].Message, c.want) {
			t.Errorf("%s: %+v", c.field, r.Errors)
		}
	}
}

// A repeat returns the first message even after its time has passed: only the
// recipient, the content, and the message that it replies to are compared.
func TestARepeatIsAnsweredAfterItsExpiry(t *testing.T) {
	t.Parallel()
	p := setup(t)
	expires := time.Now().Add(time.Hour)
	in := text("otp-1", "Your code is 428913")
	in["input"].(map[string]any)["expiresAt"] = expires.UTC().Format(time.RFC3339Nano)
	first := p.ok("admin", queueOne, in)
	p.ahead.Store(int64(2 * time.Hour))
	again := p.ok("admin", queueOne, in)
	if at(t, again, "queueMessage", "replayed") != true || at(t, again, "queueMessage", "message", "id") != at(t, first, "queueMessage", "message", "id") {
		t.Errorf("the repeat: %v", again)
	}
	for name, change := range map[string]struct{ member, value, code string }{
		"another message": {"to", "+14155550199", "CONFLICT"},
		"another key":     {"idempotencyKey", "otp-2", "INVALID_INPUT"},
	} {
		other := map[string]any{"input": withMembers(in["input"].(map[string]any), map[string]any{change.member: change.value})}
		if r := p.ask("admin", queueOne, other); r.code() != change.code {
			t.Errorf("%s: %q %+v", name, r.code(), r.Errors)
		}
	}
}
