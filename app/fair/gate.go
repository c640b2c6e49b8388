package fair

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/app/event"
)

const (
	// minTarget is how long recording a webhook can take before calls wait, on a fast log:
	// several times what a log takes that keeps up, and a fraction of the seconds that
	// WhatsApp waits. Accepting waits at half of that, so it waits first, and both resume at
	// the same delay, so lanes don't run out of messages.
	minTarget = 100 * time.Millisecond
	// callSlowdown is how many times as long as the fastest append recording a webhook can
	// take before calls wait: an append or two, and some waiting. acceptSlowdown is the same
	// for accepting, about webhooks and the appends of calls.
	callSlowdown, acceptSlowdown = 4, 3
	// bestWindow is how long the fastest append counts, at least. After twice that, it does
	// not.
	bestWindow = time.Minute
	// A barrier is closed for at most maxClosed, and after that open for at least minOpen. So
	// calls continue, whatever arrives. In one part of seventeen of the time, lanes make more
	// calls than a machine sustains only if their rates add up to seventeen times as much.
	maxClosed = 4 * time.Second
	minOpen   = 250 * time.Millisecond
)

// A Gate keeps new calls back while the recording of webhooks is behind. WhatsApp waits for
// the response to a webhook, and every call causes about three more statuses. Without the
// gate, calls would take the time that their own statuses need. Accepting waits before new
// calls do, and also while the events of calls are recorded slowly: a caller can wait, and
// what it sends cannot be called in time anyway.
//
// The gate measures how long webhooks take to be recorded, so it needs to know neither the
// speed of the machine nor how many webhooks WhatsApp sends at a time. It closes when they
// take much longer than the fastest recent append, and opens when they take half of that.
// The comparison tells a backlog from a log that takes long for every append, where waiting
// calls would not help. It is with appends, because a webhook that is repeated appends
// nothing and shows nothing about the log.
//
// A nil *Gate is always open. A Gate is safe for concurrent use.
type Gate struct {
	opened func()

	mu       sync.Mutex // guards all fields below
	webhooks backlog
	appends  backlog // of changes to messages: their calls and statuses
	best     fastest
	calls    barrier
	accept   barrier
	admitted chan struct{} // closed and replaced when accepting resumes
}

// GateStats are totals of a gate.
type GateStats struct {
	Closings int64         // how often it closed
	Closed   time.Duration // how long it was closed
}

// A Recording is the recording of one webhook, or an append.
type Recording struct {
	begun time.Time
	ended bool // guarded by Gate.mu
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{opened: func() {}, admitted: make(chan struct{})} }

// OnOpen sets a function that is called when a webhook opens the gate for calls. It must not
// block. It can be set once, before the gate is used.
func (g *Gate) OnOpen(opened func()) {
	if g != nil {
		g.opened = opened
	}
}

// Begin records that the recording of a webhook begins. The caller must call End.
func (g *Gate) Begin(now time.Time) *Recording {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.webhooks.begin(now)
	g.step(now)
	return r
}

// End records that the recording of a webhook has ended.
func (g *Gate) End(r *Recording, now time.Time) {
	if g != nil && g.end(&g.webhooks, r, now) {
		g.opened()
	}
}

func (g *Gate) end(of *backlog, r *Recording, now time.Time) (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of.end(r, now)
	return g.step(now)
}

// Appended records that an append to the event log succeeded, and how long it took.
func (g *Gate) Appended(took time.Duration, now time.Time) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.best.add(took, now)
}

// Timed returns log, whose appends are then recorded with Appended. Accepting also waits
// while they take long, except for appends that accept messages: those create a stream.
func (g *Gate) Timed(log event.Log, clock event.Clock) event.Log { return timedLog{log, g, clock} }

type timedLog struct {
	event.Log

	gate  *Gate
	clock event.Clock
}

func (l timedLog) Append(
	ctx context.Context, stream string, expected event.Expected, events ...event.Proposed,
) (event.Appended, error) {
	begun := l.clock()
	var r *Recording
	if !expected.IsNoStream() {
		r = l.gate.beginAppend(begun)
	}
	done, err := l.Log.Append(ctx, stream, expected, events...)
	now := l.clock()
	if err == nil {
		l.gate.Appended(now.Sub(begun), now)
	}
	if r != nil && l.gate.end(&l.gate.appends, r, now) {
		l.gate.opened()
	}
	return done, err
}

func (g *Gate) beginAppend(now time.Time) *Recording {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.appends.begin(now)
}

