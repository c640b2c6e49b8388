// Package access implements the aggregate of an API key: what it allows, for which
// senders, and how long.
//
// # Invariants
//
//   - No event contains a secret. The log contains only its SHA-256, and the response that
//     creates a key is the only place that shows the secret. A plain hash is sufficient,
//     and a slow one would only slow down every request: a secret is 256 random bits, so
//     no one can find it by trying.
//   - What a key allows never changes. To change it, create another key.
//   - A key that was revoked or has expired never becomes valid again.
//   - An access token is a key with an expiry and a parent. It ends with its parent and
//     creates no tokens of its own.
//
// Nothing here is personal: an operator chose the name of a key.
package access
