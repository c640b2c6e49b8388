// Package campaign implements the aggregate of paused campaigns. A campaign is the messages with
// one label. Nothing else about a campaign is recorded, so all pauses are in one stream.
//
// Invariants: a pause covers the messages of all senders that have its label, including messages
// that are queued later, until the campaign is resumed. A label has at most one pause at a time,
// unless the label of a pause can't be read when the next one begins: then both end together. A pause
// whose label can't be read covers all messages with labels.
package campaign
