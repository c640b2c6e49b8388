// Package sender implements the aggregate of a sender: a phone number of a business on
// WhatsApp, with its rate, its token, and whether its messages can be sent.
//
// Decisions are functions of the sender's current state and an input. They return the
// events to append, or none if these would change nothing.
//
// # Invariants
//
//   - A sender is registered once and never removed. Its ID and its phone number never
//     change.
//   - A phone number belongs to one sender. The number's stream decides which.
//   - No event contains an access token. Events name only the version of the token in the
//     vault.
//   - Operators pause and resume a sender by priority; Waypost holds and releases it as a
//     whole. Neither undoes the other.
//
// Nothing here is personal: the name and the display phone number belong to a business.
package sender
