// Package operation is the aggregate of bulk operations: one decision of a
// person on many messages, which goes on after its request was answered.
//
// An operation is recorded in the log, and nowhere else: first the messages it
// is about (stream "selection-{id}"), then that it began, how far it has come
// and that it is over (stream "operation-{id}"). So whatever happens to the
// process or to Postgres, any process finds what is left to do. The filter that
// found the messages is not recorded: it may name people.
//
// Invariants: the selection stands complete before the first message is changed,
// and never changes. Through never goes back. What was counted up to Through is
// not counted again.
package operation
