// Package postgres keeps Waypost's read models in Postgres: the projections that fill them
// from the event log, the queries that read them, and the leases that distribute work
// among processes.
//
// # Invariants
//
//   - Exactly one projection writes each table. Its rows and its position change in one
//     transaction, fenced by the previous position: two runs of the same group can't both
//     write, and applying a batch twice changes nothing.
//   - A message's status is [message.Next] of the previous one, here as in the aggregate,
//     and its work item is what work.Apply gives.
//   - The work list has one row for each open message and for no other.
//   - No personal data is in plain text. A message's row contains it sealed under the data
//     key of its events, and keyed hashes to look it up by; an erasure removes both. A work
//     item names its recipient by that key. Everything in the schema waypost can be dropped
//     and rebuilt from the event log, erased or not, with equal rows.
//
// The read model is written with synchronous_commit off: what a crash of Postgres loses,
// rows and positions alike, is projected again. Leases are written with it on.
package postgres
