package graph_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waypost/waypost/graph"
)

// view returns the response to the page of a view.
func (p *platform) view(token string) (int, string) {
	p.tb.Helper()
	r := httptest.NewRequestWithContext(p.ctx, http.MethodGet, "/embed/data", strings.NewReader(`{"query":"{ senders { id } }"}`))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.api.ServeView(w, r)
	return w.Code, w.Body.String()
}

func (p *platform) embed(key, args string) (id, token string) {
	p.tb.Helper()
	made := p.ok(key, `mutation { createEmbedToken(`+args+`) { id token path expiresAt } }`, nil)
	token = at(p.tb, made, "createEmbedToken", "token").(string)
	if path := at(p.tb, made, "createEmbedToken", "path"); path != "/embed#token="+token {
		p.tb.Errorf("the path is %s", path)
	}
	return at(p.tb, made, "createEmbedToken", "id").(string), token
}

// TestEmbedTokensReadOneView checks that a token shows its view, and that it can be used for nothing else.
func TestEmbedTokensReadOneView(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.ok("admin", `mutation { registerSender(input: {id: "other", name: "Other", phoneNumberId: "2002"}) { id } }`, nil)
	queue := func(sender, key string) string {
		in := text(key, "hello-there")
		in["input"].(map[string]any)["senderId"] = sender
		in["input"].(map[string]any)["labels"] = []map[string]string{{"name": "campaign", "value": "spring"}}
		return at(t, p.ok("admin", queueOne, in), "queueMessage", "message", "id").(string)
	}
	mine, theirs := queue("acme", "mine"), queue("other", "theirs")
	p.project()
	const campaign = `view: {campaign: {name: "campaign", value: "spring"}}`
	narrow := p.keys.add("narrow", []string{"other"}, graph.ScopeRead)
	_, message := p.embed("admin", fmt.Sprintf(`view: {messageId: %q}`, mine))
	_, content := p.embed("admin", fmt.Sprintf(`view: {messageId: %q}, personal: true`, mine))
	_, all := p.embed("admin", campaign)
	_, some := p.embed(narrow, campaign)
	id, sender := p.embed("admin", `view: {senderId: "acme"}`)
	for token, want := range map[string]struct{ shows, hides string }{
		message: {`"status":"QUEUED"`, "hello-there"}, content: {"hello-there", theirs}, all: {`"count":2`, mine}, some: {`"count":1`, theirs}, sender: {`"name":"Acme"`, "Other"},
	} {
		if code, shown := p.view(token); code != http.StatusOK || !strings.Contains(shown, want.shows) || strings.Contains(shown, want.hides) || strings.Contains(shown, "errors") {
			t.Errorf("the view is %d, %s; want %s, and not %s", code, shown, want.shows, want.hides)
		}
		if r := p.ask(token, `{ viewer { keyId } }`, nil); r.code() != "UNAUTHENTICATED" {
			t.Errorf("the API accepts the token: %s, %+v", r.Data, r.Errors)
		}
	}

	secret, _, _ := strings.Cut(message, ".")
	other := secret + "." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"kind":"message","id":%q}`, theirs))
	plain := "wpk_" + strings.TrimPrefix(secret, "wpv_")
	browser := at(t, p.ok("admin", `mutation { createAccessToken(scopes: [READ]) { token } }`, nil), "createAccessToken", "token").(string)
	p.ok("admin", `mutation($id: ID!) { revokeApiKey(id: $id) { id } }`, map[string]any{"id": id})
	for what, token := range map[string]string{"with another view": other, "without its view": secret, "that is revoked": sender, "of the API": browser, "that is empty": ""} {
		if code, shown := p.view(token); code != http.StatusUnauthorized {
			t.Errorf("a token %s: %d, %s", what, code, shown)
		}
	}
	if r := p.ask(plain, `{ viewer { keyId } }`, nil); r.code() != "UNAUTHENTICATED" {
		t.Errorf("the token's secret is accepted as a key: %s", r.Data)
	}
	for args, code := range map[string]string{
		fmt.Sprintf(`view: {messageId: %q}`, mine):                   "NOT_FOUND",
		`view: {senderId: "acme"}`:                                   "FORBIDDEN",
		fmt.Sprintf(`view: {messageId: %q}, personal: true`, theirs): "FORBIDDEN",
		campaign + `, ttl: "P2D"`:                                    "INVALID_INPUT",
		`view: {campaign: {name: "campaign", value: ""}}`:            "INVALID_INPUT",
	} {
		if r := p.ask(narrow, `mutation { createEmbedToken(`+args+`) { id } }`, nil); r.code() != code {
			t.Errorf("createEmbedToken(%s): %q, want %s", args, r.code(), code)
		}
	}
}
