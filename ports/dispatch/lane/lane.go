package lane

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

const (
	// A lane has at least minInFlight and at most maxInFlight calls in flight. Between
	// them the limit is inFlightSeconds of its rate: enough for an API that takes one
	// second, twice over.
	minInFlight     = 16
	maxInFlight     = 2000
	inFlightSeconds = 2
	// minPrefetch is the least number of items that a lane keeps in memory per
	// priority.
	minPrefetch = 8
	// maxDelayed limits the items of a lane that wait in memory for their recipient,
	// template, or campaign, and also those that wait for their time or for the event store.
	maxDelayed = 1000
	// maxQueued limits what a lane keeps of a priority beyond its prefetch: lost
	// responses to be sent again while the lane is paused.
	maxQueued = 1000
	// Idle is the wait of a lane that only an event can give something to do, not time.
	Idle = time.Duration(math.MaxInt64)
)

// tenure is whether this process serves a lane.
type tenure uint8

const (
	serving tenure = iota
	leaving        // no new calls start, and the lane goes to another process soon
	gone           // another process can own the lane
)

// A Lane is the queue of one sender as this process serves it. It is safe for
// concurrent use.
type Lane struct {
	id      string // of the sender
	shared  *Shared
	limiter *pace.Limiter // has its own lock

	mu      sync.Mutex // guards all fields below, and the lane's flights
	sender  sender.Sender
	tenure  tenure
	hold    hold
	breaker pace.Breaker
	queues  [len(priorities)]queue
	// arrivals counts the notifications of new items.
	arrivals  int
	rewoundAt time.Time
	delayed   delayed
	limited   limited
	gates     gates
	calls     calls
}

// New returns a Lane for a sender. It is held if the sender is.
func New(s sender.Sender, shared *Shared) *Lane {
	l := &Lane{id: s.ID, shared: shared, limiter: pace.NewLimiter(s.Rate), sender: s}
	l.gates = newGates(shared.PairLimit, l.templateWaits, shared.Paused)
	l.update(s)
	if s.Hold != nil {
		l.stop(shared.Clock())
	}
	return l
}

// ID returns the sender's ID.
func (l *Lane) ID() string { return l.id }

// Sender returns the sender as the lane knows it.
func (l *Lane) Sender() sender.Sender {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sender
}

// template returns what WhatsApp's reports say about messages of a template.
func (l *Lane) template(key string) template.Sendability {
	if key == "" || l.shared.Template == nil {
		return template.Sendable
	}
	return l.shared.Template(l.sender.BusinessAccountID, key)
}

// templateWaits reports whether WhatsApp has reported that it accepts no messages of a
// template for now: because of the template, or because of a restriction of the sender.
func (l *Lane) templateWaits(key string) bool {
	return l.restrictsTemplate(key) || l.template(key) == template.Waiting
}

// update applies the record of the sender.
func (l *Lane) update(s sender.Sender) {
	stricter := !s.SameReach(l.sender) || s.Throughput.PausedUntil.After(l.sender.Throughput.PausedUntil)
	l.sender = s
	l.limiter.SetRate(s.Rate)
	if stricter {
		l.dismiss() // the others get their slots again
	}
}

// waitsUntil returns the time until which the lane makes no calls: in the past if it does. It is
// throttled, or WhatsApp is raising its throughput.
func (l *Lane) waitsUntil() time.Time {
	until := l.shared.Throttles.Until(&l.sender)
	if paused := l.sender.Throughput.PausedUntil; paused.After(until) {
		return paused
	}
	return until
}

// SetInbound sets how many messages the sender received during the last second.
func (l *Lane) SetInbound(n int) { l.limiter.SetInbound(n) }

// LastWrite returns the time of the lane's latest call in the window of the rate, or
// the zero time if there is none.
func (l *Lane) LastWrite() time.Time { return l.limiter.LastWrite() }

// Keep lets the lane start calls again if it was leaving.
func (l *Lane) Keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == leaving {
		l.tenure = serving
	}
}

