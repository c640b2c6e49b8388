// Package httpapi is Waypost's HTTP port: the server with its limits, the endpoint for
// WhatsApp's webhooks, and the health checks. The caller provides the handlers for GraphQL
// and the web UI.
//
// # Invariants
//
//   - A webhook is parsed only after its signature was verified over the received bytes.
//     The response is 200 only after the webhook is in the event log.
//   - Without an app secret, webhooks are rejected. Without a verify token, verifications
//     are rejected.
//   - No body, phone number, token, or key is logged.
package httpapi
