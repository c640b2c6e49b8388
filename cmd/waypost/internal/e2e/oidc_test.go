package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/waypost/waypost/cmd/waypost/internal/apiclient"
	"github.com/waypost/waypost/cmd/waypost/internal/e2e/e2etest"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// People who signed in with an issuer use the API with its tokens, from the pages of
// the origins that are let in, and stand in the log as users.
func TestSignedInUsersOverCrossOrigin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
	defer cancel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	issuer = httptest.NewServer(mux)
	defer issuer.Close()
	token := func(scope, audience string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": issuer.URL, "aud": audience, "sub": "u-17", "scope": scope, "exp": time.Now().Add(time.Hour).Unix(),
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	r := e2etest.Start(ctx, t, []string{
		"WAYPOST_OIDC_ISSUER=" + issuer.URL, "WAYPOST_OIDC_AUDIENCE=waypost", "WAYPOST_CORS_ORIGINS=https://*.example.com",
	}, nil)
	if err := r.Client.RegisterSender(ctx, "shop", "100000000001", 80); err != nil {
		t.Fatal(err)
	}
	user := harness.NewClient(r.Client.URL, token("openid send read audit", "waypost"))
	ids, err := user.QueueMessages(ctx, []map[string]any{harness.Message("shop", "by-user", 1)})
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Message struct {
			History struct {
				Edges []struct {
					Node struct{ By struct{ Kind, ID string } }
				}
			}
		}
	}
	err = user.Do(ctx, `query($id: ID!) { message(id: $id) { history { edges { node { by { kind id } } } } } }`, map[string]any{"id": ids[0]}, &data)
	if err != nil || len(data.Message.History.Edges) == 0 {
		t.Fatalf("history %+v, %v", data, err)
	}
	if by := data.Message.History.Edges[0].Node.By; by.Kind != "USER" || by.ID != "u-17" {
		t.Errorf("queued by %+v", by)
	}
	for name, c := range map[string]struct{ token, code string }{
		"for another program": {token("send read", "other"), "UNAUTHENTICATED"},
		"without the scope":   {token("read", "waypost"), "FORBIDDEN"},
	} {
		_, err := harness.NewClient(r.Client.URL, c.token).QueueMessages(ctx, []map[string]any{harness.Message("shop", "no", 1)})
		var gqlErr *apiclient.Error
		if !errors.As(err, &gqlErr) || gqlErr.Extensions.Code != c.code {
			t.Errorf("a token %s: %v; want %s", name, err, c.code)
		}
	}
	for origin, allowed := range map[string]string{"https://shop.example.com": "https://shop.example.com", "https://evil.example": ""} {
		req, err := http.NewRequestWithContext(ctx, http.MethodOptions, r.Client.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != allowed {
			t.Errorf("from %s: allowed %q", origin, got)
		}
	}
}
