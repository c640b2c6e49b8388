// Package dispatch sends due messages. It passes items of the work list to a
// Watermill router at each sender's rate and records the outcome of every call.
//
// # Rooms
//
// A Dispatcher connects the packages below. Each of them has its own state and its
// own lock, and imports only packages to its right:
//
//	dispatch ─► feed, attempt, health ─► lane ─► pace
//	            attempt ─► guard
//	         ─► ownership
//
// Their tasks:
//
//   - ownership keeps this process's lease and its share of the lanes.
//   - health keeps lanes in step with their senders: rate, pauses, token, and hold.
//   - feed fetches items from the work list and emits each one in its turn.
//   - lane is the queue of one sender: it decides which message is next, which call gets
//     a slot, and which messages a recipient, a template, or a hold keeps back.
//   - pace is the speed: slots, the learned rate, throttles, breakers, and backoff.
//   - guard knows what recipients' opt-outs and 24-hour windows forbid.
//   - attempt works on one item: decide, record, call, and record the outcome.
//
// # The router
//
// A Watermill router connects feed, a Watermill subscriber, to attempt. It runs the
// handler of each message in a goroutine of its own and reports the result to feed: an
// ack if the handler succeeds, a nack if it fails or panics. On shutdown it closes the
// subscriber and waits for running handlers. It has no queue, no rate, no retries, and
// no middleware: lanes decide what is sent when, and the event log decides what is
// retried. The subscriber is our own, because Watermill's SQL subscribers keep one
// message in flight, and a transaction open while the handler runs.
//
// # Invariants
//
//   - SendAttempted is recorded before its call is made, and the outcome after it. An
//     outcome is never dropped while the event store is reachable.
//   - One process at a time serves a lane (that is, a sender): the holder of its lease.
//     By its own monotonic clock, it stops one second before the lease expires, so the
//     calls of two owners never add up in one rate window.
//   - A process releases a lane to another only after its last writes have left the rate
//     window, so the lane stays within its rate across both owners.
//   - A lane writes at most its rate of calls in any 1.005 s. Inbound messages count
//     toward the rate. If WhatsApp accepts less, the lane finds the limit and adapts.
//   - SendAttempted is recorded ahead of the call by about the longest time that
//     recording took recently, at most 0.4 s. Slots go to the most urgent recorded
//     calls, so no call waits for another call to be recorded. A call that gets no slot
//     within one second is recorded as not made and picked up again.
//   - A call is not written if its message has changed since then: a status of an
//     earlier call arrived, or the recipient was erased.
//   - A message that the recipient's opt-out or closed window forbids is not called. That is
//     decided when the call is due, and checked once more before it is written.
//   - A lane stays within Meta's limit per recipient: one message every 6 s, with bursts
//     of 45. Messages waiting for a recipient or a template stay in memory up to a limit,
//     and the rest in the work list. They don't delay other messages.
//   - A dispatched item is not dispatched again until the work list has projected the
//     last event recorded for it.
//   - While the webhooks that this process records are behind, only OTP messages get new
//     calls. Calls whose SendAttempted is recorded continue. Every few seconds, other
//     messages get calls for a moment, whatever arrives.
//   - Work without a call (lost responses, expiry, settlement by policy, overdue
//     deliveries) needs no slot and continues on paused and held lanes.
//   - Undelivered messages are not in the work list. The read model of messages names those
//     whose delivery is soon due, and the event log decides whether it is overdue.
package dispatch
