package lane

import (
	"cmp"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
)

const (
	// maxSkipped limits the gates that a fetch leaves out.
	maxSkipped = 100
	// maxRevisits limits the gates that one fetch requests items of.
	maxRevisits = 16
	// pausedRewind is how often a lane is rewound while a campaign is paused. Measured, a fetch
	// takes 1.6 s to read past a million items.
	pausedRewind = 30 * time.Second
)

// A FetchPlan is what a lane requests in one fetch from the work list.
type FetchPlan struct {
	Requests []work.FetchRequest
	// Known is how many items that can be overdue the lane has in memory.
	Known int

	arrivals int // of the lane when the plan was made
}

// PlanFetch returns the lane's requests to the work list, for as many items as it has room
// for. If fill is false, only queues that run low or may have new items request any. It
// returns false if the lane is gone.
func (l *Lane) PlanFetch(fill bool, now time.Time) (plan FetchPlan, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == gone {
		return FetchPlan{}, false
	}
	plan = FetchPlan{Known: len(l.delayed.heap) + l.calls.running, arrivals: l.arrivals}
	for class := range priorities {
		plan.Known += len(l.queues[class].timed)
		plan.Requests = l.appendRequests(plan.Requests, class, fill, now)
	}
	return plan, true
}

// Waits reports whether time can change what the lane does: it has work, or its sender is held or
// restricted.
func (l *Lane) Waits() bool {
	return l.stopped() || l.HasWork()
}

func (l *Lane) stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hold.active() || len(l.sender.Restrictions) > 0
}

// HasWork reports whether the lane has items in memory or with the handler.
func (l *Lane) HasWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.delayed.heap) > 0 || l.calls.running > 0 {
		return true
	}
	for class := range l.queues {
		if len(l.queues[class].timed) > 0 || len(l.queues[class].fresh) > 0 {
			return true
		}
	}
	return false
}

// overloaded reports whether too many items wait in memory, not counting those behind a
// gate and those whose call is settling, which have limits of their own. Nothing more is
// fetched then.
func (l *Lane) overloaded() bool {
	d := &l.delayed
	return len(d.heap)-d.gated-d.settling >= maxDelayed
}

// freeCapacity returns how many more fresh items of a priority are wanted. Unless fill is
// set, that is none until half of the prefetch is used.
func (l *Lane) freeCapacity(class int, fill bool) int {
	if !l.open(class) || l.overloaded() {
		return 0
	}
	q := &l.queues[class]
	free := max(0, l.prefetch()-len(q.fresh))
	if !fill && (q.drained || free < l.prefetch()/2) {
		return 0
	}
	return free
}

// needsRefill reports whether a priority has enough room for a fetch.
func (l *Lane) needsRefill() bool {
	for class := range priorities {
		if l.freeCapacity(class, false) > 0 {
			return true
		}
	}
	return false
}

// appendRequests appends the lane's requests for one priority.
func (l *Lane) appendRequests(requests []work.FetchRequest, class int, fill bool, now time.Time) []work.FetchRequest {
	fresh := l.freeCapacity(class, fill)
	if fresh == 0 && !fill || !l.open(class) || l.overloaded() {
		return requests
	}
	// Known items are returned again with the due ones, and after a rewind with the
	// fresh ones. They must not take the place of the others.
	q := &l.queues[class]
	known := len(l.delayed.heap) - l.delayed.settling + l.calls.running
	r := work.FetchRequest{Sender: l.id, Priority: priorities[class], After: q.cursor, Fresh: fresh}
	if room := l.prefetch() - len(q.timed); room > 0 {
		r.Timed = room + len(q.timed) + known
	}
	if q.rewind && fresh > 0 {
		q.rewind, r.After, r.Fresh = false, 0, fresh+len(q.fresh)+known
	}
	if len(l.gates.incomplete) == 0 {
		return append(requests, r)
	}
	r, revisits := l.skip(r, class, now)
	return append(append(requests, revisits...), r)
}

