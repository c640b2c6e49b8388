package dispatch

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
)

// Meta's limit for one number and one recipient: a message in 6 s, and bursts of
// up to 45 that are borrowed from the messages to come.
// Source: Meta's page on throughput, "pair rate limits".
const (
	pairInterval = 6 * time.Second
	pairBurst    = 45
	// pairMargin is how much later than allowed a message goes whose recipient had
	// to wait, so that the way to WhatsApp does not make it early.
	pairMargin = 250 * time.Millisecond
	// maxPairLevel makes 4^4 s the longest wait, as Meta advises for a pair.
	maxPairLevel = 4

	// templateWait and maxTemplateWait bound the waits of a template's hold, which
	// double: each ends with a call, and WhatsApp pauses a template for hours.
	templateWait    = time.Minute
	maxTemplateWait = 16 * time.Minute

	// maxHeld is how many items of one gate a lane keeps in memory; the others are
	// left in the work-list until it opens.
	maxHeld = 8
	// maxSkipped bounds the gates that a fetch is told to leave out.
	maxSkipped = 100
	// maxRevisits bounds the gates that one fetch looks behind.
	maxRevisits = 16
	// sweepPairsAt is how many recipients a lane remembers before it forgets those
	// whose burst is whole again.
	sweepPairsAt = 1024
)

// gate keeps messages back that have something in common, a recipient or a
// template, while the others of their lane go on.
type gate struct {
	recipient, template string // one of the two
	held                int    // items in memory, set aside or fetched from behind it
	// left says that items were left in the work-list, the first of the fresh ones
	// at from.
	left [len(priorities)]bool
	from [len(priorities)]event.Position
}

// leave notes that f stays in the work-list.
func (g *gate) leave(f *flight) {
	class := rank(f.item.Priority)
	if !g.left[class] || f.item.QueuedPosition < g.from[class] {
		g.from[class] = f.item.QueuedPosition
	}
	g.left[class] = true
}

func (g *gate) anyLeft() bool {
	for _, left := range g.left {
		if left {
			return true
		}
	}
	return false
}

// pair is a recipient of this lane.
type pair struct {
	gate
	// wholeAt is when the whole burst is allowed again: every message moves it by
	// pairInterval.
	wholeAt time.Time
	// spent is set once the burst was used up, until it is whole again.
	spent bool
	// coming counts messages that are taken and not called yet.
	coming int
	// level and until are of the waits that WhatsApp asked for.
	level int
	until time.Time
}

// closedTill is until when the recipient must wait; in the past if not at all.
func (p *pair) closedTill() time.Time {
	again := p.wholeAt.Add(-(pairBurst - 1) * pairInterval)
	if p.spent {
		again = again.Add(pairMargin)
	}
	if again.After(p.until) {
		return again
	}
	return p.until
}

// forgettable says that nothing is lost with it.
func (p *pair) forgettable(now time.Time) bool {
	return !p.wholeAt.After(now) && now.Sub(p.until) > maxBackoff && p.held == 0 && p.coming == 0 && !p.anyLeft()
}

// templateHold is a template that WhatsApp does not take for now.
type templateHold struct {
	gate
	over    bool // WhatsApp took one again
	level   int
	until   time.Time
	probing bool // the call that finds out is under way
}

func (h *templateHold) closedTill(now time.Time) time.Time {
	switch {
	case h.over:
		return time.Time{}
	case h.probing:
		return now.Add(time.Second) // the answer opens it sooner
	}
	return h.until
}

func templateWaitAt(level int) time.Duration {
	return min(templateWait<<min(level, 10), maxTemplateWait)
}

// pairOf is what is known of a recipient, made if need be.
func (l *lane) pairOf(recipient string, now time.Time) *pair {
	p := l.pairs[recipient]
	if p != nil {
		return p
	}
	if len(l.pairs) >= l.sweepAt {
		for r, other := range l.pairs {
			if other.forgettable(now) {
				delete(l.pairs, r)
			}
		}
		l.sweepAt = max(sweepPairsAt, 2*len(l.pairs))
	}
	p = &pair{gate: gate{recipient: recipient}}
	l.pairs[recipient] = p
	return p
}

// pairTake counts a call to its recipient that is to come.
func (l *lane) pairTake(f *flight, now time.Time) {
	if !l.pairLimit {
		return
	}
	f.paired = true
	p := l.pairOf(f.item.Recipient, now)
	if p.wholeAt.Before(now) {
		p.wholeAt, p.spent = now, false
	}
	p.coming++
	p.wholeAt = p.wholeAt.Add(pairInterval)
	p.spent = p.spent || p.wholeAt.Sub(now) > (pairBurst-1)*pairInterval
}

// pairCall takes in when a call that was taken is made: WhatsApp counts from then.
func (l *lane) pairCall(f *flight, now time.Time) {
	if p := l.pairs[f.item.Recipient]; f.paired {
		if least := now.Add(time.Duration(p.coming) * pairInterval); p.wholeAt.Before(least) {
			p.wholeAt = least
		}
		p.coming--
	}
}

// pairReturn gives back a call that was not made after all.
func (l *lane) pairReturn(f *flight) {
	if p := l.pairs[f.item.Recipient]; f.paired {
		f.paired = false
		p.wholeAt = p.wholeAt.Add(-pairInterval)
		if f.slot == nil {
			p.coming--
		}
	}
}

