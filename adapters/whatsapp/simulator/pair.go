package simulator

import "time"

// Meta's limit for one business number and one user: a message in 6 s, with bursts of up to 45 that are
// borrowed from the messages to come.
const (
	pairInterval = 6 * time.Second
	pairBurst    = 45
)

// pairs applies the pair limit. It keeps, for each recipient, the instant at which its bucket is full again;
// a recipient whose bucket is full needs no entry, so the size follows the traffic of the last seconds.
type pairs struct {
	fullAt  map[string]time.Duration
	sweepAt int
}

// admit tells whether a message to recipient may pass at now, and counts it if so.
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
