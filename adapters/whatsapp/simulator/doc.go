// Package simulator implements a WhatsApp Cloud API for development and measurements: it accepts the same calls as Meta's
// API, validates them and responds as Meta documents, and sends its client the same signed webhooks.
//
// Guarantees, which a sender's test can rely on:
//
//   - An accepted message gets all of its statuses (unless webhook_drop_rate removes one on purpose), however often the
//     receiver fails or restarts: a webhook without the response 200 within 10 s is repeated after 0, 1, 2, 4 … 60 s until
//     it gets one.
//   - Pending updates are kept in memory, up to a limit. At the limit, calls wait instead of statuses being dropped, and a
//     caller that stops waiting was not accepted.
//   - A call's arrival is the time at which the kernel received it (on Linux; elsewhere, the first moment at which this
//     process sees it). So a busy machine, on which calls are noticed late and in bunches, does not mistake an even stream
//     for a burst. The largest count in any sliding second is exact for these stamps, and the throughput limit uses them.
//   - A user who writes opens the service window at that moment, before the webhook is sent. With enforce_window, a message
//     is refused exactly from the end of window_length on.
//   - The fate of a call is drawn from the seed, its message, and the number of earlier calls of that message. A run with
//     the same seed and the same messages meets the same faults, however calls interleave.
//
// Memory: about 300 bytes for an accepted message with undelivered statuses (at most a million updates are pending), 50
// bytes for each message remembered to detect duplicates (the last 2 to 4 million), and 250 bytes for each call in the log
// (the last 262,144).
package simulator
