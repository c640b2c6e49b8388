// Package template implements the aggregate of a message template: what WhatsApp says about
// one template of a business account in one language.
//
// WhatsApp decides everything about a template. Waypost only learns of it, from webhooks and
// by listing the templates of an account. So a decision compares a report with what is known
// and returns the events to append, or none if the report is not new.
//
// # Invariants
//
//   - Status, category, quality, and contents are learned independently, each with the time
//     of the report. An older report never replaces a newer one, so reports can arrive in
//     any order and more than once.
//   - WhatsApp gives webhooks a time in whole seconds. Of two different reports of the same
//     second, the one that arrives last wins; a repeated one changes nothing.
//   - A listing is made later than it says: see ListingMargin.
//
// Nothing here is personal: a template belongs to a business, and the examples of values that
// a business gave for it are not stored.
package template
