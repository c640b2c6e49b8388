package httpapi_test

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/oidc"
	"github.com/waypost/waypost/adapters/oidc/oidctest"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/ports/httpapi"
)

// signingIn is a SignIn at a real provider.
type signingIn struct {
	t        *testing.T
	provider *oidctest.Provider
	people   *httpapi.SignIn
	handler  http.Handler
	ahead    atomic.Int64 // lead of the clock, a time.Duration
}

func secretKeys(t *testing.T, letters string) *vault.Keys {
	t.Helper()
	var keys []string
	for _, letter := range letters {
		keys = append(keys, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(letter), 32))))
	}
	k, err := vault.ParseKeys(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSigningIn(t *testing.T, public, letters, client string) *signingIn {
	t.Helper()
	at, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = "sender-" + strings.Repeat("x", 20)
	}
	s := &signingIn{t: t, provider: oidctest.Start(t, map[string]map[string]any{
		"ada": {"scope": "read send", "senders": "shop outlet"}, "bob": {"scope": "send", "senders": "*"}, "eve": {"scope": "read", "senders": many},
	})}
	s.provider.Register(t, httpapi.RedirectURL(at))
	clock := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	issuer, err := oidc.New(oidc.Options{
		Issuer: s.provider.URL, ClientID: oidctest.ClientID, ClientSecret: func() string { return oidctest.ClientSecret },
		RedirectURL: httpapi.RedirectURL(at), SendersClaim: "senders", Clock: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.people, err = httpapi.NewSignIn(httpapi.SignInOptions{
		Provider: issuer, Sealer: secretKeys(t, letters), PublicURL: at, Client: client, Lifetime: time.Hour, Clock: clock,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = httpapi.New(httpapi.Options{Routes: s.people.Routes(), Logger: slog.New(slog.DiscardHandler)}).Handler()
	return s
}

// open sends a request of a browser with cookies.
func (s *signingIn) open(method, target string, cookies []*http.Cookie, header map[string]string) *http.Response {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, target, nil)
	r.Host = s.people.PublicURL.Host
	for _, c := range cookies {
		if c.MaxAge >= 0 {
			r.AddCookie(c)
		}
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

// enter signs a person in, and returns the response to the browser that comes back from the provider,
// with its address and cookies changed.
func (s *signingIn) enter(user string, change func(back *url.URL, cookies []*http.Cookie) []*http.Cookie) *http.Response {
	s.t.Helper()
	begun := s.open(http.MethodGet, "/auth/login?next=https://evil.example", nil, nil)
	if begun.StatusCode != http.StatusSeeOther || !strings.HasPrefix(begun.Header.Get("Location"), s.provider.URL) {
		s.t.Fatalf("the sign-in began with %d, %s", begun.StatusCode, begun.Header.Get("Location"))
	}
	back, err := s.provider.SignIn(s.t.Context(), begun.Header.Get("Location"), user)
	if err != nil {
		s.t.Fatal(err)
	}
	cookies := begun.Cookies()
	if change != nil {
		cookies = change(back, cookies)
	}
	return s.open(http.MethodGet, back.RequestURI(), cookies, map[string]string{"Sec-Fetch-Site": "cross-site"})
}

// session returns the cookie that a response sets for a session, or nil.
func session(r *http.Response) *http.Cookie {
	for _, c := range r.Cookies() {
		if !strings.HasSuffix(c.Name, "sign-in") && c.MaxAge >= 0 {
			return c
		}
	}
	return nil
}

// person returns the person whom a request with a cookie identifies.
func (s *signingIn) person(method string, c *http.Cookie, header map[string]string) (access.Person, error) {
	r := httptest.NewRequestWithContext(context.Background(), method, "/graphql", nil)
	r.Host = s.people.PublicURL.Host
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.AddCookie(c)
	return s.people.Person(r)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for public, secure := range map[string]bool{"https://waypost.example.com": true, "http://127.0.0.1:8080": false} {
		s := newSigningIn(t, public, "a", "issuer client")
		done := s.enter("ada", nil)
		if done.StatusCode != http.StatusSeeOther || done.Header.Get("Location") != public+"/" {
			t.Fatalf("the sign-in ended with %d, %s", done.StatusCode, done.Header.Get("Location"))
		}
		c := session(done)
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Path != "/" || c.MaxAge > 3600 || strings.HasPrefix(c.Name, "__Host-") != secure {
			t.Fatalf("the session's cookie is %+v", c)
		}
		p, err := s.person(http.MethodPost, c, map[string]string{"Sec-Fetch-Site": "same-origin"})
		if err != nil || p.Subject != "ada" || p.Name == "" || len(p.Scopes) != 2 || strings.Join(p.Senders, " ") != "shop outlet" {
			t.Errorf("the session is of %+v, %v", p, err)
		}
		// A page of another origin can send requests with the cookie, and must have no effect.
		for name, header := range map[string]map[string]string{
			"another site": {"Sec-Fetch-Site": "cross-site"}, "another host of the site": {"Sec-Fetch-Site": "same-site"},
			"another origin, in an older browser": {"Origin": "https://evil.example"},
		} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				if _, err := s.person(method, c, header); domain.CodeOf(err) != domain.CodeForbidden {
					t.Errorf("%s from %s: %v", method, name, err)
				}
			}
			if out := s.open(http.MethodPost, "/auth/logout", []*http.Cookie{c}, header); out.StatusCode != http.StatusForbidden || len(out.Cookies()) > 0 {
				t.Errorf("signed out from %s: %d", name, out.StatusCode)
			}
		}
		announced, _ := io.ReadAll(s.open(http.MethodGet, "/auth.json", []*http.Cookie{c}, nil).Body)
		if string(announced) != `{"signIn":true,"signedIn":true}` {
			t.Errorf("announced: %s", announced)
		}
		out := s.open(http.MethodPost, "/auth/logout", []*http.Cookie{c}, map[string]string{"Sec-Fetch-Site": "same-origin"})
		if cleared := out.Cookies(); out.StatusCode != http.StatusNoContent || len(cleared) != 1 || cleared[0].Name != c.Name || cleared[0].MaxAge >= 0 || cleared[0].Secure != secure {
			t.Errorf("signed out with %d, %+v", out.StatusCode, cleared)
		}
		s.ahead.Store(int64(time.Hour))
		if _, err := s.person(http.MethodPost, c, nil); domain.CodeOf(err) != domain.CodeUnauthenticated {
			t.Errorf("after its lifetime: %v", err)
		}
	}
}

func TestSignInsThatFail(t *testing.T) {
	t.Parallel()
	s := newSigningIn(t, "https://waypost.example.com", "a", "issuer client")
	query := func(name, value string) func(*url.URL, []*http.Cookie) []*http.Cookie {
		return func(back *url.URL, cookies []*http.Cookie) []*http.Cookie {
			q := back.Query()
			q.Set(name, value)
			back.RawQuery = q.Encode()
			return cookies
		}
	}
	for what, c := range map[string]struct {
		user   string
		change func(*url.URL, []*http.Cookie) []*http.Cookie
		status int
		says   string
	}{
		"another state":    {"ada", query("state", "other"), http.StatusUnauthorized, "sign in again"},
		"no state":         {"ada", query("state", ""), http.StatusUnauthorized, "sign in again"},
		"a made-up code":   {"ada", query("code", "other"), http.StatusUnauthorized, "sign in again"},
		"a refusal":        {"ada", query("error", "access_denied"), http.StatusUnauthorized, "denied access"},
		"a wrong scope":    {"ada", query("error", "invalid_scope"), http.StatusUnauthorized, "WAYPOST_OIDC_REQUEST_SCOPES"},
		"markup":           {"ada", query("error", "<script>"), http.StatusUnauthorized, "&lt;script&gt;"},
		"too few rights":   {"bob", nil, http.StatusForbidden, "WAYPOST_OIDC_SCOPES_CLAIM"},
		"too many senders": {"eve", nil, http.StatusForbidden, "WAYPOST_OIDC_SENDERS_CLAIM"},
		"another browser":  {"ada", func(*url.URL, []*http.Cookie) []*http.Cookie { return nil }, http.StatusUnauthorized, "rejects cookies"},
		"a cookie of ours that was changed": {"ada", func(_ *url.URL, cookies []*http.Cookie) []*http.Cookie {
			other := "A"
			if cookies[0].Value[20] == 'A' {
				other = "B"
			}
			cookies[0].Value = cookies[0].Value[:20] + other + cookies[0].Value[21:]
			return cookies
		}, http.StatusUnauthorized, "rejects cookies"},
	} {
		done := s.enter(c.user, c.change)
		page, _ := io.ReadAll(done.Body)
		if done.StatusCode != c.status || session(done) != nil || !strings.Contains(string(page), c.says) {
			t.Errorf("with %s: %d, session %v, %s", what, done.StatusCode, session(done), page)
		}
	}
	late := s.enter("ada", func(_ *url.URL, cookies []*http.Cookie) []*http.Cookie {
		s.ahead.Store(int64(11 * time.Minute))
		return cookies
	})
	if late.StatusCode != http.StatusUnauthorized || session(late) != nil {
		t.Errorf("after 11 minutes: %d, %v", late.StatusCode, session(late))
	}
}

// A session outlives a rotation of the secret key. It ends if its key is removed, or if Waypost uses
// another provider.
func TestSessionsAndSecretKeys(t *testing.T) {
	t.Parallel()
	const public = "https://waypost.example.com"
	c := session(newSigningIn(t, public, "a", "issuer client").enter("ada", nil))
	attempt := newSigningIn(t, public, "a", "issuer client").open(http.MethodGet, "/auth/login", nil, nil).Cookies()[0]
	attempt.Name = c.Name
	for what, test := range map[string]struct {
		letters, client string
		cookie          *http.Cookie
		valid           bool
	}{
		"the same key":            {"a", "issuer client", c, true},
		"a newer key in front":    {"ba", "issuer client", c, true},
		"another key":             {"b", "issuer client", c, false},
		"another provider":        {"a", "other client", c, false},
		"the cookie of a sign-in": {"a", "issuer client", attempt, false},
	} {
		if _, err := newSigningIn(t, public, test.letters, test.client).person(http.MethodPost, test.cookie, nil); (err == nil) != test.valid {
			t.Errorf("with %s: %v", what, err)
		}
	}
}
