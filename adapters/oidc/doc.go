// Package oidc verifies bearer tokens of an OpenID Connect issuer: JSON Web
// Tokens that name the platform as their audience and what they allow in a claim
// "scope".
//
//   - The issuer is asked for its keys when it is first needed, again when a token
//     names a key that is not known, and never holds up the start of the platform.
//   - Signature, issuer, audience and times are checked by coreos/go-oidc, with
//     the algorithms that the issuer announces; unsigned tokens never pass.
//   - Nothing of a token is logged or told back.
package oidc
