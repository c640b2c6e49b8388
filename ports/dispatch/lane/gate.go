package lane

import (
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

// Meta's limit for one number and one recipient: one message every 6 s, and bursts of
// up to 45 that are borrowed from later messages.
// Source: Meta's page on throughput, "pair rate limits".
const (
	pairInterval = 6 * time.Second
	pairBurst    = 45
	// pairMargin is how much later than allowed a message goes if its recipient had to
	// wait, so that varying latency to WhatsApp doesn't make it early.
	pairMargin = 250 * time.Millisecond
	// maxPairLevel makes 4^4 s the longest wait, as Meta recommends for a pair.
	maxPairLevel = 4

	// templateWait and maxTemplateWait limit the waits of a template's hold. They
	// double: each ends with a call, and WhatsApp pauses a template for hours.
	templateWait    = time.Minute
	maxTemplateWait = 16 * time.Minute

	// reportedWait is how often the items of a template that WhatsApp reported as paused, or of
	// a paused campaign, look whether it still is. Its end wakes the lane sooner.
	reportedWait = time.Second

	// maxHeld is how many items of one gate a lane keeps in memory. The others stay in
	// the work list until the gate opens.
	maxHeld = 8
	// sweepPairsAt is how many recipients a lane remembers before it forgets those
	// whose full burst is allowed again.
	sweepPairsAt = 1024
)

// A gate holds back messages that share a recipient, a template, or a label, while the
// other messages of their lane continue.
type gate struct {
	recipient, template, label string // one of them
	held                       int    // items in memory, delayed or fetched for it
	// left is set if items of a class stayed in the work list; the first fresh one is
	// at from.
	left [len(priorities)]bool
	from [len(priorities)]event.Position
}

// leave records that f stays in the work list.
func (g *gate) leave(f *Flight) {
	class := rank(f.item.Priority)
	if !g.left[class] || f.item.QueuedPosition < g.from[class] {
		g.from[class] = f.item.QueuedPosition
	}
	g.left[class] = true
}

func (g *gate) anyLeft() bool { return g.left != [len(priorities)]bool{} }

// covers reports whether the gate is of the recipient, the template, or a label of an item.
func (g *gate) covers(item *work.Item) bool {
	return g.template != "" && item.Template == g.template || g.recipient != "" && item.Recipient == g.recipient ||
		g.label != "" && slices.Contains(item.Labels, g.label)
}

// pair is one recipient of the lane.
type pair struct {
	gate

	// wholeAt is when the full burst is allowed again: every message moves it by
	// pairInterval.
	wholeAt time.Time
	// spent is set once the burst is used up, until the full burst is allowed again.
	spent bool
	// coming counts messages that were picked and have no slot yet.
	coming int
	// level and until belong to the waits that WhatsApp asked for.
	level int
	until time.Time
}

// closedUntil returns the time until which the recipient must wait: in the past if it
// doesn't.
func (p *pair) closedUntil() time.Time {
	again := p.wholeAt.Add(-(pairBurst - 1) * pairInterval)
	if p.spent {
		again = again.Add(pairMargin)
	}
	if again.After(p.until) {
		return again
	}
	return p.until
}

// forgettable reports whether nothing is lost if the pair is forgotten.
func (p *pair) forgettable(now time.Time) bool {
	return !p.wholeAt.After(now) && now.Sub(p.until) > pace.MaxBackoff && p.held == 0 && p.coming == 0 && !p.anyLeft()
}

type templateState uint8

const (
	templateHeld     templateState = iota
	templateProbing                // the call that finds out whether it is accepted is in progress
	templateAccepted               // WhatsApp accepted one message again
)

// templateHold is a template that WhatsApp does not accept for now.
type templateHold struct {
	gate

	state templateState
	level int
	until time.Time
	// reported is set while WhatsApp has reported that it accepts no messages of the template.
	reported bool
}

func (h *templateHold) closedUntil(now time.Time) time.Time {
	switch h.state {
	case templateAccepted:
		return time.Time{}
	case templateProbing:
		return now.Add(time.Second) // the response opens it sooner
	default:
		return h.until
	}
}

func templateWaitAt(level int) time.Duration {
	return min(templateWait<<min(level, 10), maxTemplateWait)
}

// gates are what holds messages of a lane back.
type gates struct {
	pairLimit bool
	pairs     map[string]*pair // the recent recipients
	sweepAt   int              // how many pairs can be remembered
	templates map[string]*templateHold
	labels    map[string]*gate // of paused campaigns
	// others is the gate of all paused labels without one in labels. Rewinds find its items again.
	others gate
	// incomplete are the gates with items that stayed in the work list.
	incomplete map[*gate]bool
	// reported reports whether WhatsApp has reported that it accepts no messages of a template
	// for now.
	reported func(template string) bool
	// paused reports whether an operator has paused the messages with a label. If nil, none are.
	paused func(label string) bool
	left   []*Flight // the flights that stay in the work list since the last Pick
}

func newGates(pairLimit bool, reported, paused func(string) bool) gates {
	return gates{
		reported: reported, paused: paused,
		pairLimit: pairLimit, pairs: make(map[string]*pair), sweepAt: sweepPairsAt,
		templates: make(map[string]*templateHold), labels: make(map[string]*gate), incomplete: make(map[*gate]bool),
	}
}

// pair returns the pair of a recipient and creates it if necessary.
func (g *gates) pair(recipient string, now time.Time) *pair {
	p := g.pairs[recipient]
	if p != nil {
		return p
	}
	if len(g.pairs) >= g.sweepAt {
		for r, other := range g.pairs {
			if other.forgettable(now) {
				delete(g.pairs, r)
			}
		}
		g.sweepAt = max(sweepPairsAt, 2*len(g.pairs))
	}
	p = &pair{gate: gate{recipient: recipient}}
	g.pairs[recipient] = p
	return p
}

// find returns the closed gate that holds an item back and the time until which it
// does, or nil if there is none.
func (g *gates) find(item *work.Item, now time.Time) (*gate, time.Time) {
	for _, label := range item.Labels {
		if g.isPaused(label) {
			return g.label(label), now.Add(reportedWait)
		}
	}
	if h := g.template(item.Template); h != nil {
		if until := g.templateClosedUntil(h, now); until.After(now) {
			return &h.gate, until
		}
	}
	if p := g.pairs[item.Recipient]; p != nil {
		if until := p.closedUntil(); until.After(now) {
			return &p.gate, until
		}
	}
	return nil, time.Time{}
}

func (g *gates) isPaused(label string) bool { return g.paused != nil && g.paused(label) }

// label returns the gate of a paused label, and creates it if necessary. While it is not known which
// campaigns are paused, every label is, and each message can have one of its own.
func (g *gates) label(label string) *gate {
	of := g.labels[label]
	switch {
	case of != nil:
		return of
	case len(g.labels) >= maxSkipped:
		return &g.others
	}
	of = &gate{label: label}
	g.labels[label] = of
	return of
}

// template returns the hold of a template, or nil if there is none. It creates one if
// WhatsApp reported that it accepts no messages of the template.
func (g *gates) template(key string) *templateHold {
	if key == "" {
		return nil
	}
	h := g.templates[key]
	if h == nil && g.reported(key) {
		h = &templateHold{gate: gate{template: key}, state: templateAccepted}
		g.templates[key] = h
	}
	return h
}

// templateClosedUntil returns the time until which the messages of a template wait. What
// WhatsApp reports comes first: its end also ends a hold that began with a refused call.
func (g *gates) templateClosedUntil(h *templateHold, now time.Time) time.Time {
	reported := g.reported(h.template)
	if h.reported && !reported && h.state == templateHeld {
		h.state = templateAccepted
	}
	if h.reported = reported; reported {
		return now.Add(reportedWait)
	}
	return h.closedUntil(now)
}

// isOpen reports whether a gate holds nothing back.
func (g *gates) isOpen(of *gate, now time.Time) bool {
	switch {
	case of.label != "":
		return !g.isPaused(of.label)
	case of.template != "":
		return !g.templateClosedUntil(g.templates[of.template], now).After(now)
	}
	return !g.pairs[of.recipient].closedUntil().After(now)
}

// startTemplateProbe reports whether the call of a template finds out whether WhatsApp
// accepts the template again. If so, its other messages wait for that call.
func (g *gates) startTemplateProbe(template string) bool {
	h := g.templates[template]
	if h == nil || h.state == templateAccepted {
		return false
	}
	h.state = templateProbing
	return true
}

func (g *gates) endTemplateProbe(template string) {
	if h := g.templates[template]; h != nil && h.state == templateProbing {
		h.state = templateHeld
	}
}

// head returns the next flight of a class that no gate holds back. It delays the
// flights before it.
func (l *Lane) head(class int, now time.Time) *Flight {
	for {
		f := l.queues[class].head()
		if f == nil {
			return nil
		}
		g, until := l.gates.find(&f.item, now)
		if g == nil {
			return f
		}
		l.holdBack(f, g, until)
	}
}

// holdBack delays f until its gate opens, or leaves it in the work list.
func (l *Lane) holdBack(f *Flight, g *gate, until time.Time) {
	if f.gate != g {
		f.leaveGate()
		if g.held >= maxHeld && !f.unlisted || l.delayed.gated >= maxDelayed {
			if g != &l.gates.others {
				g.leave(f)
				l.gates.incomplete[g] = true
			}
			l.gates.left = append(l.gates.left, f)
			f.state = flightDone // its queue skips it
			return
		}
		f.gate = g
		g.held++
	}
	l.delayed.push(f, until, behindGate)
}

// leaveGate ends that f counts among the items of its gate.
func (f *Flight) leaveGate() {
	if f.gate != nil {
		f.gate.held--
		f.lane.gates.forget(f.gate)
		f.gate = nil
	}
}

// forget forgets the gate of a label without items. Unlike the others, it remembers nothing.
func (g *gates) forget(of *gate) {
	if of.label != "" && of.held == 0 && !of.anyLeft() {
		delete(g.labels, of.label)
	}
}

// pairTake counts a call, which has no slot yet, for its recipient.
func (l *Lane) pairTake(f *Flight, now time.Time) {
	if !l.gates.pairLimit {
		return
	}
	f.call.pair = pairComing
	p := l.gates.pair(f.item.Recipient, now)
	if p.wholeAt.Before(now) {
		p.wholeAt, p.spent = now, false
	}
	p.coming++
	p.wholeAt = p.wholeAt.Add(pairInterval)
	p.spent = p.spent || p.wholeAt.Sub(now) > (pairBurst-1)*pairInterval
}

// pairSlot records the time at which a counted call gets its slot: WhatsApp counts from
// then.
func (l *Lane) pairSlot(f *Flight, now time.Time) {
	if f.call.pair != pairComing {
		return
	}
	f.call.pair = pairSlot
	p := l.gates.pairs[f.item.Recipient]
	if least := now.Add(time.Duration(p.coming) * pairInterval); p.wholeAt.Before(least) {
		p.wholeAt = least
	}
	p.coming--
}

// pairReturn stops counting a call that was not made.
func (l *Lane) pairReturn(f *Flight) {
	if f.call.pair == pairNone {
		return
	}
	p := l.gates.pairs[f.item.Recipient]
	p.wholeAt = p.wholeAt.Add(-pairInterval)
	if f.call.pair == pairComing {
		p.coming--
	}
	f.call.pair = pairNone
}

// PairThrottled records that WhatsApp refused one more message to the flight's recipient.
// It returns the time until which the recipient waits: 4^x s, x from 0 to 4, and at least
// atLeast from now.
func (f *Flight) PairThrottled(now time.Time, atLeast time.Duration) time.Time {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.gates.pair(f.item.Recipient, now)
	wait := atLeast
	if !now.Before(p.until) {
		if now.Sub(p.until) > pace.MaxBackoff {
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

// TemplateRefused records that WhatsApp refused the template of the flight's call. It
// returns the time until which the template's messages wait, and whether this began the
// hold. Calls that were in flight when the hold began change nothing.
func (f *Flight) TemplateRefused(now time.Time, atLeast time.Duration) (until time.Time, began bool) {
	l, template := f.lane, f.item.Template
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.gates.templates[template]
	began = h == nil || h.state == templateAccepted
	switch {
	case h == nil:
		h = &templateHold{gate: gate{template: template}}
		l.gates.templates[template] = h
	case h.state == templateAccepted:
		h.state, h.level = templateHeld, 0
	case !f.call.templateProbe:
		return h.until, false
	}
	h.until = now.Add(max(atLeast, templateWaitAt(h.level)))
	h.level++
	return h.until, began
}

// TemplateAccepted records that WhatsApp accepted the template of the flight's call. It
// reports whether that ended a hold.
func (f *Flight) TemplateAccepted() bool {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.gates.templates[f.item.Template]
	if h == nil || h.state == templateAccepted || !f.call.templateProbe {
		return false
	}
	h.state = templateAccepted
	return true
}
