package graph_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
)

//go:generate env UPDATE=1 go test -run TestCommandSchemaIsThatOfTheInput .

func TestParseCommand(t *testing.T) {
	t.Parallel()
	got, err := graph.NewCommandParser().Parse([]byte(`{
		"v": 1, "senderId": "shop", "to": "+14155550101", "idempotencyKey": "order-1",
		"content": {"template": {"name": "receipt", "language": "en_US",
			"components": [{"type": "BODY", "parameters": [{"type": "text", "text": "12.50"}]}]}},
		"priority": "OTP", "deliverWithin": "PT20S", "expiresAt": "2030-01-02T03:04:05Z", "onAmbiguous": "DEAD_LETTER",
		"labels": [{"name": "order", "value": "1"}]}`))
	must(t, err)
	if got.Sender != "shop" || got.To != "+14155550101" || got.IdempotencyKey != "order-1" ||
		got.Priority != message.PriorityOTP || got.OnAmbiguous != message.AmbiguityDeadLetter ||
		got.DeliverWithin == nil || *got.DeliverWithin != 20*time.Second ||
		!got.ExpiresAt.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) ||
		!reflect.DeepEqual(got.Labels, []message.Label{{Name: "order", Value: "1"}}) {
		t.Errorf("parsed as %+v", got)
	}
	if tpl, ok := got.Content.(message.Template); !ok || tpl.Name != "receipt" || len(tpl.Components) != 1 {
		t.Errorf("content parsed as %#v", got.Content)
	}
}

func TestParseCommandHasTheDefaultsOfTheInput(t *testing.T) {
	t.Parallel()
	got, err := graph.NewCommandParser().Parse([]byte(`{"v":1,"senderId":"shop","to":"+14155550101","content":{"text":{"body":"Hello"}}}`))
	must(t, err)
	if got.Priority != message.PriorityTransactional || got.OnAmbiguous != message.AmbiguityResend || got.DeliverWithin != nil {
		t.Errorf("parsed as %+v", got)
	}
}

// Enum values can have any case, and one value can stand for a list of one, as in a
// variable.
func TestParseCommandHasTheSchemasValues(t *testing.T) {
	t.Parallel()
	got, err := graph.NewCommandParser().Parse([]byte(`{"v":1,"senderId":"shop","to":"+14155550101","priority":"bulk","onAmbiguous":"Dead_Letter",
		"labels":{"name":"order","value":"1"},"content":{"text":{"body":"Hello"}}}`))
	must(t, err)
	if got.Priority != message.PriorityBulk || got.OnAmbiguous != message.AmbiguityDeadLetter || len(got.Labels) != 1 {
		t.Errorf("parsed as %+v", got)
	}
}

func TestParseCommandToAUserID(t *testing.T) {
	t.Parallel()
	got, err := graph.NewCommandParser().Parse([]byte(`{"v":2,"senderId":"shop","toUserId":"US.13491208655302741918","content":{"text":{"body":"Hello"}}}`))
	must(t, err)
	if got.To != "" || got.ToUserID != "US.13491208655302741918" {
		t.Errorf("parsed as %+v", got)
	}
}

func TestParseCommandNamesTheFieldAtFault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, field string }{
		{"no JSON", `hello`, ""},
		{"empty", ``, ""},
		{"null", `null`, ""},
		{"a list", `[]`, ""},
		{"two objects", `{"v":1} {"v":1}`, ""},
		{"no version", `{"senderId":"shop"}`, "v"},
		{"future version", `{"v":3,"senderId":"shop"}`, "v"},
		{"version as text", `{"v":"1","senderId":"shop"}`, "v"},
		{"required field", `{"v":1,"to":"+14155550101","content":{"text":{"body":"x"}}}`, "senderId"},
		{"unknown field", `{"v":1,"senderId":"shop","to":"+14155550101","idempotencykey":"k","content":{"text":{"body":"x"}}}`, "idempotencykey"},
		{"wrong type", `{"v":1,"senderId":"shop","to":true,"content":{"text":{"body":"x"}}}`, "to"},
		{"inside", `{"v":1,"senderId":"shop","to":"+14155550101","content":{"text":{}}}`, "content.text.body"},
		{"enum", `{"v":1,"senderId":"shop","to":"+14155550101","priority":"SOON","content":{"text":{"body":"x"}}}`, "priority"},
		{"time", `{"v":1,"senderId":"shop","to":"+14155550101","sendAt":"tomorrow","content":{"text":{"body":"x"}}}`, "sendAt"},
		{"two contents", `{"v":1,"senderId":"shop","to":"+14155550101","content":{"text":{"body":"x"},"image":{"id":"1"}}}`, "content"},
		{"no content", `{"v":1,"senderId":"shop","to":"+14155550101","content":{}}`, "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := graph.NewCommandParser().Parse([]byte(c.raw))
			var invalid *domain.Error
			if !errors.As(err, &invalid) || invalid.Code != domain.CodeInvalidInput || invalid.Field != c.field || invalid.Message == "" {
				t.Errorf("got %#v, want INVALID_INPUT at %q", err, c.field)
			}
		})
	}
}

// FuzzParseCommand checks that no command from a broker makes the parser panic or
// return anything except a request or an error for its producer.
func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"v":1,"senderId":"shop","to":"+14155550101","content":{"text":{"body":"Hello"}}}`))
	f.Add([]byte(`{"v":1,"senderId":"shop","to":"+1","content":{"template":{"name":"a","language":"en","components":[{"type":"BUTTON","index":0}]}}}`))
	f.Add([]byte(`{"v":1,"labels":[{}],"content":{"text":null}}`))
	parser := graph.NewCommandParser()
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parser.Parse(raw)
		if err == nil && r.Content == nil {
			t.Error("a request without content")
		}
		if err != nil && domain.CodeOf(err) != domain.CodeInvalidInput {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestCommandSchemaIsThatOfTheInput compares the JSON schema in docs with the fields of
// the input.
func TestCommandSchemaIsThatOfTheInput(t *testing.T) {
	t.Parallel()
	want, err := graph.CommandSchema()
	must(t, err)
	path := filepath.Join("..", "docs", "commands.schema.json")
	if os.Getenv("UPDATE") != "" {
		must(t, os.WriteFile(path, want, 0o600))
	}
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("docs/commands.schema.json does not match the input; update it with: go generate ./graph")
	}
}
