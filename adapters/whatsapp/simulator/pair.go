package simulator

import "time"

// Meta's limit for one business number and one user: one message every 6 s, with bursts of up to 45 that are borrowed
// from future messages.
const (
	pairInterval = 6 * time.Second
	pairBurst    = 45
)

// pairs applies the pair limit. For each recipient, it stores the time at which the bucket is full again. A recipient
// with a full bucket needs no entry, so the size depends on the traffic of the last seconds.
type pairs struct {
	fullAt  map[string]time.Duration
	sweepAt int
}

// admit reports whether a message to recipient can pass at now, and counts it if so.
func (p *pairs) admit(recipient string, now time.Duration) bool {
	full := max(p.fullAt[recipient], now)
	if full+pairInterval-now > pairBurst*pairInterval {
		return false
	}
	if p.fullAt == nil {
		p.fullAt, p.sweepAt = make(map[string]time.Duration), 1024
	}
	if len(p.fullAt) >= p.sweepAt {
		for other, at := range p.fullAt {
			if at <= now {
				delete(p.fullAt, other)
			}
		}
		p.sweepAt = max(1024, 2*len(p.fullAt))
	}
	p.fullAt[recipient] = full + pairInterval
	return true
}