// Leave stops new calls of the lane. Once its last writes have left the window of the
// rate, Leave retires the lane and returns true: it can go to another process.
// Responses that are still outstanding are recorded by this one.
func (l *Lane) Leave(now time.Time) (retired bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tenure == serving {
		l.tenure = leaving
	}
	if !l.calls.noneAhead() || !l.limiter.WindowClear(now) {
		return false
	}
	l.retire()
	return true
}

// Retire ends the lane: another process can own it from now on. Its flights in memory are
// forgotten. Flights that are with the handler, and finished ones, stay known.
func (l *Lane) Retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retire()
}

func (l *Lane) retire() {
	l.tenure = gone
	l.dismiss()
	forget := func(flights []*Flight) {
		for _, f := range flights {
			if f.state == flightQueued || f.state == flightDelayed {
				l.shared.Known.remove(f)
			}
		}
	}
	for class := range l.queues {
		forget(l.queues[class].timed)
		forget(l.queues[class].fresh)
	}
	forget(l.delayed.heap)
}

func (l *Lane) inFlightBound() int {
	return min(max(l.sender.Rate*inFlightSeconds, minInFlight), maxInFlight)
}

func (l *Lane) prefetch() int { return max(minPrefetch, l.sender.Rate/2) }

// open reports whether messages of a priority can be sent at all.
func (l *Lane) open(class int) bool {
	return l.tenure == serving && !l.hold.active() && l.sender.Reach() != sender.ReachAll && !l.sender.Paused(string(priorities[class])) &&
		!l.shared.holds(priorities[class])
}

// Pick removes from the queues the flights that the handler can work on now, by the
// monotonic clock now and Waypost's clock at, and appends them to out. It returns how long to wait
// until the next look, and whether the lane has room for more items than it has in
// memory.
func (l *Lane) Pick(now, at time.Time, out []*Flight) (_ []*Flight, wait time.Duration, hungry bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = Idle
	if l.tenure == gone {
		return out, wait, false
	}
	for f := l.delayed.pop(at); f != nil; f = l.delayed.pop(at) {
		switch {
		case !l.shared.Known.has(f):
		case f.reason == untilRefetch:
			l.shared.Known.remove(f)
			l.queues[rank(f.item.Priority)].rewind = true
			hungry = true
		case f.item.State == work.Ready:
			l.queues[rank(f.item.Priority)].push(f)
		default:
			l.begin(f)
			out = append(out, f)
		}
	}
	if len(l.delayed.heap) > 0 {
		wait = min(wait, l.delayed.heap[0].until.Sub(at))
	}
	if again := l.grant(now, at); !again.IsZero() {
		wait = min(wait, again.Sub(now))
	}
	before := len(out)
	out, waitForCall := l.pickCalls(now, at, out)
	for _, f := range l.gates.left { // their gate opens later
		l.shared.Known.remove(f)
	}
	clear(l.gates.left)
	l.gates.left = l.gates.left[:0]
	return out, min(wait, waitForCall), hungry || len(out) > before && l.needsRefill()
}

// begin counts f among the flights with the handler.
func (l *Lane) begin(f *Flight) {
	f.leaveGate()
	f.state, f.disposition = flightWorking, Disposition{}
}

// Finish takes a flight back from the handler. acked reports whether the handler
// returned without an error.
func (l *Lane) Finish(f *Flight, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.call.phase != noCall {
		l.endCall(f)
	}
	end := f.disposition
	if !acked {
		end = Disposition{}
	}
	known := &l.shared.Known
	if !known.has(f) {
		return
	}
	if l.tenure == gone && end.kind != done {
		known.remove(f)
		return
	}
	switch end.kind {
	case done:
		l.shared.Failures.Reset()
		f.state = flightDone
		known.removeAt(f, end.position)
	case needsSlot:
		q := &l.queues[rank(f.item.Priority)]
		if len(q.timed) >= maxQueued {
			l.delay(f, l.shared.Clock().Add(time.Second), untilDue)
			return
		}
		f.item.Fresh = false
		q.push(f)
	case later:
		l.delay(f, end.until, untilDue)
	case paused:
		l.pause(f, end.labels)
	case stays:
		f.state = flightDone
		known.remove(f)
	case failed:
		l.delay(f, l.shared.Clock().Add(l.shared.Failures.Next()), untilRefetch)
	}
}

