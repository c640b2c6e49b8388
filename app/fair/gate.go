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
	// WhatsApp waits.
	minTarget = 100 * time.Millisecond
	// slowdown is how many times as long as the fastest append recording a webhook can take:
	// an append or two, and some waiting.
	slowdown = 4
	// bestWindow is how long the fastest append counts, at least. After twice that, it does
	// not.
	bestWindow = time.Minute
	// A gate is closed for at most maxClosed, and after that open for at least minOpen. So
	// calls continue, whatever arrives. In one part of seventeen of the time, lanes make more
	// calls than a machine sustains only if their rates add up to seventeen times as much.
	maxClosed = 4 * time.Second
	minOpen   = 250 * time.Millisecond
)

// A Gate keeps new calls back while the recording of webhooks is behind. WhatsApp waits for
// the response to a webhook, and every call causes about three more statuses. Without the
// gate, calls would take the time that their own statuses need.
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

	mu        sync.Mutex   // guards all fields below
	recording []*Recording // oldest first; those in the middle can have ended
	running   int          // number of webhooks being recorded
	// usual is the moving average of the time to record, or 0 if nothing was behind since.
	usual time.Duration
	best  fastest

	closed  bool
	since   time.Time     // when it closed or opened
	minOpen time.Duration // how long it must stay open
	stats   GateStats
}

// GateStats are totals of a gate.
type GateStats struct {
	Closings int64         // how often it closed
	Closed   time.Duration // how long it was closed
}

// A Recording is the recording of one webhook.
type Recording struct {
	begun time.Time
	ended bool // guarded by Gate.mu
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{opened: func() {}} }

// OnOpen sets a function that is called when a webhook opens the gate. It must not block. It
// can be set once, before the gate is used.
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
	r := &Recording{begun: now}
	g.recording = append(g.recording, r)
	g.running++
	g.step(now)
	return r
}

// End records that the recording of a webhook has ended.
func (g *Gate) End(r *Recording, now time.Time) {
	if g != nil && g.end(r, now) {
		g.opened()
	}
}

func (g *Gate) end(r *Recording, now time.Time) (opened bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.ended = true
	g.running--
	for len(g.recording) > 0 && g.recording[0].ended {
		g.recording[0] = nil
		g.recording = g.recording[1:]
	}
	g.usual += (now.Sub(r.begun) - g.usual) / 8
	if g.running == 0 {
		g.usual = 0
	}
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

// Timed returns log, whose appends are then recorded with Appended.
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
	done, err := l.Log.Append(ctx, stream, expected, events...)
	if now := l.clock(); err == nil {
		l.gate.Appended(now.Sub(begun), now)
	}
	return done, err
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
	return g.since.Add(maxClosed), g.closed
}

// Stats returns the totals until now.
func (g *Gate) Stats(now time.Time) GateStats {
	if g == nil {
		return GateStats{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	if g.closed {
		s.Closed += max(0, now.Sub(g.since))
	}
	return s
}

// step opens or closes the gate as the webhooks require at now. It reports whether it
// opened.
func (g *Gate) step(now time.Time) (opened bool) {
	delay, target := g.delay(now), max(minTarget, slowdown*g.best.at(now))
	if !g.closed {
		if delay > target && now.Sub(g.since) >= g.minOpen {
			g.closed, g.since = true, now
			g.stats.Closings++
		}
		return false
	}
	helped := delay <= target/2
	if !helped && now.Sub(g.since) < maxClosed {
		return false
	}
	g.minOpen = 0
	if !helped {
		g.minOpen = minOpen
	}
	g.stats.Closed += max(0, now.Sub(g.since)) // now can be from before another goroutine's step
	g.closed, g.since = false, now
	return true
}

// delay returns how long webhooks take to be recorded: on average, or the oldest one until
// now if that is longer. It is 0 if none is being recorded.
func (g *Gate) delay(now time.Time) time.Duration {
	if g.running == 0 {
		return 0
	}
	return max(g.usual, now.Sub(g.recording[0].begun))
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
