package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/waypost/waypost/adapters/oidc"
	"github.com/waypost/waypost/domain/access"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/httpapi"
	"github.com/waypost/waypost/web"
)

// signInSettings are the settings of serve for people whom an identity provider knows.
type signInSettings struct {
	PublicURL         string        `name:"public-url" help:"URL at which browsers reach the web UI. If empty, http:// and --addr." env:"WAYPOST_PUBLIC_URL"`
	OIDCIssuer        string        `name:"oidc-issuer" help:"OpenID Connect issuer of the people who can use Waypost in addition to keys." env:"WAYPOST_OIDC_ISSUER"`
	OIDCAudience      string        `name:"oidc-audience" help:"Audience that bearer tokens of the issuer must name. If empty, none are accepted." env:"WAYPOST_OIDC_AUDIENCE"`
	OIDCClientID      string        `name:"oidc-client-id" help:"Waypost's client ID at the issuer, to sign in to the web UI. If empty, the web UI requires a key." env:"WAYPOST_OIDC_CLIENT_ID"`
	OIDCClientSecret  string        `name:"oidc-client-secret" secret:"" help:"Secret of that client. If empty, the client is public and uses PKCE only." env:"WAYPOST_OIDC_CLIENT_SECRET"`
	OIDCRequestScopes []string      `name:"oidc-request-scopes" help:"OAuth scopes to request at sign-in, in addition to openid." default:"profile" env:"WAYPOST_OIDC_REQUEST_SCOPES"`
	OIDCScopesClaim   string        `name:"oidc-scopes-claim" help:"Claim with a person's scopes, such as READ. It can be a path like realm_access.roles." default:"scope" env:"WAYPOST_OIDC_SCOPES_CLAIM"`
	OIDCSendersClaim  string        `name:"oidc-senders-claim" help:"Claim with the IDs of the senders that a person is limited to, or * for all. If empty, people have access to all senders." env:"WAYPOST_OIDC_SENDERS_CLAIM"`
	OIDCSession       time.Duration `name:"oidc-session" help:"How long a person stays signed in to the web UI, 5m to 24h." default:"8h" env:"WAYPOST_OIDC_SESSION"`
}

// The bounds of a session, during which the identity provider is not asked again.
const (
	minSession = 5 * time.Minute
	maxSession = 24 * time.Hour
)

// checkSignIn returns an error if a setting is invalid.
func (s *Settings) checkSignIn() error {
	if _, err := s.publicURL(); err != nil {
		return err
	}
	switch {
	case s.OIDCIssuer == "" && s.OIDCAudience != "":
		return errors.New("--oidc-audience requires --oidc-issuer; set both or neither")
	case s.OIDCIssuer == "" && s.OIDCClientID != "":
		return errors.New("--oidc-client-id requires --oidc-issuer, the URL of the identity provider")
	case s.OIDCIssuer != "" && s.OIDCAudience == "" && s.OIDCClientID == "":
		return errors.New("--oidc-issuer requires --oidc-client-id, to sign in to the web UI, or --oidc-audience, to accept bearer tokens")
	case s.OIDCSession < minSession || s.OIDCSession > maxSession:
		return fmt.Errorf("--oidc-session: must be %s to %s, got %s", minSession, maxSession, s.OIDCSession)
	case s.OIDCClientID != "" && s.PublicURL == "" && !loopbackAddr(s.Addr):
		return fmt.Errorf("--public-url is required with --oidc-client-id, because browsers do not reach %s under that address; set it to a URL like https://waypost.example.com", s.Addr)
	}
	return nil
}

// publicURL returns the URL at which browsers reach the web UI.
func (s *Settings) publicURL() (*url.URL, error) {
	if s.PublicURL == "" {
		return &url.URL{Scheme: "http", Host: s.Addr}, nil
	}
	u, err := url.Parse(s.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("--public-url: %q is not a valid URL; use one like https://waypost.example.com", s.PublicURL)
	case u.Scheme == "http" && !loopbackAddr(u.Host):
		return nil, fmt.Errorf("--public-url: %q must begin with https, because sessions are sent to it", s.PublicURL)
	}
	return u, nil
}

// loopbackAddr reports whether only this machine reaches a host, or a host with a port.
func loopbackAddr(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// signIn accepts the people that the identity provider knows: their bearer tokens, and their browsers.
func (c *core) signIn(a *graph.KeyAuthenticator) error {
	s := c.settings
	if s.OIDCIssuer == "" {
		return nil
	}
	public, err := s.publicURL()
	if err != nil {
		return err
	}
	secret, err := NewSecret("WAYPOST_OIDC_CLIENT_SECRET", s.OIDCClientSecret)
	if err != nil {
		return err
	}
	issuer, err := oidc.New(oidc.Options{
		Issuer: s.OIDCIssuer, Audience: s.OIDCAudience, ClientID: s.OIDCClientID, ClientSecret: secret.Get,
		RedirectURL: httpapi.RedirectURL(public), RequestScopes: s.OIDCRequestScopes, ScopesClaim: s.OIDCScopesClaim, SendersClaim: s.OIDCSendersClaim,
		Clock: c.now, Logger: c.log,
	})
	if err != nil {
		return fmt.Errorf("WAYPOST_OIDC_ISSUER: %w", err)
	}
	a.VerifyToken = func(ctx context.Context, token string) (access.Person, error) { return issuer.Verify(ctx, token) }
	if s.OIDCClientID == "" {
		return nil
	}
	c.people, err = httpapi.NewSignIn(httpapi.SignInOptions{
		Provider: issuer, Sealer: c.stores.Keys, PublicURL: public, Client: s.OIDCIssuer + " " + s.OIDCClientID, Lifetime: s.OIDCSession,
		Clock: c.now, Logger: c.log,
	})
	return err
}

// person returns the person who signed in with the browser that sent a request.
func (c *core) person() func(*http.Request) (access.Person, error) {
	if c.people == nil {
		return nil
	}
	return c.people.Person
}

// routes returns the routes of the API, with those of the sign-in and of embedded views.
func (c *core) routes(more map[string]http.Handler) map[string]http.Handler {
	routes := map[string]http.Handler{}
	if c.people != nil {
		maps.Copy(routes, c.people.Routes())
	}
	if origins := c.settings.EmbedOrigins; len(origins) > 0 {
		routes[web.EmbedPattern] = web.Embed(origins)
		routes["GET /embed/data"] = http.HandlerFunc(c.api.ServeView)
	}
	maps.Copy(routes, more)
	return routes
}
