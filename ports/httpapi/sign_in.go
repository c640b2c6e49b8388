package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// The paths of a sign-in. They are below the public URL.
const (
	signInPath   = "/auth/login"
	callbackPath = "/auth/callback"
	signOutPath  = "/auth/logout"
)

const (
	// attemptFor is how long a person can take to sign in at the identity provider.
	attemptFor = 10 * time.Minute
	// maxCookie is the size that browsers keep of a cookie, with its name, less some room for its
	// attributes.
	maxCookie = 3900
	// providerTimeout bounds the requests to the identity provider for one sign-in.
	providerTimeout = 15 * time.Second
)

// The purposes of sealed cookies. One is never accepted as the other.
const (
	aboutAttempt = "sign-in attempt"
	aboutSession = "session"
)

// Provider signs people in with an identity provider.
type Provider interface {
	// Begin returns the provider's address for a sign-in.
	Begin(ctx context.Context, state, nonce, verifier string) (string, error)
	// Finish redeems the code of a sign-in. Its errors are *domain.Error, if they can be shown.
	Finish(ctx context.Context, code, nonce, verifier string) (access.Person, error)
}

// Sealer encrypts and authenticates what browsers keep.
type Sealer interface {
	SealCookie(plain []byte, about string) (string, error)
	OpenCookie(text, about string) ([]byte, bool)
}

// SignInOptions configure SignIn. All are required.
type SignInOptions struct {
	Provider Provider
	Sealer   Sealer
	// PublicURL is where browsers reach Waypost. With https, cookies are sent over TLS only.
	PublicURL *url.URL
	// Client identifies Waypost's registration at the provider. Another one ends all sessions.
	Client string
	// Lifetime is the maximum time that a person stays signed in.
	Lifetime time.Duration
	Clock    func() time.Time
	Logger   *slog.Logger
}

// SignIn signs people in with their browsers. A session is an encrypted cookie that every process
// with the same secret key accepts until it expires. Nothing is stored on the server.
//
// The session is protected against requests that pages of other origins make a browser send: the
// cookie is SameSite=Lax, and Person rejects requests whose headers name another origin. No address
// in a request decides where a browser is sent.
type SignIn struct {
	SignInOptions

	protection *http.CrossOriginProtection
	attempt    http.Cookie
	session    http.Cookie
}

// NewSignIn returns a SignIn.
func NewSignIn(o SignInOptions) (*SignIn, error) {
	s := &SignIn{SignInOptions: o, protection: http.NewCrossOriginProtection()}
	if err := s.protection.AddTrustedOrigin(o.PublicURL.Scheme + "://" + o.PublicURL.Host); err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	cookie := http.Cookie{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if o.PublicURL.Scheme == "https" {
		cookie.Secure = true
		cookie.Name = "__Host-" // no other host of the domain can set it
	}
	s.attempt, s.session = cookie, cookie
	s.attempt.Name += "waypost-sign-in" //nolint:gosec // cookie has its attributes
	s.session.Name += "waypost"         //nolint:gosec // as above
	return s, nil
}

// Routes returns the handlers of the sign-in, by their patterns.
func (s *SignIn) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /auth.json":      http.HandlerFunc(s.announce),
		"GET " + signInPath:   http.HandlerFunc(s.begin),
		"GET " + callbackPath: http.HandlerFunc(s.finish),
		"POST " + signOutPath: s.protection.Handler(http.HandlerFunc(s.signOut)),
	}
}

// RedirectURL returns the address that the identity provider sends browsers to.
func RedirectURL(public *url.URL) string { return public.JoinPath(callbackPath).String() }

// announce tells the web UI that people can sign in, and whether someone has, with the browser that
// sent the request. Without SignIn, a file of the web UI says that they can't.
func (s *SignIn) announce(w http.ResponseWriter, r *http.Request) {
	_, err := s.Person(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, `{"signIn":true,"signedIn":%t}`, err == nil) // the client may have gone
}

// attempt is a sign-in in progress, in a cookie.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
}

func (s *SignIn) begin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	ctx, cancel := context.WithTimeout(r.Context(), providerTimeout)
	defer cancel()
	// 130 random bits each. PKCE requires at least 43 characters.
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), Until: s.Clock().Add(attemptFor)}
	to, err := s.Provider.Begin(ctx, a.State, a.Nonce, a.Verifier)
	if err == nil {
		err = s.set(w, s.attempt, aboutAttempt, a, a.Until)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *SignIn) finish(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	ctx, cancel := context.WithTimeout(r.Context(), providerTimeout)
	defer cancel()
	p, err := s.finished(ctx, r)
	s.clear(w, s.attempt) // a code can be redeemed once
	if err == nil {
		err = s.set(w, s.session, s.aboutSession(), sessionCookie{
			Subject: p.Subject, Name: p.Name, Scopes: p.Scopes, Senders: p.Senders, Until: p.ExpiresAt,
		}, p.ExpiresAt)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, s.PublicURL.JoinPath("/").String(), http.StatusSeeOther)
}

