// Package operation implements the aggregate of bulk operations: one decision of an
// operator about many messages, which continues after the response to its request.
//
// An operation is recorded only in the log: first the messages that it is about (stream
// "selection-{id}"), then its start, its progress, and its end (stream "operation-{id}").
// So whatever happens to the process or to Postgres, any process can find the remaining
// work. The filter that found the messages is not recorded, because it can name a person.
//
// Invariants: the selection is complete before the first message is changed, and never
// changes. Through never decreases. Messages up to Through are not counted again.
package operation
