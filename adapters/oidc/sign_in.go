package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/access"
)

// Begin returns the issuer's address for a sign-in: the authorization code flow with PKCE. state
// returns to RedirectURL, nonce returns in the ID token, and verifier proves to the issuer that the
// same party began and finishes the sign-in.
func (v *Verifier) Begin(ctx context.Context, state, nonce, verifier string) (string, error) {
	i, err := v.issuer(ctx)
	if err != nil {
		return "", err
	}
	return v.client(i).AuthCodeURL(state, goidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Finish redeems the code of a sign-in and returns the person. ExpiresAt is when the ID token
// expires. If the sign-in is rejected, it returns a *domain.Error with CodeUnauthenticated.
func (v *Verifier) Finish(ctx context.Context, code, nonce, verifier string) (access.Person, error) {
	i, err := v.issuer(ctx)
	if err != nil {
		return access.Person{}, err
	}
	ctx = goidc.ClientContext(ctx, v.http)
	token, err := v.client(i).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return access.Person{}, v.exchangeError(ctx, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return access.Person{}, unauthenticated("the identity provider returned no ID token; allow the scope openid for the client named by WAYPOST_OIDC_CLIENT_ID")
	}
	t, c, err := verify(ctx, i.id, raw)
	if err != nil {
		return access.Person{}, err
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(nonce)) != 1 {
		return access.Person{}, unauthenticated("the ID token belongs to another sign-in; sign in again")
	}
	if !v.rights().complete(c) {
		v.addUserinfo(ctx, i, token, t.Subject, c)
	}
	return v.person(t, c)
}

// addUserinfo adds the claims of the userinfo endpoint that the ID token does not contain: many
// issuers return custom claims only there. Without them, the person has the rights that the ID
// token grants.
func (v *Verifier) addUserinfo(ctx context.Context, i *issuer, token *oauth2.Token, subject string, c claims) {
	if i.provider.UserInfoEndpoint() == "" {
		return
	}
	info, err := i.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	var more claims
	if err == nil && info.Subject != subject { // of another person
		err = errors.New("the userinfo endpoint returned another subject")
	}
	if err == nil {
		err = info.Claims(&more)
	}
	if err != nil {
		v.opts.Logger.WarnContext(ctx, "the identity provider's userinfo endpoint failed", "issuer", v.opts.Issuer, "error", err.Error())
		return
	}
	for name, value := range more {
		if _, ok := c[name]; !ok {
			c[name] = value
		}
	}
}

// exchangeError returns the error to show if the issuer did not redeem a code. Its own text is only
// logged: it is for operators.
func (v *Verifier) exchangeError(ctx context.Context, err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response.StatusCode >= http.StatusInternalServerError {
		v.opts.Logger.WarnContext(ctx, "the identity provider did not redeem a sign-in", "issuer", v.opts.Issuer, "error", err.Error())
		return domain.Unavailable("the identity provider does not respond; try again")
	}
	v.opts.Logger.WarnContext(ctx, "the identity provider rejected a sign-in", "issuer", v.opts.Issuer, "code", refused.ErrorCode, "error", refused.ErrorDescription)
	if refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client" {
		return unauthenticated("the identity provider rejected Waypost itself; check WAYPOST_OIDC_CLIENT_ID and WAYPOST_OIDC_CLIENT_SECRET")
	}
	return unauthenticated(fmt.Sprintf("the identity provider rejected the sign-in (%s); sign in again", refused.ErrorCode))
}

// client returns the OAuth client. It is built each time, because its secret can be rotated.
func (v *Verifier) client(i *issuer) *oauth2.Config {
	c := &oauth2.Config{
		ClientID: v.opts.ClientID, Endpoint: i.provider.Endpoint(), RedirectURL: v.opts.RedirectURL,
		Scopes: []string{goidc.ScopeOpenID},
	}
	for _, s := range v.opts.RequestScopes {
		if !slices.Contains(c.Scopes, s) {
			c.Scopes = append(c.Scopes, s)
		}
	}
	if v.opts.ClientSecret != nil {
		c.ClientSecret = v.opts.ClientSecret()
	}
	return c
}