// skip adds the gates that the request leaves out, and returns requests for items of
// the open ones among them: as many as there is room for. Items of a gate that has its
// own request are left out of the main one.
func (l *Lane) skip(r work.FetchRequest, class int, now time.Time) (without work.FetchRequest, revisits []work.FetchRequest) {
	q := &l.queues[class]
	fresh, timed := l.prefetch()-len(q.fresh), l.prefetch()-len(q.timed)
	var of []*gate         // of each revisit
	var revisited []string // labels
	var paused []*gate
	for _, g := range l.gates.toSkip(class, now) {
		keep, skipped := maxHeld, &r.SkipRecipients
		switch {
		case g.label != "":
			keep, skipped = max(keep, l.prefetch()), &r.SkipLabels
		case g.template != "":
			keep, skipped = max(keep, l.prefetch()), &r.SkipTemplates
		}
		if len(*skipped) == maxSkipped {
			continue
		}
		*skipped = append(*skipped, g.key())
		if !l.gates.isOpen(g, now) {
			if g.label != "" {
				paused = append(paused, g)
			}
			continue
		}
		if g.held <= keep/2 && fresh > 0 && len(revisits) < maxRevisits {
			revisit := work.FetchRequest{
				Sender: r.Sender, Priority: r.Priority, After: g.from[class] - 1,
				Fresh: min(keep-g.held, fresh), Timed: min(keep-g.held, max(timed, 0)),
				Recipient: g.recipient, Template: g.template, Label: g.label,
				SkipLabels: slices.Clone(revisited), // an item of several gates counts toward the first
			}
			fresh, timed = fresh-revisit.Fresh, timed-revisit.Timed
			of, revisits = append(of, g), append(revisits, revisit)
			if g.label != "" {
				revisited = append(revisited, g.label)
			}
		}
	}
	for i := range revisits {
		if revisits[i].Recipient != "" { // an item of two gates counts toward its template's
			revisits[i].SkipTemplates = r.SkipTemplates
		}
		for _, p := range paused { // a pause can have a million items before the next one that can be sent
			revisits[i].SkipLabels = append(revisits[i].SkipLabels, p.label)
			p.from[class] = min(p.from[class], of[i].from[class])
		}
	}
	return r, revisits
}

// toSkip returns the gates with items of a class that stayed in the work list: those of labels
// first, and of these the open ones first.
func (g *gates) toSkip(class int, now time.Time) (skip []*gate) {
	for of := range g.incomplete {
		if of.left[class] {
			skip = append(skip, of)
		}
	}
	rank := func(of *gate) int {
		switch {
		case of.label == "":
			return 2
		case g.isOpen(of, now):
			return 0
		}
		return 1
	}
	slices.SortFunc(skip, func(a, b *gate) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.label, b.label)) })
	return skip
}

// key returns what the gate's items share.
func (g *gate) key() string { return cmp.Or(g.label, g.template, g.recipient) }

// revisited returns a function that reports whether an item was requested for its gate.
func (p *FetchPlan) revisited() func(*work.Item) bool {
	type gated struct {
		priority                   message.Priority
		recipient, template, label string
	}
	var requested map[gated]bool
	for i := range p.Requests {
		r := &p.Requests[i]
		if !revisits(r) {
			continue
		}
		if requested == nil {
			requested = make(map[gated]bool)
		}
		requested[gated{r.Priority, r.Recipient, r.Template, r.Label}] = true
	}
	return func(i *work.Item) bool {
		return len(requested) > 0 && (requested[gated{i.Priority, i.Recipient, "", ""}] || requested[gated{i.Priority, "", i.Template, ""}] ||
			slices.ContainsFunc(i.Labels, func(label string) bool { return requested[gated{i.Priority, "", "", label}] }))
	}
}

// revisits reports whether a request is for the items of one gate.
func revisits(r *work.FetchRequest) bool {
	return r.Recipient != "" || r.Template != "" || r.Label != ""
}

// Take queues the lane's items that a fetch returned and that are not known yet, given
// the plan of the fetch and the position that the work list had reached. It does nothing if the
// lane is gone.
func (l *Lane) Take(plan *FetchPlan, items []work.Item, position event.Position, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == gone {
		return
	}
	var fresh [len(priorities)]int
	revisited := plan.revisited()
	for i := range items {
		item := &items[i]
		class := rank(item.Priority)
		// An item behind a gate can be far behind all items that were not fetched yet.
		if item.Fresh && !revisited(item) {
			q := &l.queues[class]
			q.cursor = max(q.cursor, item.QueuedPosition)
			fresh[class]++
		}
		f := &Flight{item: *item, lane: l}
		if !l.shared.Known.add(f) {
			continue
		}
		if item.DueAt.After(now) && !item.Fresh {
			l.delay(f, item.DueAt, untilDue)
			continue
		}
		l.queues[class].push(f)
	}
	for i := range plan.Requests {
		r := &plan.Requests[i]
		class := rank(r.Priority)
		switch {
		case revisits(r):
			l.revisit(r, class, items)
		case r.Fresh > 0 && fresh[class] < r.Fresh:
			// All others up to there belong to gates, which know where they begin. There can be a
			// million of them, so the next fetch doesn't read past them again.
			q := &l.queues[class]
			q.cursor = max(q.cursor, position)
			q.drained = l.arrivals == plan.arrivals || q.drained
		case l.arrivals == plan.arrivals && r.Fresh > 0:
			l.queues[class].drained = false
		}
	}
}

