// Package oidc lets people in whom an OpenID Connect issuer knows: with bearer tokens, which are
// JSON Web Tokens that name Waypost as their audience, and by signing in with a browser.
//
//   - A sign-in is the authorization code flow with PKCE (S256). State, nonce, and code verifier
//     are the caller's, see ports/httpapi.
//   - Claims contain a person's scopes, and the senders that the person is limited to. If the
//     senders claim is configured but missing, the person is rejected.
//   - The issuer's keys are fetched when they are first needed, and again when a token names
//     an unknown key. The issuer never delays the start of Waypost.
//   - Signature, issuer, audience, and times are checked by coreos/go-oidc, with the
//     algorithms that the issuer announces. Unsigned tokens never pass.
//   - No part of a token is logged or returned.
package oidc
