package pace

import (
	"math/bits"
	"sync"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// MaxBackoff limits the waits of throttles, probes, and breakers. They double from
// one second: 1, 2, 4 … 60 s.
const MaxBackoff = time.Minute

// Backoff returns the wait at a level; the first level is 0.
func Backoff(level int) time.Duration {
	if level >= bits.Len(uint(MaxBackoff/time.Second)) {
		return MaxBackoff
	}
	return time.Second << level
}

const (
	// FirstRetry is the wait after the first failure to record something, and
	// maxRetry the longest.
	FirstRetry = 50 * time.Millisecond
	maxRetry   = 5 * time.Second
)

// Failures is the backoff after failures in a row to record something, over all lanes.
// It is safe for concurrent use.
type Failures struct {
	mu      sync.Mutex
	backoff retry.Backoff // guarded by mu
}

// NewFailures returns Failures without a failure.
func NewFailures() *Failures {
	return &Failures{backoff: retry.Backoff{First: FirstRetry, Max: maxRetry}}
}

// Next records a failure and returns how long to wait after it.
func (f *Failures) Next() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.backoff.Next()
}

// Reset records a success.
func (f *Failures) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backoff.Reset()
}

// breakAfter is the number of calls in a row that must end in network faults,
// server errors, or lost responses before a lane treats WhatsApp as unavailable.
const breakAfter = 10

type breakerState uint8

const (
	breakerClosed  breakerState = iota
	breakerOpen                 // no calls before probeAt, then a single probe
	breakerProbing              // the probe is in progress
)

// A Breaker keeps a lane from spending its messages' attempts on an outage. The
// zero value is closed. A Breaker is not safe for concurrent use.
type Breaker struct {
	state breakerState
	level int // of the backoff
	// faults are the calls in a row that ended so, and last describes the last of them.
	faults  int
	last    string
	since   time.Time // zero if the breaker is closed
	probeAt time.Time
}

// An Outage describes why a breaker is open.
type Outage struct {
	// Since is when the breaker opened.
	Since time.Time
	// Failures is the number of calls in a row without a response.
	Failures int
	// LastFailure says how the last of them ended. It contains nothing personal.
	LastFailure string
	// NextProbeAt is the earliest time of the call that finds out whether WhatsApp responds again.
	NextProbeAt time.Time
}

// Outage returns why the breaker is open, or nil if it is closed.
func (b *Breaker) Outage() *Outage {
	if !b.Open() {
		return nil
	}
	return &Outage{Since: b.since, Failures: b.faults, LastFailure: b.last, NextProbeAt: b.probeAt}
}

// Open reports whether the breaker is open, whether or not a probe is in progress.
func (b *Breaker) Open() bool { return b.state != breakerClosed }

// ProbeAt returns the earliest time of the next probe, or the zero time if the
// breaker is closed.
func (b *Breaker) ProbeAt() time.Time { return b.probeAt }

// Allows reports whether a call can start, and whether it would be the single call
// that finds out whether WhatsApp responds again.
func (b *Breaker) Allows(now time.Time) (probe, ok bool) {
	switch b.state {
	case breakerOpen:
		return true, !now.Before(b.probeAt)
	case breakerProbing:
		return true, false
	default:
		return false, true
	}
}

// StartProbe records that the probing call starts.
func (b *Breaker) StartProbe() {
	if b.state == breakerOpen {
		b.state = breakerProbing
	}
}

// EndProbe records that the probing call is over, whatever its outcome. If Responded
// was not called, another probe can start.
func (b *Breaker) EndProbe() {
	if b.state == breakerProbing {
		b.state = breakerOpen
	}
}

// Fault records a call without a response from WhatsApp, and how it ended. probe reports
// whether it was the probing call.
func (b *Breaker) Fault(now time.Time, probe bool, failure string) {
	b.faults++
	b.last = failure
	switch {
	case probe:
		b.level++
	case b.Open() || b.faults < breakAfter:
		return
	}
	if b.state == breakerClosed {
		b.state, b.since = breakerOpen, now
	}
	b.probeAt = now.Add(Backoff(b.level))
}

// Responded records a call that WhatsApp responded to, whatever the response. While
// the breaker is open, only the probing call closes it: responses to other calls may
// be from before the outage.
func (b *Breaker) Responded(probe bool) {
	if b.Open() && !probe {
		return
	}
	*b = Breaker{}
}
