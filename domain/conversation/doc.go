// Package conversation defines what a sender knows about a person that it talks to: whether
// WhatsApp's customer service window is open, and whether the person refused marketing.
//
// # Invariants
//
//   - Times are WhatsApp's own, in whole seconds, so that late, repeated, and reordered webhooks
//     lead to the same result. [Conversation.Merge] is commutative and idempotent.
//   - The latest choice of a person counts, by its time, whatever it was learned from.
//   - What identifies the person, and their words, are in the member "personal".
package conversation
