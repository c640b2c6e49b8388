// Package whatsapp implements the client side of Meta's WhatsApp Cloud API: it builds and makes calls, converts their
// outcome to the domain's terms, and parses webhooks.
//
// Guarantees:
//
//   - A call ends as accepted, refused, lost, or not called. It is refused only if WhatsApp certainly did not accept the
//     message. Once any part of the request may have been written, only a readable response settles the outcome.
//   - Failures are distinguished by WhatsApp's error code. The HTTP status decides only if there is no readable code. The
//     meaning of each code is defined only in errors.csv.
//   - A call is written at most once: no redirect is followed, and the Idempotency-Key header is never set, because
//     net/http would take it as permission to write the request again.
//   - Parsing a webhook never fails. Everything understood is passed on, and the rest is kept unchanged.
//
// The package has no clock of its own. Times come from WhatsApp or from the caller.
package whatsapp
