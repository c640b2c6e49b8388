// Package postgres keeps Waypost's read models in Postgres: the projections that
// fill them from the log, the queries that read them, and the leases by which
// processes share the work.
//
// # Invariants
//
//   - A table is written by one projection alone. Rows and the position they stand
//     at are one transaction, fenced by the position before: two runs of the same
//     group can't both write, and a batch handed over twice changes nothing.
//   - The status of a message is [message.Next] of the one before, here as in the
//     aggregate.
//   - The send work-list has one row for each open message and for no other.
//   - Nothing personal stands in the clear. A message's row holds it sealed under the
//     data key of its events, and keyed hashes to look it up by; an erasure blanks
//     both. A work item names its recipient by that key. What is in the schema waypost
//     can be dropped and built again from the log, erased or not, and comes out equal.
//
// The read model is written with synchronous_commit off: what a crash of Postgres
// takes, rows and position alike, is projected again. Leases are written with it on.
package postgres
