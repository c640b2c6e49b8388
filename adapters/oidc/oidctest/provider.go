// Package oidctest runs an OpenID Connect provider for tests: zitadel/oidc, a certified one, with its
// storage in memory.
package oidctest

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// The client that Provider.Register registers, and the password of all people.
const (
	ClientID     = "waypost"
	ClientSecret = "provider-secret-3c41"
	Password     = "correct horse battery"
)

// A Provider is an OpenID Connect provider.
type Provider struct {
	// URL is the issuer.
	URL string

	mu      sync.Mutex
	handler http.Handler
	claims  map[string]map[string]any // by user name
	inToken bool
}

// Start starts a provider that stops at the end of the test. It knows the people with these claims,
// by user name.
func Start(t *testing.T, claims map[string]map[string]any) *Provider {
	t.Helper()
	p := &Provider{claims: claims, inToken: true}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Register registers the client with its redirect URL.
func (p *Provider) Register(t *testing.T, redirect string) {
	t.Helper()
	s := &people{provider: p}
	s.Storage = storage.NewStorageWithClients(s, map[string]*storage.Client{ClientID: storage.WebClient(ClientID, ClientSecret, redirect)})
	provider, err := op.NewProvider(&op.Config{CodeMethodS256: true}, s, op.StaticIssuer(p.URL),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	callback, interceptor := op.AuthCallbackURL(provider), op.NewIssuerInterceptor(provider.IssuerFromRequest)
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("GET "+loginPath, func(w http.ResponseWriter, r *http.Request) {
		_ = loginForm.Execute(w, r.FormValue("authRequestID"))
	})
	mux.Handle("POST "+loginPath, interceptor.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id")
		if err := s.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, callback(r.Context(), id), http.StatusFound)
	}))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = mux
}

// loginPath is where the storage's clients send people.
const loginPath = "/login/username"

var loginForm = template.Must(template.New("login").Parse(`<!doctype html><html lang="en"><title>Provider</title>
<form method="post" action="/login/username"><input type="hidden" name="id" value="{{.}}">
<input id="username" name="username"><input id="password" name="password" type="password"><button id="enter">Enter</button></form>`))

// ClaimsInToken sets whether ID tokens contain the claims. Otherwise, only the userinfo endpoint returns them.
func (p *Provider) ClaimsInToken(in bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inToken = in
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	handler := p.handler
	p.mu.Unlock()
	if handler == nil {
		http.Error(w, "no client is registered", http.StatusServiceUnavailable)
		return
	}
	handler.ServeHTTP(w, r)
}

// SignIn signs a person in, as a browser without scripts does: it opens an address that leads to the
// provider, sends the form, and returns the address that the provider sends the browser back to.
func (p *Provider) SignIn(ctx context.Context, from, user string) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(next.URL.String(), p.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	form, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer form.Body.Close()
	fields := url.Values{"username": {user}, "password": {Password}, "id": {form.Request.URL.Query().Get("authRequestID")}}
	if fields.Get("id") == "" { // the provider rejected the request, and its page or address says why
		body, _ := io.ReadAll(form.Body)
		if to, err := form.Location(); err == nil {
			return to, nil
		}
		return nil, fmt.Errorf("no form for %s: %d, %s", from, form.StatusCode, body)
	}
	if req, err = http.NewRequestWithContext(ctx, http.MethodPost, p.URL+loginPath, strings.NewReader(fields.Encode())); err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	done, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer done.Body.Close()
	return done.Location()
}

// people is the storage, with the provider's people and their claims.
type people struct {
	*storage.Storage

	provider *Provider
}

// GetUserByID returns a person.
func (s *people) GetUserByID(name string) *storage.User {
	if _, ok := s.provider.claims[name]; !ok {
		return nil
	}
	return &storage.User{ID: name, Username: name, Password: Password, FirstName: strings.ToUpper(name[:1]) + name[1:], LastName: "Example", PreferredLanguage: language.English}
}

// GetUserByUsername returns a person. The ID is the name.
func (s *people) GetUserByUsername(name string) *storage.User { return s.GetUserByID(name) }

// ExampleClientID returns the ID of a client that is not used here.
func (s *people) ExampleClientID() string { return "unused" }

// SetUserinfoFromRequest adds the claims to an ID token.
func (s *people) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, _ []string) error {
	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	info.Subject = request.GetSubject()
	if s.provider.inToken {
		s.add(info, request.GetSubject())
	}
	return nil
}

// SetUserinfoFromToken adds the claims to a response of the userinfo endpoint.
func (s *people) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	info.Subject = subject
	s.add(info, subject)
	return nil
}

func (s *people) add(info *oidc.UserInfo, subject string) {
	info.Name = s.GetUserByID(subject).FirstName
	for name, value := range s.provider.claims[subject] {
		info.AppendClaims(name, value)
	}
}
