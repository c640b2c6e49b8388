package dispatch

import (
	"container/heap"
	"slices"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// minInFlight and maxInFlight bound how many calls of a lane are under way;
	// between them it is inFlightSeconds of its rate: enough for an API that takes
	// a second, twice over.
	minInFlight     = 16
	maxInFlight     = 2000
	inFlightSeconds = 2
	// minPrefetch is how many items of a priority are kept at hand at least.
	minPrefetch = 8
	// maxAside bounds the items of a lane that wait in memory for their recipient or
	// template, and those that wait for their time, for settling or for the log.
	maxAside = 1000
	// maxWait is how long after a message's turn its call goes before all others: well
	// before maxBegun, and longer than maxAhead.
	maxWait = 700 * time.Millisecond
	// maxQueued bounds what a lane keeps of a priority beyond its prefetch: lost
	// answers to be sent again while the lane is paused.
	maxQueued = 1000
)

// priorities are the classes of service, the most urgent first.
var priorities = [...]message.Priority{message.PriorityOTP, message.PriorityTransactional, message.PriorityBulk}

// rank is the index of a priority in priorities; an unknown one ranks last.
func rank(p message.Priority) int {
	if i := slices.Index(priorities[:], p); i >= 0 {
		return i
	}
	return len(priorities) - 1
}

type flightState uint8

const (
	flightQueued  flightState = iota // at hand, waits for a slot
	flightAside                      // waits for its time in lane.aside
	flightWorking                    // with the handler
	flightDone                       // until the work-list has seen its last event
)

// flight is an item that this process knows of.
type flight struct {
	item  work.Item
	lane  *lane
	state flightState
	// call marks work that is to be called, by the time of its turn.
	call   bool
	picked time.Time
	probe  bool
	// templateProbe marks the call that finds out whether a template is taken again.
	templateProbe bool
	// recording is set while SendAttempted is being recorded for it, waiting from
	// then until turn is closed: then slot is the right to write the call, or nil if
	// there is to be none. ahead says that it counts among those before their slot,
	// paired that its recipient counts it.
	recording, waiting, ahead, paired bool
	turn                              chan struct{}
	slot                              *slot
	// abandon cancels its call; nil while none is under way.
	abandon func()
	// gate is what holds it, or held it until it was fetched again; nil for none.
	gate   *gate
	byGate bool // it is set aside for its gate
	// end is what the handler decided.
	end   ending
	until time.Time // of an item set aside
	// forget drops it when its time aside is over, so that it is fetched anew.
	forget bool
}

type endingKind uint8

const (
	endFailed   endingKind = iota // nothing is known to be recorded: again after a while
	endDone                       // recorded up to ending.position
	endNeedSlot                   // a call is to be made, and the item had no slot
	endLater                      // nothing may be done before ending.until
)

// ending is what becomes of a flight when the handler is through with it.
type ending struct {
	kind     endingKind
	position event.Position
	until    time.Time
}

// classQueue is what is at hand of one priority.
type classQueue struct {
	timed, fresh []*flight
	// cursor is the position of Queued behind which fresh items are fetched.
	cursor event.Position
	rewind bool
	// drained is set when the work-list had no more of it than was asked for.
	drained bool
}

// head drops what was taken out otherwise and answers the next flight to be
// served: what has become due goes before what is fresh.
func (q *classQueue) head() *flight {
	for _, list := range []*[]*flight{&q.timed, &q.fresh} {
		for len(*list) > 0 {
			if f := (*list)[0]; f.state == flightQueued {
				return f
			}
			(*list)[0] = nil
			*list = (*list)[1:]
		}
	}
	return nil
}

// hold is whether the platform stopped the lane, and when it asks WhatsApp
// whether the fault is mended.
type hold struct {
	active  bool
	tokenID string // with which it was found wanting
	level   int
	probeAt time.Time
	probing bool
	begun   time.Time
	ended   time.Time
}

