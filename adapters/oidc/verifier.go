package oidc

import (
	"context"
	"encoding/json"
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

// Options define which tokens are accepted.
type Options struct {
	// Issuer is the issuer's URL, as in the claim "iss".
	Issuer string
	// Audience must be in the claim "aud".
	Audience string
	// Clock returns the time used for the expiry of tokens.
	Clock func() time.Time
	// Logger receives problems with the issuer. If nil, nothing is logged.
	Logger *slog.Logger
}

// Person is the person that a token identifies.
type Person struct {
	// Subject is the claim "sub": the person's ID at the issuer.
	Subject string
	// Name is the person's name at the issuer. Empty if the token contains none.
	Name      string
	Scopes    []access.Scope
	ExpiresAt time.Time
}

// Verifier verifies tokens of one issuer. Any number of goroutines can use it.
type Verifier struct {
	opts   Options
	client *http.Client

	mu     sync.Mutex
	asking chan struct{} // closed when the current request to the issuer is over
	next   time.Time     // when the issuer can be asked again
	proven *goidc.IDTokenVerifier
}

// New returns a verifier. It does not contact the issuer yet.
func New(o Options) (*Verifier, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("issuer %q is not a URL", o.Issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("the issuer's URL must begin with https: its keys decide who has access")
	case o.Audience == "":
		return nil, errors.New("an audience is required: without one, tokens for other programs would be accepted")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Verifier{opts: o, client: &http.Client{Timeout: askTimeout}}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Verify returns the person that a token identifies. For an invalid token, it returns a
// *domain.Error with CodeUnauthenticated. If the issuer does not respond, it returns
// one with CodeUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (Person, error) {
	verifier, err := v.verifier(ctx)
	if err != nil {
		return Person{}, err
	}
	var signature error
	t, err := verifier.Verify(context.WithValue(ctx, signatureKey{}, &signature), token)
	switch {
	case signature != nil && strings.HasPrefix(signature.Error(), fetching):
		return Person{}, away()
	case err != nil:
		return Person{}, refusal(err)
	}
	var claims struct {
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
		Scope    scopes `json:"scope"`
	}
	if err := t.Claims(&claims); err != nil || t.Subject == "" {
		return Person{}, unauthenticated("the token's claims cannot be read, or it names no subject")
	}
	p := Person{Subject: t.Subject, Name: claims.Name, Scopes: claims.Scope, ExpiresAt: t.Expiry}
	if p.Name == "" {
		p.Name = claims.Username
	}
	return p, nil
}

// scopes is the claim "scope": words separated by spaces, as in OAuth, or a list of
// words. Words that are not scopes of Waypost belong to other programs.
type scopes []access.Scope

func (s *scopes) UnmarshalJSON(data []byte) error {
	var words []string
	var text string
	if json.Unmarshal(data, &text) == nil {
		words = strings.Fields(text)
	} else if err := json.Unmarshal(data, &words); err != nil {
		return errors.New("scope must be a string or a list of strings")
	}
	for _, w := range words {
		for _, known := range access.Scopes() {
			if strings.EqualFold(w, string(known)) {
				*s = append(*s, known)
			}
		}
	}
	return nil
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

func unauthenticated(message string) error {
	return &domain.Error{Code: domain.CodeUnauthenticated, Message: message}
}

// verifier returns the verifier for the issuer's configuration. One caller asks the
// issuer. The others wait for the result, and none asks again for a while.
func (v *Verifier) verifier(ctx context.Context) (*goidc.IDTokenVerifier, error) {
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
	ctx = goidc.ClientContext(context.WithoutCancel(ctx), v.client)
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

func (v *Verifier) discover(ctx context.Context) (*goidc.IDTokenVerifier, error) {
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
	return goidc.NewVerifier(v.opts.Issuer, keySet{goidc.NewRemoteKeySet(ctx, said.Keys)}, &goidc.Config{
		ClientID: v.opts.Audience, Now: v.opts.Clock, SupportedSigningAlgs: signing(said.Algorithms),
	}), nil
}

// signing removes the algorithms that do not sign, or that sign with a shared secret.
func signing(announced []string) []string {
	return slices.DeleteFunc(announced, func(a string) bool { return a == "none" || strings.HasPrefix(a, "HS") })
}
