// Package simulation runs dispatch in virtual time against models of everything around
// it, and checks that Waypost's guarantees hold whatever fails.
//
// Waypost's own code runs unchanged: the lanes and the router of ports/dispatch, the use
// cases of app/command, and the decisions of domain/message and domain/sender. The
// models are what it talks to: the event log with expected revisions and idempotent
// appends, the work list that a projector fills with lag, the leases, and the Cloud API
// with webhooks that are late, repeated, out of order, and sent again until they are
// acknowledged. A seed decides everything: which messages are sent, which processes exist,
// and what fails when and how.
//
// # Invariants
//
// Run returns the violations of these:
//
//   - Nothing is lost: an accepted message is in the event log, ends, and is in exactly
//     one column of the ledger.
//   - No request is written without its SendAttempted in the event log before it, and
//     none is written twice. An outcome follows, or the message has ended.
//   - There are never two requests in flight for one message.
//   - No request follows an acknowledged status of the message, unless an operator
//     decides so. No request follows if waiting as configured would have avoided it.
//   - A retry comes no sooner than its delay of 1, 2, or 4 s.
//   - At most the rate of requests is written in any 1.005 s, over all owners.
//   - A final state never changes. Held and paused senders and paused campaigns are not
//     called, and neither are cancelled and expired messages.
//   - The work list equals the fold of the event log.
//
// # Determinism
//
// Run must be called in a testing/synctest bubble. Time doesn't advance there while
// anything can run. Every step of a model (a request that arrives, a response, a commit,
// a crash) takes a time drawn from the seed and from what the step is about, never from
// the order of the steps, and ends at a nanosecond that no other step has. So virtual
// time orders all steps, whatever the Go scheduler does in between, and the same seed
// gives the same history: Report.Digest covers every event of the log and every request
// written, with the instant of each.
//
// This cannot order what Waypost's own goroutines do within one instant: which case a
// select takes if two are ready, and which of two handlers runs first. The models make
// that rarely matter, and the tests run on one processor. About one seed in a thousand
// can still have two histories. So the digest identifies a replay: it runs the seed
// until it reaches the same history, mostly the first time. The tests check how rare
// the other seeds are.
package simulation
