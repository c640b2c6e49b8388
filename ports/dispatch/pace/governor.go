package pace

import "time"

const (
	// A lane tries slightly more than WhatsApp accepted recently after raiseFirst at
	// the earliest. Whenever that was too much, the time doubles, up to maxRaise.
	// After a successful step, the next steps follow every raiseFirst.
	raiseFirst = 15 * time.Second
	maxRaise   = 4 * time.Minute
	// The first step raises the rate by one part in raiseStep. Steps double while
	// they succeed.
	raiseStep = 20
	// blockedBelow distinguishes a limit from a block: it is a block if fewer than
	// one part in blockedBelow of the rate was written in the second before the
	// refused call.
	blockedBelow = 8
)

// A governor finds the rate that WhatsApp accepts if that is less than the
// sender's. A refused call shows it immediately: it is the number of calls written
// in the second before. The lane then stays slightly below that and tries more from
// time to time. It starts with small steps, and makes them rarer if they fail.
//
// If WhatsApp refuses everything, that reveals nothing about the rate. The lane
// then starts with few calls and doubles them every second, up to the last known
// rate.
type governor struct {
	ceiling int // 0 for the sender's rate
	goal    int // the ceiling doubles up to goal
	until   time.Time
	before  int // the limit when the current stop began
	step    int
	every   time.Duration
	raiseAt time.Time
}

// refused records a refused call before which fits other calls were written within
// a second. The lane makes no calls before until.
func (g *governor) refused(rate, fits int, now, until time.Time) {
	again := now.Before(g.until) // the call was in flight when the stop began
	if !again {
		g.before = g.limit(rate, now)
		if g.step > 0 { // the last step was too much
			g.every = min(2*g.every, maxRaise)
		}
		g.every, g.step = max(raiseFirst, g.every), 0
	}
	if until.After(g.until) {
		g.until = until
	}
	allowed := fits - fits/raiseStep
	if fits >= g.before { // this many were accepted before
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
	g.raiseAt = g.until.Add(time.Second)
	if g.ceiling >= g.goal {
		g.raiseAt = g.until.Add(g.every)
	}
}

// limit returns the rate at now, given the sender's rate. It first makes all raises
// that are due.
func (g *governor) limit(rate int, now time.Time) int {
	for g.ceiling > 0 && !now.Before(g.raiseAt) {
		g.raise()
		if g.ceiling >= rate {
			*g = governor{}
		}
	}
	if g.ceiling > 0 {
		return min(rate, g.ceiling)
	}
	return rate
}

// raise raises the ceiling by one step and schedules the next one.
func (g *governor) raise() {
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
}
