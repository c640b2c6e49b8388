// Package pace decides how fast calls to WhatsApp are made: when a lane's next call can
// be written, how long to wait after a throttle or an outage, and how long before a call
// its SendAttempted is recorded.
//
// It knows nothing about lanes, the event log, or the work list. Callers pass the time
// in. A Limiter and its Slots share a lock. Throttles, Recording, and Failures have locks
// of their own. All of these are safe for concurrent use. A Breaker belongs to one lane,
// whose lock guards it.
package pace
