// Package httpapi is Waypost's HTTP port: the server with its bounds, the
// webhooks of WhatsApp and the health checks. GraphQL and the pages are handlers
// that it is given.
//
// # Invariants
//
//   - A webhook is parsed only after its signature was checked over the bytes as
//     they came, and answered 200 only after it stands in the log.
//   - With no app secret or no verify token set, webhooks and verifications are
//     refused.
//   - No body, number, token or key is logged.
package httpapi
