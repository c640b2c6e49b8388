package graph_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/graph"
)

// TestEachFieldWithEachScope tries every field that requires a scope with keys of one
// scope each: it fails with FORBIDDEN except for keys whose scope includes it.
func TestEachFieldWithEachScope(t *testing.T) {
	t.Parallel()
	p, s := setup(t), served(t)
	id, _ := p.queue("scoped")
	calls := map[string]string{} // by the scope and the field
	for operation, def := range map[string]*ast.Definition{"query": s.Query, "mutation": s.Mutation, "subscription": s.Subscription} {
		for _, f := range def.Fields {
			needed := scopeOf(f)
			if needed == "" && f.Name != "viewer" && !strings.HasPrefix(f.Name, "__") {
				t.Errorf("%s needs no scope", f.Name)
			}
			if needed != "" {
				calls[needed+" "+f.Name] = rootCall(s, operation, f)
			}
		}
	}
	for name, def := range s.Types {
		if def == s.Query || def == s.Mutation || def == s.Subscription {
			continue
		}
		for _, f := range def.Fields {
			switch needed := scopeOf(f); {
			case needed == "":
			case name == "Message":
				calls[needed+" Message."+f.Name] = fmt.Sprintf(`{ message(id: %q) { %s { __typename } } }`, id, f.Name)
			default:
				t.Errorf("%s.%s requires a scope, and this test does not know how to query it", name, f.Name)
			}
		}
	}
	for _, scope := range graph.AllScope {
		key := p.keys.add("only-"+string(scope), nil, scope)
		for call, query := range calls {
			needed, field, _ := strings.Cut(call, " ")
			granted := scope == graph.ScopeAdmin || needed == string(scope)
			if strings.HasPrefix(field, "Message.") { // the message itself requires READ
				p.keys.add(key, nil, scope, graph.ScopeRead)
			} else {
				p.keys.add(key, nil, scope)
			}
			req := p.request(key, query, nil)
			if strings.HasPrefix(query, "subscription") {
				silence := patience // wait for an error, however long it takes
				if granted {
					silence = 200 * time.Millisecond // silence has no fixed length
				}
				if got := p.refusedStream(req, silence); got == granted {
					t.Errorf("%s with %s: refused %t", field, scope, got)
				}
				continue
			}
			if r := p.send(req); (r.code() == "FORBIDDEN") == granted || r.code() == "UNAUTHENTICATED" {
				t.Errorf("%s with %s: %q", field, scope, r.code())
			}
		}
	}
}

