// Package simulator is a WhatsApp Cloud API to develop and measure against: it takes the calls that Meta's
// takes, validates and answers them as Meta documents, and owes its client the same webhooks, signed.
//
// What it promises, and what a test of a sender may rely on:
//
//   - A message that was accepted gets all of its statuses (unless webhook_drop_rate takes one away on
//     purpose), however often the receiver fails or restarts: a webhook that is not answered 200 within
//     10 s is repeated after 0, 1, 2, 4 … 60 s until it is.
//   - What waits is kept in memory and bounded. At the bound calls wait instead of statuses being dropped,
//     and a caller that gives up waiting was not accepted.
//   - A call's arrival is when the kernel received it (on Linux; elsewhere the first moment at which this
//     program sees it), so a busy machine, on which calls are noticed late and in bunches, does not take an
//     even stream for a burst. The largest count in any sliding second is exact for these stamps, and the
//     throughput limit is decided on them.
//   - The fate of a call is drawn from the seed, its message and how often that message was called before.
//     A run with the same seed and the same messages meets the same faults, however calls interleave.
//
// Memory: about 300 bytes for an accepted message whose statuses are not all delivered (at most a million
// updates are owed), 50 bytes for each message remembered to find duplicates (the last 2 to 4 million),
// and 250 bytes for each call in the log (the last 262,144).
package simulator
