// Package coverage decides whether webhooks were recorded completely enough to know that a
// person wrote nothing.
//
// # Breaks
//
// Webhooks are recorded by processes that send heartbeats. A time in which one of them could
// not record them, or in which it may have died, is a break. WhatsApp repeats a webhook that
// was not accepted: at once, and then with growing pauses. After a break of at most MaxBreak,
// everything that came in it has come again once the break is bridged. Then it is as if there
// had been no break. Breaks of which one begins before the other is bridged count as one, from
// the begin of the first, because WhatsApp can repeat a webhook during each of them. After a
// longer break, or after MaxBreaks of short ones, coverage begins again from nothing.
//
// # Invariants
//
//   - Nothing is certain about a number of which no webhook came: its app can be subscribed to
//     nothing.
//   - A break is never missed: a process that starts reports one since the last heartbeat of
//     all, and a process that is silent counts as dead.
package coverage

import "time"

const (
	// Window is how long webhooks must have been recorded without a break before a closed
	// window is certain. It is WhatsApp's customer service window.
	Window = 24 * time.Hour
	// MaxBreak is the longest break that WhatsApp's redelivery bridges within minutes.
	MaxBreak = time.Minute
	// MaxBreaks is the longest time that short breaks can follow each other.
	MaxBreaks = 10 * time.Minute
	// responseTime is how long WhatsApp waits for the response to a webhook before it repeats
	// it, and some seconds more.
	responseTime = 15 * time.Second
	// bridgeFactor is how much longer than the break its bridging takes. Pauses that double are
	// never longer than the time since the first delivery.
	bridgeFactor = 3
)

// Recording is how completely this installation recorded webhooks, as of a heartbeat. The zero
// value is that of an installation that never did.
type Recording struct {
	// Since is when it began to record them without a break longer than MaxBreak.
	Since time.Time
	// HeardAt is when the last process reported that it can record them.
	HeardAt time.Time
	// BridgedAt is when what came in the last short break, which began at BrokeAt, has come
	// again.
	BrokeAt   time.Time
	BridgedAt time.Time
}

// Resume returns the recording after a break since brokeAt, which ends now. If brokeAt is zero,
// nothing was recorded before.
func (r Recording) Resume(brokeAt, now time.Time) Recording {
	if r.Since.IsZero() || brokeAt.IsZero() || now.Sub(brokeAt) > MaxBreak {
		return Recording{Since: now, HeardAt: now}
	}
	if brokeAt.Before(r.BridgedAt) && r.BrokeAt.Before(brokeAt) {
		brokeAt = r.BrokeAt
	}
	lasted := max(0, now.Sub(brokeAt))
	if lasted > MaxBreaks {
		return Recording{Since: now, HeardAt: now}
	}
	r.HeardAt, r.BrokeAt = now, brokeAt
	if bridged := now.Add(responseTime + bridgeFactor*lasted); bridged.After(r.BridgedAt) {
		r.BridgedAt = bridged
	}
	return r
}

// Number is what is known about the webhooks of a phone number.
type Number struct {
	// Since is when the first of them came, without a pause longer than Window since.
	Since time.Time
	// HeardAt is when the last one came.
	HeardAt time.Time
}

// Hear returns what is known about a number after one of its webhooks.
func (n Number) Hear(now time.Time) Number {
	if n.Since.IsZero() || now.Sub(n.HeardAt) > Window {
		n.Since = now
	}
	n.HeardAt = now
	return n
}

// Coverage is how completely the webhooks of one number were recorded.
type Coverage struct {
	Recording Recording
	Number    Number
	// ConfirmedAt is the time until which every process that records webhooks has reported.
	ConfirmedAt time.Time
}

// KnownFrom returns the time from which it is certain, for every person, whether their window is
// closed, if no break comes. It is zero if no webhook of the number came within Window.
func (c Coverage) KnownFrom(now time.Time) time.Time {
	if c.Recording.Since.IsZero() || c.Number.Since.IsZero() || now.Sub(c.Number.HeardAt) > Window {
		return time.Time{}
	}
	since := c.Recording.Since
	if c.Number.Since.After(since) {
		since = c.Number.Since
	}
	return since.Add(Window)
}

// Known reports whether it is certain, for every person, whether their window is closed, except
// while a short break is being bridged.
func (c Coverage) Known(now time.Time) bool {
	from := c.KnownFrom(now)
	return !from.IsZero() && !now.Before(from)
}
