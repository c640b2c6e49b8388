// Package oidc verifies bearer tokens of an OpenID Connect issuer: JSON Web Tokens that name
// Waypost as their audience and contain their scopes in a claim "scope".
//
//   - The issuer's keys are fetched when they are first needed, and again when a token names
//     an unknown key. The issuer never delays the start of Waypost.
//   - Signature, issuer, audience, and times are checked by coreos/go-oidc, with the
//     algorithms that the issuer announces. Unsigned tokens never pass.
//   - No part of a token is logged or returned.
package oidc
