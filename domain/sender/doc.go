// Package sender is the aggregate of a sender: a phone number of a business on
// WhatsApp, with its rate, its token and whether its messages may go out.
//
// A decision is a function of the folded sender and an input; it answers the
// events to record, and none at all when they would change nothing.
//
// # Invariants
//
//   - A sender is registered once and never goes away; its id and its phone
//     number never change.
//   - A phone number belongs to one sender: the stream of the number decides.
//   - Access tokens stand in no event. An event names only which version of the
//     token in the vault counts.
//   - People pause and resume, by priority; the platform holds and releases the
//     sender as a whole. Neither undoes the other.
//
// Nothing here is personal: name and display phone number are those of a business.
package sender