// lane is the queue of one sender as this process serves it. Everything in it
// is guarded by the dispatcher's mutex but the limiter, which has its own.
type lane struct {
	sender  sender.Sender
	limiter *limiter
	breaker breaker
	hold    hold
	// leaving is set when the lane is to be given back, gone once another process
	// may own it.
	leaving, gone bool
	classes       [len(priorities)]classQueue
	// signals counts what was told of new items.
	signals int
	// aside are the items that wait for their time, gated those of them that wait for
	// a gate, settling those whose answer is out or lost.
	aside           asideHeap
	gated, settling int
	// pairs are the recipients of late; sweepAt is how many may be remembered.
	pairLimit bool
	pairs     map[string]*pair
	sweepAt   int
	templates map[string]*templateHold
	// gates are those behind which items were left in the work-list, left the
	// flights that were so just now.
	gates map[*gate]bool
	left  []*flight
	turn  int
	// working counts what is with the handler for a call, urgent those of them that
	// are OTP, ahead those that have no slot yet, by class.
	working, urgent int
	ahead           [len(priorities)]int
	// waiting are those whose SendAttempted stands and that wait for a slot, by
	// class, in the order in which they came.
	waiting [len(priorities)][]*flight
}

func newLane(s sender.Sender, pairLimit bool) *lane {
	l := &lane{
		limiter: &limiter{}, pairLimit: pairLimit, pairs: make(map[string]*pair), sweepAt: sweepPairsAt,
		templates: make(map[string]*templateHold), gates: make(map[*gate]bool),
	}
	l.update(s)
	return l
}

func (l *lane) update(s sender.Sender) {
	l.sender = s
	l.limiter.setRate(s.Rate)
}

func (l *lane) inFlightBound() int {
	return min(max(l.sender.Rate*inFlightSeconds, minInFlight), maxInFlight)
}

func (l *lane) prefetch() int { return max(minPrefetch, l.sender.Rate/2) }

// open reports whether messages of that priority may be sent at all.
func (l *lane) open(class int) bool {
	return !l.gone && !l.leaving && !l.hold.active && !l.sender.Paused(string(priorities[class]))
}

// arrived takes in that the work-list may have something new of a priority, or of any
// if it is empty.
func (l *lane) arrived(p message.Priority) {
	l.signals++
	for class := range l.classes {
		if p == "" || class == rank(p) {
			l.classes[class].drained = false
		}
	}
}

// crowded reports whether too many items wait in memory for another reason than
// their gate or their answer, of which there are maxOverdue at most: nothing more is
// fetched then.
func (l *lane) crowded() bool { return len(l.aside)-l.gated-l.settling >= maxAside }

// room is how many more fresh items of a priority are wanted: none before half of
// what is kept at hand is gone, unless it is to be filled up.
func (l *lane) room(class int, fill bool) int {
	if !l.open(class) || l.crowded() {
		return 0
	}
	q := &l.classes[class]
	room := max(0, l.prefetch()-len(q.fresh))
	if !fill && (q.drained || room < l.prefetch()/2) {
		return 0
	}
	return room
}

// low reports whether a priority has room worth a fetch.
func (l *lane) low() bool {
	for class := range priorities {
		if l.room(class, false) > 0 {
			return true
		}
	}
	return false
}

// next is the flight that is to be recorded now, still in its queue, since its slot
// comes within the lead. If there is none it answers when to look again, zero if
// time alone changes nothing. A tenth of the bound is kept for OTP.
func (l *lane) next(now, at time.Time, lead time.Duration) (f *flight, again time.Time) {
	if l.working >= l.inFlightBound() {
		return nil, time.Time{}
	}
	if l.ahead == [len(priorities)]int{} {
		l.limiter.rested(now)
	}
	full := l.working-l.urgent >= l.inFlightBound()*9/10
	before := 0
	for class := range priorities {
		before += l.ahead[class]
		if !l.open(class) || class > 0 && full {
			continue
		}
		f := l.head(class, at)
		if f == nil {
			continue
		}
		// What is before it in its turn: all of its own and the higher classes, and at
		// most nine of those for each of its own.
		due := l.limiter.due(1+min(before, len(turns)*l.ahead[class]), now)
		switch {
		case due.IsZero():
		case due.Sub(now) <= lead:
			return f, time.Time{}
		case again.IsZero() || due.Add(-lead).Before(again):
			again = due.Add(-lead)
		}
	}
	return nil, again
}

// turns says which lower class goes first in each of ten turns; 0: none.
var turns = [10]int{4: 1, 9: 2}