// refusedStream reports whether a subscription fails because of its scope. A
// subscription that does not fail is silent after it started, or fails because of its
// made-up arguments.
func (p *platform) refusedStream(req *http.Request, silence time.Duration) bool {
	p.tb.Helper()
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	must(p.tb, err)
	defer resp.Body.Close()
	defer time.AfterFunc(silence, cancel).Stop()
	text := make([]byte, 0, 4096)
	for buf := make([]byte, 1024); ; {
		n, err := resp.Body.Read(buf)
		text = append(text, buf[:n]...)
		if strings.Contains(string(text), "FORBIDDEN") {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// selection returns all fields of a type that need no arguments, to the given depth.
func selection(s *ast.Schema, typ *ast.Type, depth int) string {
	def := s.Types[typ.Name()]
	if def.Kind != ast.Object {
		return ""
	}
	fields := []string{"__typename"}
	for _, f := range def.Fields {
		kind := s.Types[f.Type.Name()].Kind
		switch {
		case slices.ContainsFunc(f.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull }):
		case kind != ast.Object:
			fields = append(fields, f.Name)
		case depth > 0:
			fields = append(fields, f.Name+few(f)+selection(s, f.Type, depth-1))
		}
	}
	return " { " + strings.Join(fields, " ") + " }"
}

func few(f *ast.FieldDefinition) string {
	if f.Arguments.ForName("first") != nil {
		return "(first: 3)"
	}
	return ""
}

// TestNarrowedKeySeesNothingOfOthers queries everything with keys that are limited to
// another sender, which has no data: no response may contain a trace of the first
// sender.
func TestNarrowedKeySeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	p, s := setup(t), served(t)
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "2002"}) { id } }`, nil)
	id, _ := p.queue("secret-order")
	p.deadLetter(id)
	p.project()
	traces := []string{"acme", "Acme", `"1001"`, "4155550101", "secret-order", id, `"count":1`, `"totalCount":1`, `"accepted":1`, `"deadLettered":1`, `"queueDepth":1`}
	for _, scopes := range [][]graph.Scope{
		{graph.ScopeSend, graph.ScopeRead, graph.ScopePersonal, graph.ScopeAudit, graph.ScopeOperate}, {graph.ScopeAdmin},
	} {
		key := p.keys.add("narrow", []string{"other"}, scopes...)
		for _, f := range s.Query.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			for _, sender := range []string{"", `"acme"`, `"other"`} {
				args, named := []string{}, false
				for _, a := range f.Arguments {
					switch {
					case a.Name == "first":
						args = append(args, "first: 3")
					case a.Name == "id" && f.Name == "message":
						args = append(args, fmt.Sprintf("id: %q", id))
					case a.Name == "id" && f.Name == "sender":
						args = append(args, `id: "acme"`)
					case a.Name == "senderId" && sender != "":
						args, named = append(args, "senderId: "+sender), true
					case a.Name == "filter" && sender != "" && s.Types[a.Type.Name()].Fields.ForName("senderId") != nil:
						args, named = append(args, "filter: {senderId: "+sender+"}"), true
					case a.Type.Name() == "Time" && a.Type.NonNull:
						args = append(args, a.Name+": \""+map[bool]string{true: "2026-01-01T00:00:00Z", false: "2026-01-02T00:00:00Z"}[a.Name == "from"]+"\"")
					case a.Type.NonNull:
						args = append(args, a.Name+": "+literal(s, a.Type))
					}
				}
				if sender != "" && !named {
					continue
				}
				call := f.Name
				if len(args) > 0 {
					call += "(" + strings.Join(args, ", ") + ")"
				}
				r := p.ask(key, "{ "+call+selection(s, f.Type, 3)+" }", nil)
				errs, err := json.Marshal(r.Errors)
				must(t, err)
				for _, trace := range traces {
					if strings.Contains(string(r.Data)+string(errs), trace) {
						t.Errorf("%v: %s reveals %q: %s %s", scopes, call, trace, r.Data, errs)
					}
				}
				if r.code() == "INTERNAL" || r.Status != http.StatusOK || strings.Contains(string(errs), "Cannot query") {
					t.Errorf("%s: %d %s", call, r.Status, errs)
				}
			}
		}
	}
}

// A key that is limited to a sender can't change or follow any other sender.
func TestNarrowedKeyChangesNothingOfOthers(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, cursor := p.queue("mine")
	p.deadLetter(id)
	p.project()
	key := p.keys.add("narrow", []string{"other"}, graph.ScopeAdmin)
	for mutation, code := range map[string]string{
		`cancelMessage(id: "` + id + `") { id }`:                                                                 "NOT_FOUND",
		`pauseSender(id: "acme", reason: "r") { id }`:                                                            "FORBIDDEN",
		`resumeSender(id: "acme") { id }`:                                                                        "FORBIDDEN",
		`setSenderRate(id: "acme", messagesPerSecond: 1) { id }`:                                                 "FORBIDDEN",
		`updateSender(input: {id: "acme", name: "n"}) { id }`:                                                    "FORBIDDEN",
		`registerSender(input: {id: "third", name: "n", phoneNumberId: "3"}) { id }`:                             "FORBIDDEN",
		`createApiKey(input: {name: "n", scopes: [READ]}) { secret }`:                                            "FORBIDDEN",
		`createApiKey(input: {name: "n", scopes: [READ], senderIds: ["acme"]}) { secret }`:                       "FORBIDDEN",
		`createAccessToken(scopes: [READ], senderIds: ["acme"]) { token }`:                                       "FORBIDDEN",
		`queueMessage(input: {senderId: "acme", to: "+14155550101", content: {text: {body: "b"}}}) { replayed }`: "FORBIDDEN",
	} {
		if r := p.ask(key, "mutation { "+mutation+" }", nil); r.code() != code {
			t.Errorf("%s: %q %+v", mutation, r.code(), r.Errors)
		}
	}
	data := p.ok(key, `mutation { requeueDeadLetters(input: {filter: {}}) { selected } }`, nil)
	if at(t, data, "requeueDeadLetters", "selected") != 0.0 {
		t.Errorf("selected %v", data)
	}
	data = p.ok(key, `mutation($ids: [ID!]) { requeueDeadLetters(input: {ids: $ids}) { done refused { code } } }`, map[string]any{"ids": []string{id}})
	if at(t, data, "requeueDeadLetters", "done") != 0.0 {
		t.Errorf("requeued %v", data)
	}
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "2002"}) { id } }`, nil)
	for _, field := range []string{"messageUpdates", "messageEvents"} {
		if !p.refusedStream(p.request(key, `subscription { `+field+`(senderId: "acme") { cursor } }`, nil), patience) {
			t.Errorf("%s of another sender is not refused", field)
		}
		s := p.stream(p.request(key, `subscription($after: String) { `+field+`(after: $after) { cursor } }`, map[string]any{"after": cursor}))
		body := text("of-other-"+field, "hello")
		body["input"].(map[string]any)["senderId"] = "other"
		data := p.ok("admin", queueOne, body)
		cursor = at(t, data, "queueMessage", "cursor").(string)
		contains(t, s.next(), cursor) // nothing of the first sender comes before it
	}
}

