// Package dispatch sends what is due: it hands the items of the send work-list
// to a Watermill router, at each sender's rate, and records what came of every
// call.
//
// # Invariants
//
//   - SendAttempted stands in the log before a call is made, and what came of the
//     call after it. An outcome is never dropped while the store can be reached.
//   - A lane, that is a sender, is served by one process at a time: the one that
//     holds its lease. It stops by its own monotonic clock a second before the
//     lease ends, so two owners never add up in one window.
//   - A lane that goes to another process is given back when its last writes have
//     left the window of the rate, so it is never above its rate over both.
//   - No lane writes more than its rate of calls in any window of 1.005 s. What
//     comes in counts into the rate, and where WhatsApp takes less the lane finds
//     out how much.
//   - SendAttempted is recorded ahead of the call, as long as that took at most of
//     late and at most 0.4 s. The right to write a call goes to the most urgent of
//     those that stand recorded, so no call waits for another's record; one that
//     gets none within a second is recorded as not called, and taken up again.
//   - No call is written of a message to which something has happened since then: a
//     status that tells of an earlier call, or the erasure of its recipient.
//   - No recipient gets more of a lane than Meta allows: a message in 6 s, and
//     bursts of 45. Messages that wait for a recipient or a template wait in memory
//     up to a bound and in the work-list beyond, and slow no others.
//   - An item that was handed out is not handed out again before the work-list
//     has seen the last event recorded for it.
//   - What needs no call (lost answers, expiry, settlement by policy) takes no
//     slot and goes on for paused and held lanes.
package dispatch
