package dispatch

import "time"

const (
	// raiseFirst and maxRaise bound the time after which a lane tries a little more
	// than WhatsApp took of late: it doubles whenever that was too much. Once a step
	// went well the next ones come after raiseFirst.
	raiseFirst = 15 * time.Second
	maxRaise   = 4 * time.Minute
	// raiseStep is the first such step, a part of the rate; steps double while all
	// goes well.
	raiseStep = 20
	// blockedBelow tells a limit from a block: WhatsApp refused a call before which
	// less than that part of the rate had passed in a second.
	blockedBelow = 8
)

// governor finds the rate that WhatsApp takes where that is less than the
// sender's. A refused call says it at once: so many were taken in the second
// before. The lane then stays a little below and tries more from time to time,
// first a little and seldom when that was in vain.
//
// When WhatsApp refuses everything that says nothing of the rate: the lane begins
// with few calls and doubles them every second up to what was known before.
type governor struct {
	ceiling int // 0: the sender's rate
	goal    int // up to which it doubles
	till    time.Time
	before  int // the limit when the present stop began
	step    int
	every   time.Duration
	raiseAt time.Time
}

// refused takes in a refused call before which fits others were written within a
// second; the scope stands still until then.
func (g *governor) refused(rate, fits int, now, until time.Time) {
	again := now.Before(g.till) // it was under way when the stop began
	if !again {
		g.before = g.limit(rate, now)
		if g.step > 0 { // it was the last step that was too much
			g.every = min(2*g.every, maxRaise)
		}
		g.every, g.step = max(raiseFirst, g.every), 0
	}
	if until.After(g.till) {
		g.till = until
	}
	allowed := fits - fits/raiseStep
	if fits >= g.before { // as many had been taken before
		allowed = min(allowed, g.before-1)
	}
	allowed = max(1, allowed)
	switch blocked := fits == 0 || fits < g.before/blockedBelow; {
	case blocked && again:
	case blocked:
		g.goal = max(g.goal, g.before)
		g.ceiling = max(1, g.before/blockedBelow)
	case again:
		g.ceiling = min(g.ceiling, allowed)
		g.goal = g.ceiling
	default:
		g.ceiling = min(g.before, allowed)
		g.goal = g.ceiling
	}
	g.raiseAt = g.till.Add(time.Second)
	if g.ceiling >= g.goal {
		g.raiseAt = g.till.Add(g.every)
	}
}

// limit is the rate that counts now.
func (g *governor) limit(rate int, now time.Time) int {
	for g.ceiling > 0 && !now.Before(g.raiseAt) {
		if g.ceiling < g.goal {
			g.ceiling = min(2*g.ceiling, g.goal)
		} else {
			g.step++
			g.ceiling += max(1, g.ceiling<<min(g.step-1, 4)/raiseStep)
			g.goal = g.ceiling
		}
		wait := time.Second
		switch {
		case g.ceiling < g.goal:
		case g.step == 0:
			wait = g.every
		default:
			wait = raiseFirst
		}
		g.raiseAt = g.raiseAt.Add(wait)
		if g.ceiling >= rate {
			*g = governor{}
		}
	}
	if g.ceiling > 0 {
		return min(rate, g.ceiling)
	}
	return rate
}
