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
	// askTimeout bounds one request to the issuer.
	askTimeout = 5 * time.Second
	// askPause is how long an issuer that did not answer is left alone.
	askPause = 5 * time.Second
)

// Options say whose tokens count.
type Options struct {
	// Issuer is the issuer's URL, as in the claim "iss".
	Issuer string
	// Audience has to stand in the claim "aud".
	Audience string
	// Clock tells the time by which tokens end.
	Clock func() time.Time
	// Logger gets what is wrong with the issuer; nothing is logged without one.
	Logger *slog.Logger
}

// Person is whom a token stands for.
type Person struct {
	// Subject is the claim "sub": who it is at the issuer.
	Subject string
	// Name is what the issuer calls them; empty if it does not say.
	Name      string
	Scopes    []access.Scope
	ExpiresAt time.Time
}

// Verifier verifies tokens of one issuer. It may be used by any number of
// goroutines.
type Verifier struct {
	opts   Options
	client *http.Client

	mu     sync.Mutex
	asking chan struct{} // closed when the request to the issuer under way is over
	next   time.Time     // when the issuer may be asked again
	proven *goidc.IDTokenVerifier
}

// New makes a verifier. It asks the issuer nothing yet.
func New(o Options) (*Verifier, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("issuer %q is no URL", o.Issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("the issuer's URL must begin with https: its keys decide who gets in")
	case o.Audience == "":
		return nil, errors.New("an audience is required: without one, tokens made for other programs would count")
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

// Verify answers whom a token stands for. A token that does not count is a
// *domain.Error of CodeUnauthenticated; without an answer of the issuer it is
// CodeUnavailable.
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
		return Person{}, unauthenticated("the token's claims cannot be read, or it names nobody")
	}
	p := Person{Subject: t.Subject, Name: claims.Name, Scopes: claims.Scope, ExpiresAt: t.Expiry}
	if p.Name == "" {
		p.Name = claims.Username
	}
	return p, nil
}

// scopes reads the claim "scope": words separated by blanks, as OAuth has it, or a
// list of words. Words that are no scope of the platform are other programs'.
type scopes []access.Scope

func (s *scopes) UnmarshalJSON(data []byte) error {
	var words []string
	var text string
	if json.Unmarshal(data, &text) == nil {
		words = strings.Fields(text)
	} else if err := json.Unmarshal(data, &words); err != nil {
		return errors.New("scope is neither a text nor a list of texts")
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
		return unauthenticated("the token has ended; sign in again")
	}
	return unauthenticated("the token does not count: its signature, issuer, audience or times are not right")
}

func away() error { return domain.Unavailable("the issuer of tokens does not answer; try again") }

// fetching is how the error of a key set begins that could not be fetched. The
// library has no other sign of it, and its verifier drops what it wraps.
const fetching = "fetching keys"

type signatureKey struct{}

// keySet keeps the error of a verification, so that an issuer that does not answer
// is told from a signature that is wrong.
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

// verifier is the one made of what the issuer says of itself. One caller asks the
// issuer; the others wait for that, and for a while none asks again.
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

// ask asks the issuer what it says of itself.
func (v *Verifier) ask(ctx context.Context) {
	// It is kept for fetching keys later on.
	ctx = goidc.ClientContext(context.WithoutCancel(ctx), v.client)
	proven, err := v.discover(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.asking)
	v.asking, v.proven = nil, proven
	if err != nil {
		v.next = v.opts.Clock().Add(askPause)
		v.opts.Logger.WarnContext(ctx, "the issuer of tokens does not answer as it must; tokens are refused until it does",
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

// signing leaves out what signs nothing, or with a secret that is shared.
func signing(announced []string) []string {
	return slices.DeleteFunc(announced, func(a string) bool { return a == "none" || strings.HasPrefix(a, "HS") })
}
