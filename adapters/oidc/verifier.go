package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

const (
	// askTimeout limits one request to the issuer.
	askTimeout = 5 * time.Second
	// askPause is how long an issuer that did not respond is not asked again.
	askPause = 5 * time.Second
)

// Options define which tokens are accepted, and how people sign in.
type Options struct {
	// Issuer is the issuer's URL, as in the claim "iss".
	Issuer string
	// Audience must be in the claim "aud" of bearer tokens. If empty, none are accepted.
	Audience string
	// ClientID is Waypost's ID at the issuer. If empty, people can't sign in with a browser.
	ClientID string
	// ClientSecret returns the secret of a confidential client, or an empty text.
	ClientSecret func() string
	// RedirectURL is where the issuer sends browsers after a sign-in.
	RedirectURL string
	// RequestScopes are the OAuth scopes to request at sign-in, in addition to openid.
	RequestScopes []string
	// ScopesClaim is the claim with a person's scopes. If empty, "scope".
	ScopesClaim string
	// SendersClaim is the claim with the senders that a person is limited to. If empty, people have
	// access to all senders.
	SendersClaim string
	// Clock returns the time used for the expiry of tokens.
	Clock func() time.Time
	// Logger receives problems with the issuer. If nil, nothing is logged.
	Logger *slog.Logger
}

// Verifier verifies tokens of one issuer. Any number of goroutines can use it.
type Verifier struct {
	opts Options
	http *http.Client

	mu     sync.Mutex
	asking chan struct{} // closed when the current request to the issuer is over
	next   time.Time     // when the issuer can be asked again
	proven *issuer
}

// issuer is what the issuer's configuration says.
type issuer struct {
	provider *goidc.Provider
	// bearer verifies bearer tokens, and id the ID tokens of a sign-in.
	bearer, id *goidc.IDTokenVerifier
}

// New returns a verifier. It does not contact the issuer yet.
func New(o Options) (*Verifier, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("issuer %q is not a URL", o.Issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("the issuer's URL must begin with https: its keys decide who has access")
	case o.Audience == "" && o.ClientID == "":
		return nil, errors.New("an audience or a client ID is required: without one, tokens for other programs would be accepted")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Verifier{opts: o, http: &http.Client{Timeout: askTimeout}}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Verify returns the person that a bearer token identifies. For an invalid token, it returns a
// *domain.Error with CodeUnauthenticated. If the issuer does not respond, it returns
// one with CodeUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (access.Person, error) {
	if v.opts.Audience == "" {
		return access.Person{}, unauthenticated("bearer tokens of the issuer are not accepted; set WAYPOST_OIDC_AUDIENCE to the audience that they name")
	}
	i, err := v.issuer(ctx)
	if err != nil {
		return access.Person{}, err
	}
	t, c, err := verify(ctx, i.bearer, token)
	if err != nil {
		return access.Person{}, err
	}
	return v.person(t, c)
}

// verify returns a valid token and its claims.
func verify(ctx context.Context, verifier *goidc.IDTokenVerifier, token string) (*goidc.IDToken, claims, error) {
	var signature error
	t, err := verifier.Verify(context.WithValue(ctx, signatureKey{}, &signature), token)
	switch {
	case signature != nil && strings.HasPrefix(signature.Error(), fetching):
		return nil, nil, away()
	case err != nil:
		return nil, nil, refusal(err)
	}
	var c claims
	if err := t.Claims(&c); err != nil || t.Subject == "" {
		return nil, nil, unauthenticated("the token's claims cannot be read, or it names no subject")
	}
	return t, c, nil
}

// person returns the person with the rights in the claims.
func (v *Verifier) person(t *goidc.IDToken, c claims) (access.Person, error) {
	grant, err := v.rights().grant(c)
	return access.Person{Grant: grant, Subject: t.Subject, Name: c.text("name", "preferred_username", "email"), ExpiresAt: t.Expiry}, err
}

func (v *Verifier) rights() mapping {
	return mapping{scopes: v.opts.ScopesClaim, senders: v.opts.SendersClaim}
}

func refusal(err error) error {
	var expired *goidc.TokenExpiredError
	if errors.As(err, &expired) {
		return unauthenticated("the token has expired; sign in again")
	}
	return unauthenticated("the token is invalid: check its signature, issuer, audience, and times")
}

func away() error { return domain.Unavailable("the token issuer does not respond; try again") }

// fetching is the beginning of the error of a key set that could not be fetched. The
// library gives no other indication, and its verifier drops the wrapped error.
const fetching = "fetching keys"

type signatureKey struct{}

// keySet records the error of a verification, to distinguish an issuer that does not
// respond from a wrong signature.
type keySet struct{ goidc.KeySet }

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if kept, ok := ctx.Value(signatureKey{}).(*error); ok {
		*kept = err
	}
	return payload, err
}

// issuer returns the issuer's configuration. One caller asks the issuer. The others wait for
// the result, and none asks again for a while.
func (v *Verifier) issuer(ctx context.Context) (*issuer, error) {
	for {
		v.mu.Lock()
		if v.proven != nil {
			defer v.mu.Unlock()
			return v.proven, nil
		}
		if asking := v.asking; asking != nil {
			v.mu.Unlock()
			select {
			case <-asking:
				continue
			case <-ctx.Done():
				return nil, away()
			}
		}
		if v.opts.Clock().Before(v.next) {
			v.mu.Unlock()
			return nil, away()
		}
		v.asking = make(chan struct{})
		v.mu.Unlock()
		v.ask(ctx)
	}
}

// ask fetches the issuer's configuration.
func (v *Verifier) ask(ctx context.Context) {
	// The context is kept for fetching keys later.
	ctx = goidc.ClientContext(context.WithoutCancel(ctx), v.http)
	proven, err := v.discover(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.asking)
	v.asking, v.proven = nil, proven
	if err != nil {
		v.next = v.opts.Clock().Add(askPause)
		v.opts.Logger.WarnContext(ctx, "the token issuer does not respond correctly; tokens are rejected until it does",
			"issuer", v.opts.Issuer, "error", err.Error())
	}
}

func (v *Verifier) discover(ctx context.Context) (*issuer, error) {
	provider, err := goidc.NewProvider(ctx, v.opts.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, err
	}
	keys := keySet{goidc.NewRemoteKeySet(ctx, said.Keys)}
	verifier := func(audience string) *goidc.IDTokenVerifier {
		return goidc.NewVerifier(v.opts.Issuer, keys, &goidc.Config{
			ClientID: audience, Now: v.opts.Clock, SupportedSigningAlgs: signing(said.Algorithms),
		})
	}
	return &issuer{provider: provider, bearer: verifier(v.opts.Audience), id: verifier(v.opts.ClientID)}, nil
}

// signing removes the algorithms that do not sign, or that sign with a shared secret.
func signing(announced []string) []string {
	return slices.DeleteFunc(announced, func(a string) bool { return a == "none" || strings.HasPrefix(a, "HS") })
}
