package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/waypost/waypost/adapters/oidc"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const audience = "waypost"

// issuer is an OpenID Connect issuer over HTTP, whose keys can be rotated.
type issuer struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	key     *rsa.PrivateKey
	id      string
	down    bool
	fetches int // of the keys
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.rotate("first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.answering(func() any {
		return map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		}
	}))
	mux.HandleFunc("GET /keys", i.answering(func() any {
		i.fetches++
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.id, Algorithm: "RS256", Use: "sig"}}}
	}))
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answering(answer func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer())
	}
}

func (i *issuer) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

func (i *issuer) rotate(id string) {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.id = key, id
}

func (i *issuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// token returns a valid token, except for the changes that change makes to its claims.
func (i *issuer) token(change func(map[string]any)) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return sign(i.t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: i.id}}, i.claims(change))
}

func (i *issuer) claims(change func(map[string]any)) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": []string{"other", audience}, "sub": "u-17", "name": "Ada", "scope": "openid send READ",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(claims)
	}
	return claims
}

func sign(t *testing.T, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newVerifier(t *testing.T, i *issuer, clock func() time.Time) *oidc.Verifier {
	t.Helper()
	v, err := oidc.New(oidc.Options{Issuer: i.URL, Audience: audience, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTokenThatCounts(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	v := newVerifier(t, i, time.Now)
	for _, scope := range []any{"openid send READ", []string{"SEND", "read", "email"}} {
		p, err := v.Verify(t.Context(), i.token(func(c map[string]any) { c["scope"] = scope }))
		want := []access.Scope{access.ScopeSend, access.ScopeRead}
		if err != nil || p.Subject != "u-17" || p.Name != "Ada" || !reflect.DeepEqual(p.Scopes, want) || time.Until(p.ExpiresAt) < time.Minute {
			t.Errorf("scope %v: %+v, %v", scope, p, err)
		}
	}
	for range 10 {
		if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
			t.Error(err)
		}
	}
	// Twice if the second token came before the first one's keys were stored.
	if n := i.fetched(); n > 2 {
		t.Errorf("the keys were fetched %d times for twelve tokens", n)
	}
}

func TestTokensThatDoNotCount(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	v := newVerifier(t, i, time.Now)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, ok := i.key.Public().(*rsa.PublicKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	for name, token := range map[string]string{
		"of another issuer":    i.token(func(c map[string]any) { c["iss"] = "https://evil.example" }),
		"for another audience": i.token(func(c map[string]any) { c["aud"] = "other" }),
		"that has expired":     i.token(func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"without a subject":    i.token(func(c map[string]any) { delete(c, "sub") }),
		"with an unknown scope": i.token(func(c map[string]any) {
			c["scope"] = 7
		}),
		"signed by a stranger": sign(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: stranger, KeyID: i.id}}, i.claims(nil)),
		// The public key is known to everyone, so it must not be accepted as a shared
		// secret.
		"signed with the public key": sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: pub.N.Bytes(), KeyID: i.id}}, i.claims(nil)),
		"unsigned":                   "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.",
		"no token":                   "a.b.c",
	} {
		_, err := v.Verify(t.Context(), token)
		if domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("a token %s: %v", name, err)
		}
	}
}

func TestKeysAreFetchedAgainWhenTheyWereRotated(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	v := newVerifier(t, i, time.Now)
	older := i.token(nil)
	if _, err := v.Verify(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	i.rotate("second")
	if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
		t.Errorf("a token under the new key: %v", err)
	}
	verifies(t, v, "a token under the revoked key", older, domain.CodeUnauthenticated)
	// If the issuer is unavailable and the key is unknown, the token can be neither
	// accepted nor rejected.
	i.rotate("third")
	i.setDown(true)
	verifies(t, v, "a token under a key that cannot be fetched", i.token(nil), domain.CodeUnavailable)
	i.setDown(false)
	verifies(t, v, "once the issuer is back", i.token(nil), "")
}

// verifies waits until a token has the outcome. The library returns to the callers that
// wait for the issuer's keys a moment before it shares the keys with all callers: until
// then, other callers get the earlier keys or the earlier error.
func verifies(t *testing.T, v *oidc.Verifier, what, token string, outcome domain.Code) {
	t.Helper()
	verify := func() (error, error) {
		_, err := v.Verify(t.Context(), token)
		return err, nil
	}
	polltest.Value(t, fmt.Sprintf("%s has the outcome %q", what, outcome), verify, func(err error) bool { return domain.CodeOf(err) == outcome })
}

// An issuer that is unavailable at the start is asked again, but not by every caller.
func TestIssuerThatComesLate(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	i.setDown(true)
	var mu sync.Mutex
	now := time.Now()
	v := newVerifier(t, i, func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	})
	for range 2 {
		if _, err := v.Verify(t.Context(), i.token(nil)); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Fatalf("with the issuer unavailable: %v", err)
		}
	}
	i.setDown(false)
	if _, err := v.Verify(t.Context(), i.token(nil)); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("asked again immediately: %v", err)
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	if _, err := v.Verify(t.Context(), i.token(nil)); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]oidc.Options{
		"no URL":           {Issuer: "accounts", Audience: audience},
		"without TLS":      {Issuer: "http://accounts.example.com", Audience: audience},
		"without audience": {Issuer: "https://accounts.example.com"},
	} {
		if _, err := oidc.New(o); err == nil {
			t.Errorf("an issuer %s is accepted", name)
		}
	}
}