// Closed reports whether new calls wait. If they do, it returns when to ask again at the
// latest.
func (g *Gate) Closed(now time.Time) (again time.Time, closed bool) {
	if g == nil {
		return time.Time{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step(now)
	return g.calls.since.Add(maxClosed), g.calls.closed
}

// AcceptingClosed reports whether accepting waits. It does whenever new calls wait. If it
// waits, it returns a channel that is closed when accepting resumes, and when to ask again
// at the latest.
func (g *Gate) AcceptingClosed(now time.Time) (again time.Time, admitted <-chan struct{}, closed bool) {
	if g == nil {
		return time.Time{}, nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step(now)
	again = g.accept.since.Add(maxClosed)
	if until := g.calls.since.Add(maxClosed); g.calls.closed && until.After(again) {
		again = until
	}
	return again, g.admitted, g.accept.closed
}

// Stats returns the totals of how calls waited until now.
func (g *Gate) Stats(now time.Time) GateStats {
	if g == nil {
		return GateStats{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls.statsAt(now)
}

// AcceptStats returns the totals of how accepting waited until now.
func (g *Gate) AcceptStats(now time.Time) GateStats {
	if g == nil {
		return GateStats{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accept.statsAt(now)
}

// step opens or closes the gate as webhooks and appends require at now. It reports whether
// it opened for calls.
func (g *Gate) step(now time.Time) (opened bool) {
	late, best := g.webhooks.delay(now), g.best.at(now)
	target := max(minTarget, callSlowdown*best)
	opened = g.calls.step(now, late, target, target/2)
	if g.calls.closed {
		g.accept.close(now)
		return opened
	}
	late = max(late, g.appends.delay(now))
	if g.accept.step(now, late, max(minTarget/2, acceptSlowdown*best), target/2) {
		close(g.admitted)
		g.admitted = make(chan struct{})
	}
	return opened
}

// backlog measures how long work of one kind takes, from the work in progress and the work
// that has ended. The zero value is ready to use.
type backlog struct {
	recording []*Recording // oldest first; those in the middle can have ended
	running   int          // number of those that have not ended
	// usual is the moving average of the time to record, or 0 if nothing was behind since.
	usual time.Duration
}

func (b *backlog) begin(now time.Time) *Recording {
	r := &Recording{begun: now}
	b.recording = append(b.recording, r)
	b.running++
	return r
}

func (b *backlog) end(r *Recording, now time.Time) {
	r.ended = true
	b.running--
	for len(b.recording) > 0 && b.recording[0].ended {
		b.recording[0] = nil
		b.recording = b.recording[1:]
	}
	b.usual += (now.Sub(r.begun) - b.usual) / 8
	if b.running == 0 {
		b.usual = 0
	}
}

// delay returns how long the work takes: on average, or the oldest one until now if that is
// longer. It is 0 if none is in progress.
func (b *backlog) delay(now time.Time) time.Duration {
	if b.running == 0 {
		return 0
	}
	return max(b.usual, now.Sub(b.recording[0].begun))
}

// barrier closes and opens by a delay. The zero value is open.
type barrier struct {
	closed  bool
	since   time.Time     // when it closed or opened
	minOpen time.Duration // how long it must stay open
	stats   GateStats
}

// step closes the barrier if the delay is above a bound, and opens it if the delay is at
// most another bound, or after maxClosed. It reports whether it opened.
func (b *barrier) step(now time.Time, delay, above, below time.Duration) (opened bool) {
	if !b.closed {
		if delay > above && now.Sub(b.since) >= b.minOpen {
			b.close(now)
		}
		return false
	}
	helped := delay <= below
	if !helped && now.Sub(b.since) < maxClosed {
		return false
	}
	b.minOpen = 0
	if !helped {
		b.minOpen = minOpen
	}
	b.stats.Closed += max(0, now.Sub(b.since)) // now can be from before another goroutine's step
	b.closed, b.since = false, now
	return true
}

func (b *barrier) close(now time.Time) {
	if b.closed {
		return
	}
	b.closed, b.since = true, now
	b.stats.Closings++
}

func (b *barrier) statsAt(now time.Time) GateStats {
	s := b.stats
	if b.closed {
		s.Closed += max(0, now.Sub(b.since))
	}
	return s
}

// fastest is the shortest time of an append during the last one to two windows. It is 0 if
// there was none.
type fastest struct {
	begun             time.Time // of the current window
	current, previous time.Duration
}

func (f *fastest) add(took time.Duration, now time.Time) {
	f.turn(now)
	took = max(took, 1)
	if f.current == 0 || took < f.current {
		f.current = took
	}
}

func (f *fastest) at(now time.Time) time.Duration {
	f.turn(now)
	if f.previous == 0 || f.current != 0 && f.current < f.previous {
		return f.current
	}
	return f.previous
}

// turn begins a new window if the current one is over.
func (f *fastest) turn(now time.Time) {
	switch age := now.Sub(f.begun); {
	case age >= 2*bestWindow:
		f.current, f.previous, f.begun = 0, 0, now
	case age >= bestWindow:
		f.current, f.previous, f.begun = 0, f.current, now
	}
}