const createKey = `mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret apiKey { id name scopes senderIds createdBy { kind id } expiresAt } } }`

func (p *platform) createKey(input map[string]any) (id, secret string) {
	p.tb.Helper()
	data := p.ok("admin", createKey, map[string]any{"input": input})
	return at(p.tb, data, "createApiKey", "apiKey", "id").(string), at(p.tb, data, "createApiKey", "secret").(string)
}

func TestKeysAreMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, secret := p.createKey(map[string]any{"name": "shop", "scopes": []string{"SEND", "READ"}, "senderIds": []string{"acme"}})
	data := p.ok(secret, `{ viewer { keyId name scopes senderIds } }`, nil)
	if at(t, data, "viewer", "keyId") != id || at(t, data, "viewer", "scopes", 1) != "READ" || at(t, data, "viewer", "senderIds", 0) != "acme" {
		t.Errorf("viewer %v", data)
	}
	// The event log records the actor, and the person that it acts for.
	req := p.request(secret, queueOne, text("by-key", "hello"))
	req.Header.Set("Waypost-On-Behalf-Of", "clerk 7")
	r := p.send(req)
	if len(r.Errors) > 0 {
		t.Fatal(r.Errors)
	}
	var queued map[string]any
	must(t, json.Unmarshal(r.Data, &queued))
	history := p.ok("admin", `query($id: ID!) { message(id: $id) { history { edges { node { by { kind id onBehalfOf } } } } } }`,
		map[string]any{"id": at(t, queued, "queueMessage", "message", "id")})
	by := at(t, history, "message", "history", "edges", 0, "node", "by").(map[string]any)
	if by["kind"] != "KEY" || by["id"] != id || by["onBehalfOf"] != "clerk 7" {
		t.Errorf("by %v", by)
	}
	// The event log contains the key's hash, and nothing else about its secret.
	events, err := p.log.Read(p.ctx, event.KeyStream(uuid.MustParse(id)), 0, 10)
	must(t, err)
	if len(events) != 1 || strings.Contains(string(events[0].Data), secret[10:40]) || events[0].Meta.By.ID != "key-admin" {
		t.Errorf("recorded %s by %v", events[0].Data, events[0].Meta.By)
	}

	list := `query($all: Boolean) { apiKeys(includeRevoked: $all) { id name revokedAt createdBy { id } } }`
	data = p.ok("admin", list, nil)
	if len(at(t, data, "apiKeys").([]any)) != 1 || at(t, data, "apiKeys", 0, "createdBy", "id") != "key-admin" {
		t.Errorf("keys %v", data)
	}
	data = p.ok("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { revokedAt } }`, map[string]any{"id": id})
	if at(t, data, "revokeApiKey", "revokedAt") == nil {
		t.Errorf("revoked %v", data)
	}
	if r := p.ask(secret, `{ viewer { keyId } }`, nil); r.Status != http.StatusUnauthorized || r.code() != "UNAUTHENTICATED" {
		t.Errorf("a revoked key: %d %q", r.Status, r.code())
	}
	if data = p.ok("admin", list, nil); len(at(t, data, "apiKeys").([]any)) != 0 {
		t.Errorf("keys %v", data)
	}
	if data = p.ok("admin", list, map[string]any{"all": true}); at(t, data, "apiKeys", 0, "revokedAt") == nil {
		t.Errorf("keys %v", data)
	}
	for _, none := range []string{"admin", uuid.NewString()} {
		if r := p.ask("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": none}); r.code() != "NOT_FOUND" {
			t.Errorf("revoke %s: %q", none, r.code())
		}
	}
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, secret := p.createKey(map[string]any{"name": "shop", "scopes": []string{"SEND", "READ"}, "senderIds": []string{"acme"}})
	token := func(key, args string) reply {
		return p.ask(key, `mutation { createAccessToken(`+args+`) { token expiresAt } }`, nil)
	}
	r := token(secret, `scopes: [READ, SEND], ttl: "PT10M"`)
	var made struct {
		CreateAccessToken struct{ Token, ExpiresAt string }
	}
	must(t, json.Unmarshal(r.Data, &made))
	browser := made.CreateAccessToken.Token
	data := p.ok(browser, `{ viewer { scopes senderIds } messages { edges { cursor } } }`, nil)
	if at(t, data, "viewer", "senderIds", 0) != "acme" {
		t.Errorf("viewer %v", data)
	}
	for args, code := range map[string]string{
		`scopes: [AUDIT]`:                      "FORBIDDEN",
		`scopes: [READ], senderIds: ["other"]`: "FORBIDDEN",
		`scopes: [READ], ttl: "P2D"`:           "INVALID_INPUT",
	} {
		if r := token(secret, args); r.code() != code {
			t.Errorf("%s: %q", args, r.code())
		}
	}
	if r := token(browser, `scopes: [READ]`); r.code() != "FORBIDDEN" {
		t.Errorf("a token of a token: %q", r.code())
	}
	if r := token(secret, `scopes: [READ], ttl: "PT1S"`); r.code() == "" {
		must(t, json.Unmarshal(r.Data, &made))
		short := made.CreateAccessToken.Token
		polltest.Until(t, "the token has expired", func() bool {
			return p.ask(short, `{ viewer { keyId } }`, nil).Status == http.StatusUnauthorized
		})
	} else {
		t.Errorf("a token of a second: %+v", r.Errors)
	}
	// A token expires with the key that created it.
	p.ok("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": id})
	if r := p.ask(browser, `{ viewer { keyId } }`, nil); r.Status != http.StatusUnauthorized {
		t.Errorf("the token of a revoked key: %d", r.Status)
	}
}

