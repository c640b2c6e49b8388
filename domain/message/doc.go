// Package message implements the aggregate of one message, from the request that queues it
// to the last status from WhatsApp.
//
// Decisions are pure functions of the message's current state, an input, and the time.
// They return the events to append, or none if the decision was already made. A decision
// takes effect only when its events are in the stream at the revision it was based on.
//
//	QUEUED ──SendAttempted──► SENDING ──Sent──► SENT ──Delivered──► DELIVERED ──Read──► READ
//	  ▲  ▲                     │ │ │ │            │ Failed after acceptance
//	  │  └──Deferred───────────┘ │ │ │            ▼
//	  │                          │ │ └─Failed──► FAILED
//	  │      RETRYING ◄──────────┘ │             DEAD_LETTERED ──Requeued──► QUEUED
//	  │         └──SendAttempted   │                 ▲        └─Discarded──► DISCARDED
//	  │                     OutcomeUnknown           │
//	  │                            ▼                 │ attempts used up, or policy
//	  │                        AMBIGUOUS ────────────┘
//	  └ Cancelled, Expired end QUEUED and RETRYING (Expired also AMBIGUOUS, instead of a resend)
//
// # Invariants
//
//   - The status never moves backward, except when an operator requeues the message. SENT,
//     DELIVERED, and READ only advance. The statuses of one call lead to the same state in
//     any order and with any repetition.
//   - A message is closed when one of its calls is accepted: Waypost doesn't send it again,
//     and the outcome of a call that is still open only adds facts.
//   - SendAttempted opens a call. Exactly one of Sent, Failed, Deferred, and OutcomeUnknown
//     closes it. A later Sent can still settle a lost call.
//   - At most one call is open at a time.
//   - Every message is in exactly one column of the ledger.
//
// # Glossary
//
// A call is one request to WhatsApp. An attempt is a call that uses the retry budget;
// throttled, deferred, and probe calls don't. A response is lost if WhatsApp may have
// accepted the request but no readable response arrived. To settle a call is to learn from
// a status that echoes it that WhatsApp accepted it.
package message
