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
	// maxAside bounds the items of a lane that wait in memory for a recipient or
	// for settling to go on.
	maxAside = 1000
	// maxQueued bounds what a lane keeps of a priority beyond its prefetch: lost
	// answers to be sent again while the lane is paused.
	maxQueued = 1000
	// maxPairLevel makes 4^4 s the longest wait, as Meta advises for a pair.
	maxPairLevel = 4
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
	// slot is nil for work that needs no call.
	slot  *slot
	probe bool
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
	due      time.Time // when the message is due next, if it is
}

// classQueue is what is at hand of one priority.
type classQueue struct {
	timed, fresh []*flight
	// cursor is the position of Queued behind which fresh items are fetched.
	cursor event.Position
	rewind bool
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

// pair is a recipient to whom WhatsApp wants fewer messages from this lane.
type pair struct {
	level int
	until time.Time
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
	// gone is set once another process may own the lane.
	gone    bool
	classes [len(priorities)]classQueue
	aside   asideHeap
	pairs   map[string]*pair
	turn    int
	// working counts the calls under way, urgent those of them that are OTP.
	working, urgent int
}

func newLane(s sender.Sender) *lane {
	l := &lane{limiter: &limiter{}, pairs: make(map[string]*pair)}
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
	return !l.gone && !l.hold.active && !l.sender.Paused(string(priorities[class]))
}

// room is how many more items of a priority are wanted: none before half of what
// is kept at hand is gone, unless it is to be filled up.
func (l *lane) room(class int, fill bool) int {
	if !l.open(class) || len(l.aside) >= maxAside {
		return 0
	}
	q := &l.classes[class]
	room := max(0, l.prefetch()-len(q.timed)-len(q.fresh))
	if !fill && room < l.prefetch()/2 {
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

// next is the flight whose turn it is, still in its queue. Of ten turns one goes
// to each lower class that has work; a tenth of the bound is kept for OTP.
func (l *lane) next(now time.Time) *flight {
	if l.working >= l.inFlightBound() {
		return nil
	}
	full := l.working-l.urgent >= l.inFlightBound()*9/10
	var heads [len(priorities)]*flight
	for class := range priorities {
		if l.open(class) && (class == 0 || !full) {
			heads[class] = l.head(class, now)
		}
	}
	switch l.turn % 10 {
	case 4:
		if heads[1] != nil {
			return heads[1]
		}
	case 9:
		if heads[2] != nil {
			return heads[2]
		}
	}
	for _, f := range heads {
		if f != nil {
			return f
		}
	}
	return nil
}

// head is the next of a class whose recipient may be written to; the others are
// set aside on the way.
func (l *lane) head(class int, now time.Time) *flight {
	for {
		f := l.classes[class].head()
		if f == nil {
			return nil
		}
		p := l.pairs[f.item.Recipient]
		if p == nil || !now.Before(p.until) {
			return f
		}
		l.setAside(f, p.until, false)
	}
}

// setAside keeps f until its time. Nothing more is fetched for a lane of which
// maxAside wait.
func (l *lane) setAside(f *flight, until time.Time, forget bool) {
	f.state, f.until, f.forget = flightAside, until, forget
	heap.Push(&l.aside, f)
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

// pairHit takes in that WhatsApp refused one more message to a recipient and
// answers until when it waits: 4^x s, x from 0 to 4.
func (l *lane) pairHit(recipient string, now time.Time, atLeast time.Duration) time.Time {
	for r, p := range l.pairs { // what is over long since is forgotten
		if now.Sub(p.until) > maxBackoff {
			delete(l.pairs, r)
		}
	}
	p := l.pairs[recipient]
	if p == nil {
		p = &pair{}
		l.pairs[recipient] = p
	}
	wait := atLeast
	if !now.Before(p.until) {
		wait = max(wait, time.Second<<(2*p.level))
		p.level = min(p.level+1, maxPairLevel)
	}
	if until := now.Add(wait); until.After(p.until) {
		p.until = until
	}
	return p.until
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