// finished returns the person of a sign-in that the identity provider has finished.
func (s *SignIn) finished(ctx context.Context, r *http.Request) (access.Person, error) {
	var a attempt
	state := r.FormValue("state")
	switch {
	case !s.read(r, s.attempt, aboutAttempt, &a):
		return access.Person{}, unauthenticated("this browser began no sign-in in the last 10 minutes, or it rejects cookies; sign in again")
	case state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(a.State)) != 1:
		return access.Person{}, unauthenticated("this sign-in was replaced by a newer one, or did not begin here; sign in again")
	case !s.Clock().Before(a.Until):
		return access.Person{}, unauthenticated("the sign-in took longer than 10 minutes; sign in again")
	}
	if code := r.FormValue("error"); code != "" {
		s.Logger.WarnContext(ctx, "the identity provider refused a sign-in", "code", code, "error", r.FormValue("error_description"))
		if code == "access_denied" {
			return access.Person{}, unauthenticated("the identity provider denied access; ask its administrator for access to Waypost")
		}
		return access.Person{}, unauthenticated("the identity provider refused the sign-in with " + code + "; check WAYPOST_OIDC_CLIENT_ID, WAYPOST_OIDC_REQUEST_SCOPES, and the redirect URL that is registered there")
	}
	p, err := s.Provider.Finish(ctx, r.FormValue("code"), a.Nonce, a.Verifier)
	if err != nil {
		return p, err
	}
	if !p.Allows(access.ScopeRead) {
		return p, &domain.Error{Code: domain.CodeForbidden, Message: fmt.Sprintf(
			"%s may not use Waypost: the identity provider grants the scopes %v, and the web UI requires READ; grant it in the claim that WAYPOST_OIDC_SCOPES_CLAIM names", p.Subject, p.Scopes)}
	}
	// An ID token is a proof of the sign-in and often expires within minutes. It does not limit the session.
	p.ExpiresAt = s.Clock().Add(s.Lifetime)
	return p, nil
}

// sessionCookie is the content of the session's cookie.
type sessionCookie struct {
	Subject string         `json:"sub"`
	Name    string         `json:"name,omitempty"`
	Scopes  []access.Scope `json:"scopes"`
	// Senders is null for all senders.
	Senders []string  `json:"senders"`
	Until   time.Time `json:"until"`
}

// Person returns the person who signed in with the browser that sent a request. It returns a
// *domain.Error if there is no valid session, or if a page of another origin sent the request.
func (s *SignIn) Person(r *http.Request) (access.Person, error) {
	var c sessionCookie
	if _, err := r.Cookie(s.session.Name); err != nil {
		return access.Person{}, unauthenticated("requires a valid key, in the header Authorization: Bearer KEY or as authorization in connection_init, or a session of /auth/login")
	}
	if !s.read(r, s.session, s.aboutSession(), &c) {
		return access.Person{}, unauthenticated("the session is no longer valid; sign in again")
	}
	p := access.Person{Grant: access.Grant{Scopes: c.Scopes, Senders: c.Senders}, Subject: c.Subject, Name: c.Name, ExpiresAt: c.Until}
	if err := p.CheckActive(s.Clock()); err != nil {
		return access.Person{}, err
	}
	// GET opens WebSockets and event streams here, so no method is safe.
	changing := *r
	changing.Method = http.MethodPost
	if err := s.protection.Check(&changing); err != nil {
		return access.Person{}, &domain.Error{
			Code:    domain.CodeForbidden,
			Message: "a page of another origin can't use the session of a person; send a key or a token in the header Authorization, or set WAYPOST_PUBLIC_URL to the address that browsers use",
		}
	}
	return p, nil
}

func (s *SignIn) signOut(w http.ResponseWriter, _ *http.Request) {
	s.clear(w, s.session)
	w.WriteHeader(http.StatusNoContent)
}

func (s *SignIn) aboutSession() string { return aboutSession + " of " + s.Client }

// set sets a sealed cookie.
func (s *SignIn) set(w http.ResponseWriter, c http.Cookie, about string, content any, until time.Time) error { //nolint:gosec // NewSignIn set its attributes
	plain, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if c.Value, err = s.Sealer.SealCookie(plain, about); err != nil {
		return err
	}
	if len(c.Name)+len(c.Value) > maxCookie {
		return &domain.Error{
			Code:    domain.CodeForbidden,
			Message: "the person has too many senders for a cookie; shorten the claim that WAYPOST_OIDC_SENDERS_CLAIM names, or grant all senders with \"*\"",
		}
	}
	c.MaxAge = max(1, int(until.Sub(s.Clock())/time.Second))
	http.SetCookie(w, &c)
	return nil
}

func (s *SignIn) clear(w http.ResponseWriter, c http.Cookie) { //nolint:gosec // NewSignIn set its attributes
	c.MaxAge = -1
	http.SetCookie(w, &c)
}

// read reads a sealed cookie.
func (s *SignIn) read(r *http.Request, c http.Cookie, about string, into any) bool {
	given, err := r.Cookie(c.Name)
	if err != nil {
		return false
	}
	plain, ok := s.Sealer.OpenCookie(given.Value, about)
	return ok && json.Unmarshal(plain, into) == nil
}

var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Not signed in · Waypost</title>
<h1>Not signed in</h1>
<p role="alert">{{.Message}}</p>
<p><a href="{{.Again}}">Sign in again</a> or <a href="{{.Home}}">use a key</a>.</p>
</html>
`))

// refuse shows a person why a sign-in failed.
func (s *SignIn) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, "internal error; see the log of Waypost"
	switch domain.CodeOf(err) {
	case domain.CodeUnauthenticated:
		status, message = http.StatusUnauthorized, err.Error()
	case domain.CodeForbidden:
		status, message = http.StatusForbidden, err.Error()
	case domain.CodeUnavailable:
		status, message = http.StatusServiceUnavailable, err.Error()
	default:
		s.Logger.ErrorContext(r.Context(), "a sign-in failed", "error", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = refusalPage.Execute(w, map[string]string{ // the client may have gone
		"Message": strings.TrimSuffix(message, ".") + ".", "Again": s.PublicURL.JoinPath(signInPath).String(), "Home": s.PublicURL.JoinPath("/").String(),
	})
}

func unauthenticated(message string) error {
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: message}
}
