// Package repository loads aggregates from their streams and appends the events that
// commands decide on.
//
// Execute is the one loop that changes an aggregate: load, decide, append, and start
// over if another writer appended first. The repositories cache what they loaded. That
// is safe because every append names the revision that its decision was based on. Changes
// of one message also wait for each other within a process, which saves the repetitions.
package repository
