package lane

import (
	"time"

	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

const (
	// maxWait is how long after a message's turn its call goes before all others: well
	// before pace.CallWithin, and longer than the longest pace.Recording.Lead.
	maxWait = 700 * time.Millisecond
	// minProbeWait is the shortest wait between two looks at an open breaker.
	minProbeWait = 10 * time.Millisecond
)

// turns is the lower class that goes first in each of ten turns; 0 for none.
var turns = [10]int{4: 1, 9: 2}

// calls are the calls of a lane that the handler works on.
type calls struct {
	// running counts all of them, urgent the OTP messages, ahead those that have no
	// slot yet, by class.
	running, urgent int
	ahead           [len(priorities)]int
	// waiting are the calls whose SendAttempted is recorded and that wait for a slot,
	// by class, in order of arrival.
	waiting [len(priorities)][]*Flight
	turn    int // in turns
}

// noneAhead reports whether no call is without its slot.
func (c *calls) noneAhead() bool { return c.ahead == [len(priorities)]int{} }

// next returns the flight that gets the next slot, or nil if none waits. A flight whose
// turn came more than maxWait ago goes first, because its call would otherwise be too
// late. If there is none, each lower class with a waiting flight gets one slot in ten,
// and the most urgent class with a waiting flight gets the others.
func (c *calls) next(now time.Time) *Flight {
	var heads [len(priorities)]*Flight
	for class := range c.waiting {
		list := &c.waiting[class]
		for len(*list) > 0 && (*list)[0].call.phase != callWaiting {
			(*list)[0] = nil
			*list = (*list)[1:]
		}
		if len(*list) > 0 {
			heads[class] = (*list)[0]
		}
	}
	for _, f := range heads {
		if f != nil && now.Sub(f.call.pickedAt) > maxWait {
			return f
		}
	}
	if f := heads[turns[c.turn%len(turns)]]; f != nil {
		return f
	}
	for _, f := range heads {
		if f != nil {
			return f
		}
	}
	return nil
}

// pickCalls removes the flights whose SendAttempted must be recorded now, so that they
// can be called when their slot comes, and appends them to out. It returns how long to
// wait until the next look.
func (l *Lane) pickCalls(now, at time.Time, out []*Flight) (_ []*Flight, wait time.Duration) {
	if until := l.waitsUntil(); at.Before(until) {
		return out, until.Sub(at)
	}
	lead := l.shared.Recording.Lead(now)
	for {
		if l.shared.Recording.Full() {
			return out, Idle // the next recording that ends rings
		}
		probe, ok := l.breaker.Allows(at)
		if !ok {
			return out, max(l.breaker.ProbeAt().Sub(at), minProbeWait)
		}
		reopens, closed := l.shared.Gate.Closed(now)
		f, again := l.nextCall(now, at, lead, closed)
		switch {
		case f != nil:
		case closed && (again.IsZero() || reopens.Before(again)):
			return out, reopens.Sub(now)
		case again.IsZero():
			return out, Idle // what arrives or ends wakes the loop
		default:
			return out, again.Sub(now)
		}
		l.beginCall(f, now, at, probe)
		out = append(out, f)
	}
}

// nextCall returns the flight whose SendAttempted must be recorded now because its slot
// is due within lead. The flight is still in its queue. If there is none, nextCall
// returns when to look again, or the zero time if time alone changes nothing. A tenth
// of the limit of calls in flight is reserved for OTP messages, and they are the only
// ones while the gate is closed.
func (l *Lane) nextCall(now, at time.Time, lead time.Duration, closed bool) (f *Flight, again time.Time) {
	if l.calls.running >= l.inFlightBound() {
		return nil, time.Time{}
	}
	if l.calls.noneAhead() {
		l.limiter.ForfeitUnused(now)
	}
	urgentOnly := closed || l.calls.running-l.calls.urgent >= l.inFlightBound()*9/10
	before := 0
	for class := range priorities {
		before += l.calls.ahead[class]
		if !l.open(class) || class > 0 && urgentOnly {
			continue
		}
		f := l.head(class, at)
		if f == nil {
			continue
		}
		// These get their slots first: all calls of its own class and of the higher
		// ones, but at most nine of those for each of its own.
		due := l.limiter.Due(1+min(before, len(turns)*l.calls.ahead[class]), now)
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

// beginCall counts f among the calls that the handler works on.
func (l *Lane) beginCall(f *Flight, now, at time.Time, probe bool) {
	f.call = call{phase: callRecording, pickedAt: now, probe: probe}
	if probe {
		l.breaker.StartProbe()
	}
	l.pairTake(f, at)
	f.call.templateProbe = l.gates.startTemplateProbe(f.item.Template)
	l.begin(f)
	l.shared.Recording.Begin()
	class := rank(f.item.Priority)
	l.calls.running++
	l.calls.ahead[class]++
	if class == 0 {
		l.calls.urgent++
	}
}

// endCall ends what counts f among the calls that the handler works on.
func (l *Lane) endCall(f *Flight) {
	l.decide(f)
	l.pairReturn(f)
	f.call.slot.Release()
	l.calls.running--
	if rank(f.item.Priority) == 0 {
		l.calls.urgent--
	}
	if f.call.probe {
		l.breaker.EndProbe()
	}
	if f.call.templateProbe {
		l.gates.endTemplateProbe(f.item.Template)
	}
	f.call = call{}
}

// MayCall reports whether the flight's call can be made, given when SendAttempted was
// decided on: this process can make calls, it still serves the lane, nothing stops the
// lane, and the decision is recent enough.
func (f *Flight) MayCall(decided, now time.Time) bool {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	return f.lane.mayCall(f, decided, now)
}

// Template returns what WhatsApp's reports say about the template of the flight's message.
func (f *Flight) Template() template.Sendability {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	return f.lane.template(f.item.Template)
}

func (l *Lane) mayCall(f *Flight, decided, now time.Time) bool {
	return l.tenure != gone && !l.hold.active() && l.shared.MayCall(now) && now.Sub(decided) < pace.CallWithin &&
		l.template(f.item.Template) == template.Sendable && (f.call.probe || !l.breaker.Open()) && !l.shared.Clock().Before(l.waitsUntil()) && !l.restricts(&f.item)
}

// restricts reports whether a restriction of the sender stops an item.
func (l *Lane) restricts(item *work.Item) bool {
	return l.sender.Reach() == sender.ReachAll || item.Template != "" && l.restrictsTemplate(item.Template)
}

// restrictsTemplate reports whether a restriction of the sender stops messages of a template.
func (l *Lane) restrictsTemplate(key string) bool {
	return l.sender.Restricts(func() string {
		if l.shared.Category == nil {
			return ""
		}
		return l.shared.Category(l.sender.BusinessAccountID, key)
	})
}

// Recorded records that the flight's SendAttempted is in the event log. If the call can
// still be made, the flight waits for its slot: Recorded returns a channel that is
// closed when the wait ends, and the caller must call EndWait. Otherwise it returns
// false.
func (f *Flight) Recorded(decided time.Time) (turn <-chan struct{}, ok bool) {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.shared.Recording.Observe(now.Sub(f.call.pickedAt), now)
	if !l.mayCall(f, decided, now) {
		l.decide(f)
		return nil, false
	}
	l.endRecording()
	f.call.phase, f.call.turn = callWaiting, make(chan struct{})
	class := rank(f.item.Priority)
	l.calls.waiting[class] = append(l.calls.waiting[class], f)
	turn = f.call.turn
	if again := l.grant(now, l.shared.Clock()); !again.IsZero() {
		l.shared.Alarm.RingBefore(again)
	}
	return turn, true
}

// EndWait ends the flight's wait for its slot and returns the slot, or nil if it got
// none.
func (f *Flight) EndWait() *pace.Slot {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	f.lane.decide(f)
	return f.call.slot
}

// endRecording records that a SendAttempted is no longer being recorded.
func (l *Lane) endRecording() {
	if l.shared.Recording.End() {
		l.shared.Alarm.Ring()
	}
}

// decide ends the recording or the wait of a flight's call, with its slot or without.
func (l *Lane) decide(f *Flight) {
	switch f.call.phase {
	case callRecording:
		l.endRecording()
	case callWaiting:
		close(f.call.turn)
	case noCall, callDecided:
		return
	}
	f.call.phase = callDecided
	l.calls.ahead[rank(f.item.Priority)]--
}

// grant gives due slots to waiting flights in the order of calls.next. It returns when
// to call it again, or the zero time if no flight waits or if a slot must be spent or
// the rate changed before another slot can become due.
func (l *Lane) grant(now, at time.Time) (again time.Time) {
	for f := l.calls.next(now); f != nil; f = l.calls.next(now) {
		s, again := l.limiter.Reserve(now)
		if s == nil {
			return again
		}
		l.calls.turn++
		l.pairSlot(f, at)
		f.call.slot = s
		l.decide(f)
	}
	return time.Time{}
}

// Dismiss ends the wait of all flights that wait for a slot: none will be available
// soon.
func (l *Lane) Dismiss() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dismiss()
}

func (l *Lane) dismiss() {
	for class, list := range l.calls.waiting {
		for _, f := range list {
			if f.call.phase == callWaiting {
				l.decide(f)
			}
		}
		l.calls.waiting[class] = nil
	}
}

// FinishSlot spends the slot of a call that may have been written, even if the
// connection didn't report it. It returns the slot of a call that was surely not made.
func (f *Flight) FinishSlot(made bool) {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if made {
		f.call.slot.Written(time.Now())
	} else if f.call.slot == nil || f.call.slot.Release() {
		l.pairReturn(f)
	}
	f.call.pair = pairNone
}
