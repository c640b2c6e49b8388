package dispatch

import (
	"math/bits"
	"time"
)

// maxBackoff bounds the waits of throttles, probes and breakers, which double
// from one second: 1, 2, 4 … 60 s.
const maxBackoff = time.Minute

// calmAfter is how long all must have gone well after a throttle until the next
// one begins with the shortest wait again.
const calmAfter = 10 * time.Second

func backoffAt(level int) time.Duration {
	if level >= bits.Len(uint(maxBackoff/time.Second)) {
		return maxBackoff
	}
	return time.Second << level
}

// throttle is the state of one scope that WhatsApp asked to slow down.
type throttle struct {
	level int
	until time.Time
}

// hit takes in that a call was throttled and answers until when the scope waits.
// Calls that were under way when the scope began to wait do not make it longer,
// but by what the answer itself asks for.
func (t *throttle) hit(now time.Time, atLeast time.Duration) time.Time {
	wait := atLeast
	if !now.Before(t.until) {
		if now.Sub(t.until) > calmAfter+backoffAt(t.level) {
			t.level = 0
		}
		wait = max(wait, backoffAt(t.level))
		t.level++
	}
	if until := now.Add(wait); until.After(t.until) {
		t.until = until
	}
	return t.until
}

// breakAfter is how many calls in a row must have ended in network faults,
// server errors or lost answers until a lane takes WhatsApp for away.
const breakAfter = 10

// breaker stops a lane from spending its messages' attempts on an outage.
type breaker struct {
	faults  int
	level   int
	probeAt time.Time // zero: closed
	probing bool
}

func (b *breaker) open() bool { return !b.probeAt.IsZero() }

// allows reports whether a call may start, and whether it is the single one
// that finds out whether WhatsApp answers again.
func (b *breaker) allows(now time.Time) (probe, ok bool) {
	if !b.open() {
		return false, true
	}
	return true, !b.probing && !now.Before(b.probeAt)
}

// fault takes in a call to which WhatsApp did not answer.
func (b *breaker) fault(now time.Time, probe bool) {
	b.faults++
	switch {
	case probe:
		b.level++
	case b.open() || b.faults < breakAfter:
		return
	}
	b.probeAt = now.Add(backoffAt(b.level))
}

// answered takes in a call to which WhatsApp answered, whatever it said. While
// the breaker is open only the probing call counts: the answers of others may be
// from before.
func (b *breaker) answered(probe bool) {
	if b.open() && !probe {
		return
	}
	*b = breaker{}
}
