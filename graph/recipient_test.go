package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
)

// A number that a spreadsheet wrote as a decimal is another number without its point:
// it is rejected everywhere, as a string and as a JSON number.
func TestANumberThatASpreadsheetWroteIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	p := setup(t)
	commands := graph.NewCommandParser()
	request := text("", "hello")["input"].(map[string]any)
	request["to"], request["idempotencyKey"] = "+4915123456780", "the other person"
	p.ok("admin", queueOne, map[string]any{"input": request})
	p.project()
	for _, to := range []any{
		"491512345678.0", "491512345678.00", " 491512345678 .0", "4.91512E+11", "4,91512E+11", "-491512345678", "491512345678,0",
		"'+4915123456780", "+491512345\u200b6780", json.Number("491512345678.0"), json.Number("4.91512e11"), json.Number("-491512345678"),
	} {
		in := text("", "hello")["input"].(map[string]any)
		in["to"], in["idempotencyKey"] = to, nil
		for name, r := range map[string]reply{
			"queueMessage":   p.ask("admin", queueOne, map[string]any{"input": in}),
			"eraseRecipient": p.ask("admin", `mutation($to: String!) { eraseRecipient(to: $to, reason: "asked") { id } }`, map[string]any{"to": to}),
			"messages":       p.ask("admin", `query($to: String!) { messages(filter: {to: $to}) { edges { node { id } } } }`, map[string]any{"to": to}),
			"messageCounts":  p.ask("admin", `query($to: String!) { messageCounts(filter: {to: $to}) { count } }`, map[string]any{"to": to}),
			"cancelMessages": p.ask("admin", `mutation($to: String!) { cancelMessages(input: {filter: {to: $to}}, reason: "x") { id } }`, map[string]any{"to": to}),
		} {
			if r.code() != "INVALID_INPUT" || !strings.HasSuffix(fmt.Sprint(r.Errors[0].Extensions["field"]), "to") {
				t.Errorf("%s takes %#v: %s, %+v", name, to, r.Data, r.Errors)
			}
		}
		many := p.ok("admin", `mutation($in: [QueueMessageInput!]!) { queueMessages(inputs: $in) { message { id } error { code field } } }`,
			map[string]any{"in": []any{in}})
		if at(t, many, "queueMessages", 0, "error", "field") != "to" {
			t.Errorf("queueMessages accepts %#v: %v", to, many)
		}
		command, err := json.Marshal(map[string]any{"v": 1, "senderId": "acme", "to": to, "content": in["content"]})
		must(t, err)
		if read, err := commands.Parse(command); err == nil {
			if number, err := message.ParseNumber(read.To); err == nil {
				t.Errorf("a broker's command accepts %#v as %s", to, number)
			}
		}
	}
	data := p.ok("admin", `{ messages { edges { node { to erasedAt } } } }`, nil)
	if at(t, data, "messages", "edges", 0, "node", "erasedAt") != nil || at(t, data, "messages", "edges", 0, "node", "to") != "+4915123456780" {
		t.Errorf("another person's data was erased: %v", data)
	}
}