// revisit records the result of a request for the items of a gate.
func (l *Lane) revisit(r *work.FetchRequest, class int, items []work.Item) {
	g := l.gates.of(r)
	if g == nil {
		return
	}
	fresh, timed := 0, 0
	for i := range items {
		item := &items[i]
		switch {
		case item.Priority != r.Priority || !g.covers(item) || slices.Contains(r.SkipTemplates, item.Template):
		case slices.ContainsFunc(r.SkipLabels, func(label string) bool { return slices.Contains(item.Labels, label) }):
		case item.Fresh:
			fresh++
			g.from[class] = max(g.from[class], item.QueuedPosition+1)
		default:
			timed++
		}
	}
	g.left[class] = fresh >= r.Fresh || timed >= r.Timed
	if !g.anyLeft() {
		delete(l.gates.incomplete, g)
		if h := l.gates.templates[g.template]; h != nil && h.state == templateAccepted && g.held == 0 {
			delete(l.gates.templates, g.template)
		}
		l.gates.forget(g)
	}
}

// of returns the gate that a request is for, or nil if it is gone.
func (g *gates) of(r *work.FetchRequest) *gate {
	if r.Label != "" {
		return g.labels[r.Label]
	}
	if h := g.templates[r.Template]; r.Template != "" && h != nil {
		return &h.gate
	}
	if p := g.pairs[r.Recipient]; p != nil {
		return &p.gate
	}
	return nil
}

// TakeOverdue takes an item of the lane whose call, settling, or delivery is due, or whose
// message has expired. It returns the flight that the handler works on without a slot, or
// nil if there is nothing to do yet. An item in memory is returned if it expired while it
// waited, or if a late status has shown that WhatsApp accepted one of its calls.
func (l *Lane) TakeOverdue(item *work.Item, now time.Time) *Flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == gone {
		return nil
	}
	if known := l.shared.Known.get(item.MessageID); known != nil {
		if known.lane != l {
			return nil
		}
		if !known.acceptedWaiting(item) && !known.expiredWaiting(now) {
			return nil
		}
		known.leaveGate()
		known.state = flightDone // its queue skips it
	}
	f := &Flight{item: *item, lane: l}
	switch {
	case item.State != work.Ready && item.DueAt.After(now):
		l.shared.Known.replace(f)
		l.delay(f, item.DueAt, untilDue)
		return nil
	case item.State == work.Ready && item.ExpiresAt.After(now): // soon
		return nil
	}
	l.shared.Known.replace(f)
	l.begin(f)
	return f
}

// expiredWaiting reports whether the flight's message expired while the flight waits in
// memory to be called.
func (f *Flight) expiredWaiting(now time.Time) bool {
	if f.item.ExpiresAt.IsZero() || now.Before(f.item.ExpiresAt) {
		return false
	}
	switch f.state {
	case flightQueued:
		return true
	case flightDelayed:
		return f.reason == behindGate || f.reason == untilDue && f.item.State == work.Ready
	case flightWorking, flightDone:
	}
	return false
}

// acceptedWaiting reports whether item shows that WhatsApp accepted the flight's message while
// the flight waits in memory to call again, which can take as long as its sender is held.
// item comes from another read model than the flight, so it can also be older.
func (f *Flight) acceptedWaiting(item *work.Item) bool {
	return item.State == work.Undelivered && f.item.State != work.Undelivered && item.Position > f.item.Position &&
		(f.state == flightQueued || f.state == flightDelayed)
}

// Rewind makes the next fetch of every priority start from the first fresh item, for
// items that were fetched once and forgotten. It seldom does while a campaign is paused: the
// fetch reads past all of its items.
func (l *Lane) Rewind(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.rewoundAt) < pausedRewind && l.gates.skipPaused() {
		return
	}
	l.rewoundAt = now
	for class := range l.queues {
		l.queues[class].rewind = true
		l.queues[class].drained = false
	}
}

// skipPaused reports whether items of a paused campaign stayed in the work list.
func (g *gates) skipPaused() bool {
	for label, of := range g.labels {
		if of.anyLeft() && g.isPaused(label) {
			return true
		}
	}
	return false
}