// TestRevokedKeyClosesSocketsOfOtherProcesses revokes a key at one API. The socket that
// another API with its own repository serves is also closed, and a stream reports why
// it ends.
func TestRevokedKeyClosesSocketsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id, secret := p.createKey(map[string]any{"name": "watcher", "scopes": []string{"READ"}})
	here := p.url

	other := command.NewKeys(p.log, time.Now, newID, rand.Reader, slog.New(slog.DiscardHandler))
	running, stop := context.WithCancel(p.ctx)
	done := make(chan error, 1)
	go func() { done <- other.Run(running, time.After) }()
	defer func() { stop(); <-done }()
	options := p.options
	parts := p.parts
	parts.Keys = other
	options.Authenticator = &keys{log: other}
	options.Commands, options.Queries = app.New(parts)
	options.Recheck = 0
	p.serve(options)

	conn := p.dial()
	p.write(conn, wsMessage{Type: "connection_init", Payload: map[string]string{"authorization": "Bearer " + secret}})
	p.until(conn, "connection_ack")
	p.write(conn, wsMessage{ID: "1", Type: "subscribe", Payload: map[string]any{"query": updates}})
	stream := p.stream(p.request(secret, updates, nil))

	p.url = here
	revoked := time.Now()
	p.ok("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": id})
	if code := p.closeCode(conn); code != 4401 {
		t.Errorf("closed with %d, want 4401", code)
	}
	t.Logf("closed %s after the request", time.Since(revoked))
	contains(t, stream.next(), `"UNAUTHENTICATED"`)
}

func TestFailedKeysAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	p := setup(t)
	_, secret := p.createKey(map[string]any{"name": "known", "scopes": []string{"READ"}})
	_, late := p.createKey(map[string]any{"name": "late", "scopes": []string{"READ"}})
	viewer := `{ viewer { keyId } }`
	p.ok(secret, viewer, nil)
	refused := 0
	for i := range 200 {
		switch r := p.ask(fmt.Sprintf("wpk_guess-%d", i), viewer, nil); r.Status {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			refused++
		default:
			t.Fatalf("guess %d: %d", i, r.Status)
		}
	}
	if refused < 100 {
		t.Errorf("%d of 200 guesses were limited", refused)
	}
	p.ok(secret, viewer, nil) // other callers from the same address continue
	p.ok(late, viewer, nil)   // also one that is new there
}

// Server-Sent Events also work with GET, which cannot make changes.
func TestEventsByGet(t *testing.T) {
	t.Parallel()
	p := setup(t)
	get := func(query string, variables map[string]any, accept string) *http.Request {
		text, err := json.Marshal(variables)
		must(t, err)
		v := url.Values{"query": {query}, "variables": {string(text)}}
		req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.url+"?"+v.Encode(), nil)
		must(t, err)
		req.Header.Set("Authorization", "Bearer admin")
		req.Header.Set("Accept", accept)
		return req
	}
	_, cursor := p.queue("0")
	id, _ := p.queue("1")
	contains(t, p.stream(get(updates, map[string]any{"after": cursor}, "text/event-stream")).next(), id)
	contains(t, p.stream(get(`mutation { pauseSender(id: "acme", reason: "r") { id } }`, nil, "text/event-stream")).next(), "INVALID_INPUT")
	if r := p.send(get(`{ viewer { keyId } }`, nil, "application/json")); r.Status != http.StatusMethodNotAllowed {
		t.Errorf("a GET for JSON: %d", r.Status)
	}
	bad := get(updates, nil, "text/event-stream")
	bad.URL.RawQuery = url.Values{"query": {updates}, "variables": {"{"}}.Encode()
	if r := p.send(bad); r.Status != http.StatusBadRequest || r.code() != "INVALID_INPUT" {
		t.Errorf("variables that are not JSON: %d %q", r.Status, r.code())
	}
}

func TestWebSocketsOfOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	p := setup(t)
	options := p.options
	options.Origins = []string{"https://*.example.com", "http://localhost:*"}
	p.serve(options)
	host := strings.TrimPrefix(p.url, "http://")
	for origin, ok := range map[string]bool{
		"": true, "http://" + host: true, "https://shop.example.com": true, "http://localhost:3000": true,
		"https://example.com.evil.net": false, "http://shop.example.com": false, "https://localhost:3000": false, "null": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, resp, err := websocket.Dial(p.ctx, "ws://"+host, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: header})
		if (err == nil) != ok || !ok && resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			conn.CloseNow()
		}
	}
}

func TestAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	p := setup(t)
	resp, err := http.DefaultClient.Do(p.request("admin", `{ viewer { keyId } }`, nil))
	must(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}
