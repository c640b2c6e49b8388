// Package simulation runs dispatch against a world of models in virtual time, and
// checks that what the platform promises holds whatever breaks.
//
// The platform's own code runs as it is: the lanes and the router of
// ports/dispatch, the use cases of app/command, the decisions of domain/message
// and domain/sender. Around it stand models of what it talks to: the log with
// expected revisions and idempotent appends, the work-list that a projector fills
// with lag, the leases, and the Cloud API with webhooks that come late, twice, out
// of order, and again until they are answered. A seed decides everything: who
// sends what, which processes there are, what fails when and how.
//
// # Invariants
//
// Run answers what was violated of these:
//
//   - Nothing is lost: what was accepted stands in the log, ends, and is in
//     exactly one column of the ledger.
//   - No request is written without its SendAttempted in the log before it, and
//     none is written twice. An outcome follows, or the message has ended.
//   - Never two requests in flight for one message.
//   - No request after a status of the message was acknowledged, but by an
//     operator's decision; and none that waiting as configured would have spared.
//   - A retry comes no sooner than its delay of 1, 2 or 4 s.
//   - At most the rate in any 1.005 s by the times of writing, over all owners.
//   - A state that is final stays; held and paused senders are not called, nor are
//     cancelled and expired messages.
//   - The work-list is what the log folds to.
//
// # Determinism
//
// Run must be called within a testing/synctest bubble. There time stands still
// while anything can go on, and every step of a model (a request that arrives, an
// answer that comes back, a commit, a crash) takes a time drawn by the seed and
// what the step is about, never by who comes first, and falls on a nanosecond of
// its own. So virtual time orders all steps, whatever the Go scheduler does in
// between, and the same seed gives the same history: Report.Digest is over every
// event of the log and every request written, with the instant of each.
//
// What this cannot order is what the platform's own goroutines do within one
// instant: which case a select takes when two are ready, and which of two handlers
// comes first. The models are made so that it seldom matters, and the tests run on
// one processor. What is left: about one seed in a thousand can go two ways. So a
// replay is known by the digest: it plays the seed until it comes to the very same
// history, mostly the first time. The tests hold how rare the others are.
package simulation
