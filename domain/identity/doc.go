// Package identity defines which names of a person belong together: WhatsApp knows a person
// by a phone number, by a business-scoped user ID, or by both, and either can change.
//
// # Invariants
//
//   - Only what WhatsApp says about one person in one object links their names. A contact card
//     that someone forwards is another person's, and links nothing.
//   - Nothing of a link is in plain text. It is sealed under a key of its own, which is
//     destroyed with the first of its names that is erased: an erased person has no links, and
//     a link that is recorded later brings nothing back.
//   - A phone number can pass to another person, who has another user ID. Then it no longer
//     belongs to the first one.
package identity
