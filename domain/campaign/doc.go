// Package campaign implements the aggregate of paused campaigns. A campaign is the messages with
// one label. Nothing else about a campaign is recorded, so all pauses are in one stream.
//
// Invariants: a label has at most one pause at a time. A pause covers the messages of all senders
// that have its label, those that are queued later too, until the campaign is resumed.
package campaign
