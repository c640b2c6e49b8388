// Package inbound holds the events of what WhatsApp tells a business beside the
// statuses of its messages: what users write, statuses whose message is not
// known yet, changes of the account, and what could not be understood.
//
// # Invariants
//
//   - Nothing is decided about them: they are recorded as they came, since
//     WhatsApp has no way to be asked for them again.
//   - Their ids are derived from what they tell ([EventID]), so that a webhook
//     that comes again records nothing twice.
//   - What is personal stands under the member "personal": wamids, names,
//     numbers and every raw body.
package inbound
