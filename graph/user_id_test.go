package graph_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/waypost/waypost/graph"
)

// TestAMessageToAUserID queues a message for a person without a number, finds it, and
// erases the person.
func TestAMessageToAUserID(t *testing.T) {
	t.Parallel()
	p := setup(t)
	reader := p.keys.add("reader", nil, graph.ScopeRead)
	const user = "US.13491208655302741918"
	const queue = `mutation($to: String, $user: String) { queueMessage(input: {senderId: "acme", to: $to, toUserId: $user,
		idempotencyKey: "k", content: {text: {body: "hello"}}}) { replayed message { id to toUserId } } }`
	for _, c := range []struct {
		to, user any
		field    string
	}{{nil, nil, "to"}, {"+14155550101", user, "to"}, {user, nil, "to"}, {nil, "415", "toUserId"}} {
		r := p.ask("admin", queue, map[string]any{"to": c.to, "user": c.user})
		if r.code() != "INVALID_INPUT" || !strings.HasSuffix(r.Errors[0].Extensions["field"].(string), c.field) {
			t.Errorf("%v and %v: %s %+v", c.to, c.user, r.Data, r.Errors)
		}
	}
	queued := at(t, p.ok("admin", queue, map[string]any{"user": user}), "queueMessage", "message")
	if at(t, queued, "to") != nil || at(t, queued, "toUserId") != user {
		t.Errorf("queued as %v", queued)
	}
	if again := p.ok("admin", queue, map[string]any{"user": user}); at(t, again, "queueMessage", "replayed") != true {
		t.Errorf("the repeat is %v", again)
	}
	if r := p.ask("admin", queue, map[string]any{"to": "+14155550101"}); r.code() != "CONFLICT" {
		t.Errorf("another recipient under the same key: %s %+v", r.Data, r.Errors)
	}
	p.project()
	list := func(key string, filter map[string]any) reply {
		return p.ask(key, `query($f: MessageFilter) { messages(filter: $f) { edges { node { to toUserId } } } }`, map[string]any{"f": filter})
	}
	shown := list(reader, nil)
	contains(t, string(shown.Data), `"to":null,"toUserId":"US.•••1918"`)
	if r := list(reader, map[string]any{"toUserId": user}); r.code() != "FORBIDDEN" {
		t.Errorf("a lookup without PERSONAL: %s %+v", r.Data, r.Errors)
	}
	contains(t, string(list("admin", map[string]any{"toUserId": user}).Data), user)
	if r := list("admin", map[string]any{"toUserId": "US.1"}); strings.Contains(string(r.Data), "node") {
		t.Errorf("another user ID finds %s", r.Data)
	}
	const erase = `mutation($to: String, $user: String) { eraseRecipient(to: $to, toUserId: $user, reason: "asked for it") { messages } }`
	if r := p.ask("admin", erase, nil); r.code() != "INVALID_INPUT" {
		t.Errorf("an erasure of no one: %s %+v", r.Data, r.Errors)
	}
	if got := at(t, p.ok("admin", erase, map[string]any{"user": user}), "eraseRecipient", "messages"); got != json.Number("1") && got != 1.0 {
		t.Errorf("erased %v messages", got)
	}
	contains(t, string(list("admin", nil).Data), `"to":null,"toUserId":null`)
}
