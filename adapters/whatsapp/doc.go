// Package whatsapp speaks Meta's WhatsApp Cloud API: it builds the calls, makes them, says what came of
// them in the domain's terms, and reads the webhooks.
//
// What it promises:
//
//   - A call ends as accepted, refused, lost or not called, and "refused" is said only where the message is
//     surely not with WhatsApp. Once any of the request may have been written, only an answer that can be
//     read ends the doubt.
//   - Failures are told apart by WhatsApp's error code. The HTTP status decides only where there is no code
//     that can be read. What each code means stands in errors.csv and nowhere else.
//   - A call is written at most once: no redirect is followed, and the header Idempotency-Key is never set,
//     since net/http would take it as leave to write the request again.
//   - Parsing a webhook never fails. What is understood is handed on, the rest is kept as it came.
//
// The package holds no clock of its own; times are those of WhatsApp, or are given.
package whatsapp