// pause holds f back until no label of its message is paused.
func (l *Lane) pause(f *Flight, labels []string) {
	now := l.shared.Clock()
	f.unlisted = len(f.item.Labels) == 0
	f.item.Labels = labels
	if g, until := l.gates.find(&f.item, now); g != nil {
		l.holdBack(f, g, until)
		return
	}
	l.delay(f, now.Add(time.Second), untilDue) // it has just been resumed
}

// delay keeps f in memory until its time.
func (l *Lane) delay(f *Flight, until time.Time, reason delayReason) {
	f.leaveGate()
	l.delayed.push(f, until, reason)
}

// Status is the state of a lane of this process.
type Status struct {
	Sender string
	// EffectiveRate is how many calls per second the lane can make now. It is less than
	// the sender's rate after throttles and while messages are received, and 0 while
	// the lane makes no calls.
	EffectiveRate  float64
	InFlight       int
	ThrottledUntil time.Time // zero if not throttled
	// Outage is set while WhatsApp is treated as unavailable.
	Outage *pace.Outage
	// Held is set while Waypost has stopped the sender.
	Held bool
	// NextProbeAt is when WhatsApp is asked again about a held sender.
	NextProbeAt time.Time
	// HeldTemplates are the keys of the templates that WhatsApp does not accept for now and
	// that the lane has messages of, sorted.
	HeldTemplates []string
}

// Status returns the state of the lane.
func (l *Lane) Status() Status {
	now, at := time.Now(), l.shared.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{
		Sender: l.id, EffectiveRate: float64(l.limiter.Effective(now)), InFlight: l.calls.running,
		Outage: l.breaker.Outage(), Held: l.hold.active(),
	}
	if until := l.waitsUntil(); at.Before(until) {
		s.ThrottledUntil = until
	}
	for name, h := range l.gates.templates {
		if h.state != templateAccepted || l.templateWaits(name) {
			s.HeldTemplates = append(s.HeldTemplates, name)
		}
	}
	slices.Sort(s.HeldTemplates)
	if s.Held {
		s.NextProbeAt = l.hold.probeAt
	}
	stopped := s.Held || l.sender.Reach() == sender.ReachAll || s.Outage != nil || !s.ThrottledUntil.IsZero() || !l.shared.MayCall(now)
	if stopped || l.sender.State() == sender.StatePaused {
		s.EffectiveRate = 0
	}
	return s
}

// Responded records that WhatsApp responded to the flight's call, whatever the
// response.
func (f *Flight) Responded() {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	f.lane.breaker.Responded(f.call.probe)
}

// Fault records that WhatsApp did not respond to the flight's call, and how the call ended.
// If that opens the breaker, no call waits for a slot any longer. It returns the time of
// the next probe, or the zero time if the breaker is closed.
func (f *Flight) Fault(now time.Time, failure string) (probeAt time.Time) {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	wasOpen := l.breaker.Open()
	l.breaker.Fault(now, f.call.probe, failure)
	if !wasOpen && l.breaker.Open() {
		l.dismiss()
	}
	return l.breaker.ProbeAt()
}

// Refused records that WhatsApp refused the flight's call because of the number's
// rate, and that the lane waits until the given time of the monotonic clock.
func (f *Flight) Refused(now, until time.Time) {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limiter.Refused(f.call.slot, now, until)
	l.dismiss()
}

// SlowDown lowers the lane's rate from until on if the sender is in the scope.
func (l *Lane) SlowDown(s pace.Scope, now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pace.ScopeOf(s.Reach, l.sender) == s {
		l.limiter.Slow(now, until)
		l.dismiss()
	}
}

// Arrived records that the work list may have new items of a priority, or of any
// priority if p is empty.
func (l *Lane) Arrived(p message.Priority) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals++
	for class := range l.queues {
		if p == "" || class == rank(p) {
			l.queues[class].drained = false
		}
	}
}
