// Package access is the aggregate of an API key: what it allows, for which
// senders, and until when.
//
// # Invariants
//
//   - A secret stands in no event. The log has its SHA-256 alone, and the one
//     answer that makes a key is the only place where its secret is shown. A plain
//     hash is enough, and a slow one would only cost every request its time: a
//     secret is 256 random bits, so that nobody finds it by trying.
//   - What a key allows never changes. Who needs another makes another key.
//   - A key that was revoked or has ended never counts again.
//   - An access token is a key with an end and a parent; it ends with its parent
//     and makes no tokens of its own.
//
// Nothing here is personal: the name of a key is what an operator chose.
package access
