package lane

import (
	"container/heap"
	"time"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

type flightState uint8

const (
	flightQueued  flightState = iota // in memory, waits for its turn
	flightDelayed                    // waits for its time in Lane.delayed
	flightWorking                    // with the handler
	flightDone                       // nothing is left to do, or it stays in the work list
)

// A delayReason is why a flight is delayed.
type delayReason uint8

const (
	untilDue     delayReason = iota // it is queued, or emitted, when its time comes
	untilRefetch                    // it is forgotten when its time comes, so that it is fetched again
	behindGate                      // its gate holds it back
)

// A Flight is an item of the work list that this process knows. It belongs to one
// lane. Its methods are for the handler that works on the flight, until it
// returns.
type Flight struct {
	lane *Lane
	// disposition belongs to the handler while the flight is with it.
	disposition Disposition
	// The lane's mutex guards all fields below.
	item  work.Item
	state flightState
	call  call
	// gate is the gate that holds it back, or held it back until it was fetched again;
	// nil if none.
	gate   *gate
	reason delayReason
	until  time.Time // of a delayed flight
	// unlisted is set if the work list doesn't know the labels of the item, so that no request
	// can skip it.
	unlisted bool
}

type callPhase uint8

const (
	noCall        callPhase = iota
	callRecording           // SendAttempted is being recorded
	callWaiting             // it waits for its slot
	callDecided             // it has its slot, or gets none
)

type pairState uint8

const (
	pairNone   pairState = iota // the recipient does not count the call
	pairComing                  // the recipient counts the call, which has no slot yet
	pairSlot                    // the recipient counts the call, which has its slot
)

// call is the part of a flight from the pick of its call until the handler returns.
type call struct {
	phase    callPhase
	pickedAt time.Time
	pair     pairState
	// probe is set for the call that finds out whether WhatsApp responds again,
	// templateProbe for the one that finds out whether a template is accepted again.
	probe, templateProbe bool
	// turn is closed when the wait for the slot ends. Then slot is the right to write
	// the call, or nil if it gets none.
	turn chan struct{}
	slot *pace.Slot
}

type dispositionKind uint8

const (
	failed dispositionKind = iota
	done
	needsSlot
	later
	stays
	paused
)

// A Disposition is the handler's decision about a flight. The zero value is a
// failure: nothing is known to be recorded, and the item is fetched again after a
// wait.
type Disposition struct {
	kind     dispositionKind
	position event.Position
	until    time.Time
	labels   []string
}

// Done returns the Disposition of a flight with nothing left to do once the read model that
// its item came from has projected the event at position.
func Done(position event.Position) Disposition { return Disposition{kind: done, position: position} }

// NeedsSlot returns the Disposition of a flight whose message must be called, and
// that was emitted without a call.
func NeedsSlot() Disposition { return Disposition{kind: needsSlot} }

// Stays returns the Disposition of a flight whose message stays in the work list as it is. It is
// not in memory any longer.
func Stays() Disposition { return Disposition{kind: stays} }

// Later returns the Disposition of a flight that nothing can be done for before until.
func Later(until time.Time) Disposition { return Disposition{kind: later, until: until} }

// Paused returns the Disposition of a flight that an operator has paused by a label. labels are
// what identifies the labels of its message, which its item may not have.
func Paused(labels []string) Disposition { return Disposition{kind: paused, labels: labels} }

// Item returns the item of the work list.
func (f *Flight) Item() work.Item { return f.item }

// Lane returns the lane of the flight.
func (f *Flight) Lane() *Lane { return f.lane }

// HasCall reports whether the flight was emitted to make a call.
func (f *Flight) HasCall() bool {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	return f.call.phase != noCall
}

// Probes reports whether the flight's call finds out whether WhatsApp responds again.
func (f *Flight) Probes() bool { return f.call.probe }

// Conclude records the handler's decision.
func (f *Flight) Conclude(d Disposition) { f.disposition = d }

// queue is what a lane has in memory of one priority.
type queue struct {
	timed, fresh []*Flight
	// cursor is the position of Queued after which fresh items are fetched.
	cursor event.Position
	rewind bool // the next fetch starts from the first fresh item
	// drained is set when the work list had fewer items than were requested.
	drained bool
}

// head removes flights that are no longer queued and returns the next flight, or
// nil. Timed flights, which are due, go before fresh ones.
func (q *queue) head() *Flight {
	for _, list := range []*[]*Flight{&q.timed, &q.fresh} {
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

// push appends f.
func (q *queue) push(f *Flight) {
	f.state = flightQueued
	if f.item.Fresh {
		q.fresh = append(q.fresh, f)
		return
	}
	q.timed = append(q.timed, f)
}

// delayed holds the flights that wait for their time.
type delayed struct {
	heap delayedHeap
	// gated counts the flights behind a gate, settling the others whose response or delivery
	// is outstanding.
	gated, settling int
}

// push adds f until its time.
func (d *delayed) push(f *Flight, until time.Time, reason delayReason) {
	f.state, f.until, f.reason = flightDelayed, until, reason
	switch {
	case reason == behindGate:
		d.gated++
	case f.item.State != work.Ready:
		d.settling++
	}
	heap.Push(&d.heap, f)
}

// pop removes the next flight whose time has come and returns it, or nil.
func (d *delayed) pop(now time.Time) *Flight {
	if len(d.heap) == 0 || now.Before(d.heap[0].until) {
		return nil
	}
	f := heap.Pop(&d.heap).(*Flight) //nolint:forcetypeassert // the heap holds nothing else
	switch {
	case f.reason == behindGate:
		d.gated--
	case f.item.State != work.Ready:
		d.settling--
	}
	return f
}

// delayedHeap orders flights by the time until which they wait.
type delayedHeap []*Flight

func (h delayedHeap) Len() int           { return len(h) }
func (h delayedHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h delayedHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *delayedHeap) Push(x any)        { *h = append(*h, x.(*Flight)) }
func (h *delayedHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return f
}