// pairHit takes in that WhatsApp refused one more message to a recipient and
// answers until when it waits: 4^x s, x from 0 to 4.
func (l *lane) pairHit(recipient string, now time.Time, atLeast time.Duration) time.Time {
	p := l.pairOf(recipient, now)
	wait := atLeast
	if !now.Before(p.until) {
		if now.Sub(p.until) > maxBackoff {
			p.level = 0
		}
		wait = max(wait, time.Second<<(2*p.level))
		p.level = min(p.level+1, maxPairLevel)
	}
	if until := now.Add(wait); until.After(p.until) {
		p.until = until
	}
	return p.until
}

// templateHit takes in that WhatsApp refused a template and answers until when
// its messages wait. Calls that were under way before change nothing.
func (l *lane) templateHit(template string, now time.Time, atLeast time.Duration, probe bool) (until time.Time, begun bool) {
	h := l.templates[template]
	begun = h == nil || h.over
	switch {
	case h == nil:
		h = &templateHold{gate: gate{template: template}}
		l.templates[template] = h
	case h.over:
		h.over, h.level = false, 0
	case !probe:
		return h.until, false
	}
	h.until = now.Add(max(atLeast, templateWaitAt(h.level)))
	h.level++
	return h.until, begun
}

// templateTaken takes in that WhatsApp accepted a template. It reports whether
// that ended a hold.
func (l *lane) templateTaken(template string, probe bool) bool {
	h := l.templates[template]
	if h == nil || h.over || !probe {
		return false
	}
	h.over = true
	return true
}

// gateOf is the gate that keeps f back, and until when; nil if none does.
func (l *lane) gateOf(f *flight, now time.Time) (*gate, time.Time) {
	if h := l.templates[f.item.Template]; h != nil && f.item.Template != "" {
		if until := h.closedTill(now); until.After(now) {
			return &h.gate, until
		}
	}
	if p := l.pairs[f.item.Recipient]; p != nil {
		if until := p.closedTill(); until.After(now) {
			return &p.gate, until
		}
	}
	return nil, time.Time{}
}

// keepBack sets f aside until its gate opens, or leaves it in the work-list.
func (l *lane) keepBack(f *flight, g *gate, until time.Time) {
	if f.gate != g {
		f.release()
		if g.held >= maxHeld || l.gated >= maxAside {
			g.leave(f)
			l.gates[g] = true
			l.left = append(l.left, f)
			f.state = flightDone // its queue passes it over
			return
		}
		f.gate = g
		g.held++
	}
	l.gated++
	f.state, f.until, f.forget, f.byGate = flightAside, until, false, true
	heap.Push(&l.aside, f)
}

// release ends that f counts among those its gate holds.
func (f *flight) release() {
	if f.gate != nil {
		f.gate.held--
		f.gate = nil
	}
}

// isOpen reports whether a gate keeps nothing back.
func (l *lane) isOpen(g *gate, now time.Time) bool {
	if g.template != "" {
		return !l.templates[g.template].closedTill(now).After(now)
	}
	return !l.pairs[g.recipient].closedTill().After(now)
}

// skip tells a fetch which gates to leave out, and answers what is wanted from
// behind those that are open: as much as there is room for, like the rest. What it
// answers items from is left out of the rest.
func (l *lane) skip(w work.Want, class int, now time.Time) (without work.Want, behind []work.Want) {
	q := &l.classes[class]
	fresh, timed := l.prefetch()-len(q.fresh), l.prefetch()-len(q.timed)
	for g := range l.gates {
		if !g.left[class] {
			continue
		}
		keep, skipped := maxHeld, &w.SkipRecipients
		if g.template != "" {
			keep, skipped = max(keep, l.prefetch()), &w.SkipTemplates
		}
		if len(*skipped) == maxSkipped {
			continue
		}
		*skipped = append(*skipped, cmp.Or(g.template, g.recipient))
		if g.held <= keep/2 && fresh > 0 && len(behind) < maxRevisits && l.isOpen(g, now) {
			revisit := work.Want{
				Sender: w.Sender, Priority: w.Priority, After: g.from[class] - 1,
				Fresh: min(keep-g.held, fresh), Timed: min(keep-g.held, max(timed, 0)),
				Recipient: g.recipient, Template: g.template,
			}
			fresh, timed = fresh-revisit.Fresh, timed-revisit.Timed
			behind = append(behind, revisit)
		}
	}
	for i := range behind {
		if behind[i].Recipient != "" { // what is behind two gates counts as of its template's
			behind[i].SkipTemplates = w.SkipTemplates
		}
	}
	return w, behind
}

// visited takes in what was found behind a gate.
func (l *lane) visited(w work.Want, class int, items []work.Item) {
	var g *gate
	if h := l.templates[w.Template]; w.Template != "" && h != nil {
		g = &h.gate
	} else if p := l.pairs[w.Recipient]; p != nil {
		g = &p.gate
	}
	if g == nil {
		return
	}
	fresh, timed := 0, 0
	for _, item := range items {
		switch {
		case item.Sender != w.Sender || item.Priority != w.Priority || !g.keeps(item) || slices.Contains(w.SkipTemplates, item.Template):
		case item.Fresh:
			fresh++
			g.from[class] = max(g.from[class], item.QueuedPosition+1)
		default:
			timed++
		}
	}
	g.left[class] = fresh >= w.Fresh || timed >= w.Timed
	if !g.anyLeft() {
		delete(l.gates, g)
		if h := l.templates[g.template]; h != nil && h.over && g.held == 0 {
			delete(l.templates, g.template)
		}
	}
}

// keeps reports whether an item is behind the gate.
func (g *gate) keeps(item work.Item) bool {
	return g.template != "" && item.Template == g.template || g.recipient != "" && item.Recipient == g.recipient
}