// nextWaiting is the flight that gets the next slot: one in ten goes to each lower
// class that waits, and before all goes who has waited so long that its call would
// come too late.
func (l *lane) nextWaiting(now time.Time) *flight {
	var heads [len(priorities)]*flight
	for class := range l.waiting {
		list := &l.waiting[class]
		for len(*list) > 0 && !(*list)[0].waiting {
			(*list)[0] = nil
			*list = (*list)[1:]
		}
		if len(*list) > 0 {
			heads[class] = (*list)[0]
		}
	}
	for _, f := range heads {
		if f != nil && now.Sub(f.picked) > maxWait {
			return f
		}
	}
	if f := heads[turns[l.turn%len(turns)]]; f != nil {
		return f
	}
	for _, f := range heads {
		if f != nil {
			return f
		}
	}
	return nil
}

// grant gives those who wait the slots that are due. It answers when the next one
// is, zero if none is due by time alone.
func (l *lane) grant(now, at time.Time) (again time.Time) {
	for f := l.nextWaiting(now); f != nil; f = l.nextWaiting(now) {
		s, again := l.limiter.reserve(now)
		if s == nil {
			return again
		}
		l.turn++
		l.pairCall(f, at)
		f.slot = s
		l.endWait(f)
	}
	return time.Time{}
}

// wait has a flight wait for its slot.
func (l *lane) wait(f *flight) {
	f.waiting, f.turn = true, make(chan struct{})
	class := rank(f.item.Priority)
	l.waiting[class] = append(l.waiting[class], f)
}

// endWait ends the wait of a flight, with its slot or without.
func (l *lane) endWait(f *flight) {
	if f.ahead {
		f.ahead = false
		l.ahead[rank(f.item.Priority)]--
	}
	if f.waiting {
		f.waiting = false
		close(f.turn)
	}
}

// dismiss sends those away who wait for a slot: there are none to be had soon.
func (l *lane) dismiss() {
	for class, list := range l.waiting {
		for _, f := range list {
			l.endWait(f)
		}
		l.waiting[class] = nil
	}
}

// fault takes in a call to which WhatsApp did not answer. If that opens the breaker
// nobody waits for a slot any more.
func (l *lane) fault(now time.Time, probe bool) {
	open := l.breaker.open()
	l.breaker.fault(now, probe)
	if !open && l.breaker.open() {
		l.dismiss()
	}
}

// quiet reports whether no call is to come and the last has left the window, so
// that another process may begin.
func (l *lane) quiet(now time.Time) bool {
	return l.ahead == [len(priorities)]int{} && l.limiter.quiet(now)
}

// head is the next of a class that no gate keeps back; the others are set aside
// on the way.
func (l *lane) head(class int, now time.Time) *flight {
	for {
		f := l.classes[class].head()
		if f == nil {
			return nil
		}
		g, until := l.gateOf(f, now)
		if g == nil {
			return f
		}
		l.keepBack(f, g, until)
	}
}

// setAside keeps f until its time.
func (l *lane) setAside(f *flight, until time.Time, forget bool) {
	f.release()
	f.state, f.until, f.forget = flightAside, until, forget
	if f.item.State != work.Ready {
		l.settling++
	}
	heap.Push(&l.aside, f)
}

// popAside takes out the next item whose time has come; nil if there is none.
func (l *lane) popAside(now time.Time) *flight {
	if len(l.aside) == 0 || now.Before(l.aside[0].until) {
		return nil
	}
	f := heap.Pop(&l.aside).(*flight) //nolint:forcetypeassert // the heap holds nothing else
	switch {
	case f.byGate:
		f.byGate = false
		l.gated--
	case f.item.State != work.Ready:
		l.settling--
	}
	return f
}

// queue puts a flight at the end of what waits for a slot.
func (l *lane) queue(f *flight) {
	f.state = flightQueued
	q := &l.classes[rank(f.item.Priority)]
	if f.item.Fresh {
		q.fresh = append(q.fresh, f)
		return
	}
	q.timed = append(q.timed, f)
}

// asideHeap orders flights by the time until which they wait.
type asideHeap []*flight

func (h asideHeap) Len() int           { return len(h) }
func (h asideHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h asideHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *asideHeap) Push(x any)        { *h = append(*h, x.(*flight)) }
func (h *asideHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}
