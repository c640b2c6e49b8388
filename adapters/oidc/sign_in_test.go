package oidc_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/waypost/waypost/adapters/oidc"
	"github.com/waypost/waypost/adapters/oidc/oidctest"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const redirect = "http://127.0.0.1:1/auth/callback"

func signInWith(t *testing.T, p *oidctest.Provider, change func(*oidc.Options)) *oidc.Verifier {
	t.Helper()
	o := oidc.Options{
		Issuer: p.URL, ClientID: oidctest.ClientID, ClientSecret: func() string { return oidctest.ClientSecret }, RedirectURL: redirect,
		RequestScopes: []string{"profile"}, ScopesClaim: "rights.waypost", SendersClaim: "https://example.com/senders", Clock: time.Now,
	}
	if change != nil {
		change(&o)
	}
	v, err := oidc.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// begin signs a person in at the provider, and returns the code.
func begin(t *testing.T, p *oidctest.Provider, v *oidc.Verifier, user, nonce, verifier string) string {
	t.Helper()
	to, err := v.Begin(t.Context(), "state-1", nonce, verifier)
	if err != nil {
		t.Fatal(err)
	}
	q, err := url.Parse(to)
	if err != nil || q.Query().Get("code_challenge_method") != "S256" || q.Query().Get("code_challenge") != oauth2.S256ChallengeFromVerifier(verifier) {
		t.Errorf("%s has no PKCE challenge", to)
	}
	back, err := p.SignIn(t.Context(), to, user)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Query(); got.Get("state") != "state-1" || got.Get("code") == "" {
		t.Fatalf("the provider returned to %s", back)
	}
	return back.Query().Get("code")
}

func TestSignInAtAProvider(t *testing.T) {
	t.Parallel()
	rights := func(scopes ...string) map[string]any { return map[string]any{"waypost": scopes} }
	p := oidctest.Start(t, map[string]map[string]any{
		"ada":     {"rights": rights("read", "SEND", "other"), "https://example.com/senders": []string{"shop", "outlet"}},
		"grace":   {"rights": map[string]any{"waypost": "read admin"}, "https://example.com/senders": "*"},
		"alan":    {"rights": rights("READ")}, // no senders
		"edsger":  {"rights": rights("READ"), "https://example.com/senders": []string{}},
		"niklaus": {"rights": rights("READ"), "https://example.com/senders": map[string]any{"shop": true}},
	})
	p.Register(t, redirect)
	verifier := oauth2.GenerateVerifier()
	for _, inToken := range []bool{true, false} {
		p.ClaimsInToken(inToken)
		v := signInWith(t, p, nil)
		for user, want := range map[string]access.Grant{
			"ada":   {Scopes: []access.Scope{access.ScopeSend, access.ScopeRead}, Senders: []string{"shop", "outlet"}},
			"grace": {Scopes: []access.Scope{access.ScopeRead, access.ScopeAdmin}},
		} {
			got, err := v.Finish(t.Context(), begin(t, p, v, user, "nonce-1", verifier), "nonce-1", verifier)
			if err != nil || got.Subject != user || got.Name == "" || !slices.Equal(got.Scopes, want.Scopes) || !slices.Equal(got.Senders, want.Senders) || (got.Senders == nil) != (want.Senders == nil) {
				t.Errorf("%s, claims in the ID token %t: %+v, %v", user, inToken, got, err)
			}
		}
		// People without a valid claim must not have access to all senders.
		for _, user := range []string{"alan", "edsger", "niklaus"} {
			got, err := v.Finish(t.Context(), begin(t, p, v, user, "nonce-1", verifier), "nonce-1", verifier)
			if domain.CodeOf(err) != domain.CodeUnauthenticated {
				t.Errorf("%s signs in as %+v, %v", user, got, err)
			}
		}
	}
}

func TestSignInsThatAreRejected(t *testing.T) {
	t.Parallel()
	p := oidctest.Start(t, map[string]map[string]any{"ada": {"scope": "read"}})
	p.Register(t, redirect)
	simple := func(o *oidc.Options) { o.ScopesClaim, o.SendersClaim = "", "" }
	v := signInWith(t, p, simple)
	verifier := oauth2.GenerateVerifier()
	code := begin(t, p, v, "ada", "nonce-1", verifier)
	for what, finish := range map[string]func() (access.Person, error){
		"another code verifier": func() (access.Person, error) {
			return v.Finish(t.Context(), begin(t, p, v, "ada", "nonce-1", verifier), "nonce-1", oauth2.GenerateVerifier())
		},
		"another nonce": func() (access.Person, error) {
			return v.Finish(t.Context(), begin(t, p, v, "ada", "nonce-1", verifier), "nonce-2", verifier)
		},
		"no nonce": func() (access.Person, error) {
			return v.Finish(t.Context(), begin(t, p, v, "ada", "", verifier), "", verifier)
		},
		"an unknown code": func() (access.Person, error) { return v.Finish(t.Context(), "made-up", "nonce-1", verifier) },
		"a wrong client secret": func() (access.Person, error) {
			other := signInWith(t, p, func(o *oidc.Options) { simple(o); o.ClientSecret = func() string { return "wrong" } })
			return other.Finish(t.Context(), code, "nonce-1", verifier)
		},
		"a bearer token without an audience": func() (access.Person, error) { return v.Verify(t.Context(), "a.b.c") },
	} {
		if got, err := finish(); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("with %s: %+v, %v", what, got, err)
		}
	}
	if got, err := v.Finish(t.Context(), code, "nonce-1", verifier); err != nil || got.Subject != "ada" {
		t.Errorf("the right one: %+v, %v", got, err)
	}
	if got, err := v.Finish(t.Context(), code, "nonce-1", verifier); domain.CodeOf(err) != domain.CodeUnauthenticated {
		t.Errorf("the same code again: %+v, %v", got, err)
	}
}
