// Package inbound defines the events for everything that WhatsApp reports to a business in
// addition to the statuses of its messages: messages from users, messages that it sent
// without Waypost, statuses of messages that are not known yet, changes of the account, and
// webhooks that could not be parsed.
//
// # Invariants
//
//   - Nothing is decided about them. They are recorded as received, because WhatsApp can't
//     be asked for them again.
//   - Their IDs are derived from their contents ([EventID]), so that a repeated webhook
//     records nothing twice.
//   - All personal data is in the member "personal": wamids, names, numbers, and every raw
//     body.
package inbound
