// Package message is the aggregate of one message: from the moment a business
// hands it over until WhatsApp has told the last about it.
//
// A decision is a function of the folded message, an input and the time; it
// answers the events to record, and none at all when it was made before. The
// log decides: a decision counts only once its events stand in the stream at
// the revision it was made from.
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
//   - The status never goes back, but by an operator's Requeued: SENT, DELIVERED
//     and READ only rise, and any order and repetition of one call's statuses ends
//     in the same state.
//   - Once one of its calls is accepted a message is closed: nothing sends it
//     again, and what comes of a call still open only adds facts.
//   - A call is opened by SendAttempted and closed by exactly one of Sent, Failed,
//     Deferred and OutcomeUnknown; a lost one may still be settled by Sent.
//   - At most one call is open at a time.
//   - Every message stands in exactly one column of the ledger.
//
// # Glossary
//
// A call is one request to WhatsApp. An attempt is a call that uses the retry
// budget; throttled, deferred and probing calls do not. A lost answer is a call
// whose request may have been taken though no readable answer came. To settle is
// to learn of such a call's acceptance from a status that echoes it.
package message
