package fair_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/app/fair"
)

// load is a gate and what it works with, in virtual time: an event log that appends one
// thing at a time, and webhooks that wait for it.
type load struct {
	gate *fair.Gate
	log  chan struct{}

	mu       sync.Mutex
	webhooks []time.Duration // how long each took to be recorded
	tasks    sync.WaitGroup
}

func newLoad(g *fair.Gate) *load { return &load{gate: g, log: make(chan struct{}, 1)} }

// appends occupies the log for a time, after all that came before.
func (l *load) appends(took time.Duration) {
	l.log <- struct{}{}
	time.Sleep(took)
	<-l.log
	l.gate.Appended(took, time.Now())
}

// webhook records a webhook as record does.
func (l *load) webhook(record func()) {
	begun := time.Now()
	r := l.gate.Begin(begun)
	record()
	l.gate.End(r, time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.webhooks = append(l.webhooks, time.Since(begun))
}

// calls makes calls at the given rate for a time, as far as the gate is open, and returns
// their number. Each call appends twice, and three webhooks follow it.
func (l *load) calls(rate int, during time.Duration, appendTime time.Duration) (made int) {
	for begun := time.Now(); time.Since(begun) < during; time.Sleep(time.Second / time.Duration(rate)) {
		if _, closed := l.gate.Closed(time.Now()); closed {
			continue
		}
		made++
		l.tasks.Go(func() {
			l.appends(appendTime)
			time.Sleep(50 * time.Millisecond)
			for range 3 {
				l.tasks.Go(func() { l.webhook(func() { l.appends(appendTime) }) })
				time.Sleep(50 * time.Millisecond)
			}
			l.appends(appendTime)
		})
	}
	return made
}

func (l *load) percentile(p int) time.Duration {
	slices.Sort(l.webhooks)
	return l.webhooks[len(l.webhooks)*p/100]
}

// At twice the load that the log sustains, webhooks are recorded in time, and the log is
// still fully used.
func TestGateUnderOverload(t *testing.T) {
	t.Parallel()
	const appendTime, sustainable = time.Millisecond, 200 // calls per second: each appends five times
	const seconds = 20
	run := func(t *testing.T, gate *fair.Gate) (perSecond int, p99 time.Duration) {
		t.Helper()
		synctest.Test(t, func(*testing.T) {
			l := newLoad(gate)
			perSecond = l.calls(2*sustainable, seconds*time.Second, appendTime) / seconds
			l.tasks.Wait()
			p99 = l.percentile(99)
		})
		return perSecond, p99
	}
	if _, p99 := run(t, nil); p99 < 5*time.Second {
		t.Errorf("without a gate, the slowest webhooks take only %s, so the test proves nothing", p99)
	}
	perSecond, p99 := run(t, fair.NewGate())
	t.Logf("%d calls per second, webhooks p99 %s", perSecond, p99)
	if p99 > time.Second || perSecond < sustainable*95/100 {
		t.Errorf("%d calls per second, webhooks p99 %s", perSecond, p99)
	}
}

// share returns the part of a minute during which the gate is open, while webhooks arrive
// from a number of connections, each one as soon as the one before is recorded.
func share(t *testing.T, connections int, record func(*load)) (open float64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(fair.NewGate())
		ctx, stop := context.WithCancel(t.Context())
		for range connections {
			l.tasks.Go(func() {
				for ctx.Err() == nil {
					l.webhook(func() { record(l) })
				}
			})
		}
		const asked = 6000
		for range asked {
			time.Sleep(time.Minute / asked)
			if _, closed := l.gate.Closed(time.Now()); !closed {
				open++
			}
		}
		open /= asked
		stats := l.gate.Stats(time.Now())
		if measured := 1 - stats.Closed.Seconds()/60; measured < open-0.02 || measured > open+0.02 {
			t.Errorf("open for %.2f of the time, but the totals say %.2f", open, measured)
		}
		stop()
		l.tasks.Wait()
	})
	return open
}

// Webhooks that come as fast as they are recorded, and have nothing to do with calls, slow
// down calls but never stop them.
func TestGateOpensAgainAndAgainInAFlood(t *testing.T) {
	t.Parallel()
	open := share(t, 1000, func(l *load) { l.appends(time.Millisecond) })
	if open < 0.05 || open > 0.2 {
		t.Errorf("open for %.2f of the time", open)
	}
}

// A log that takes long for every webhook doesn't hold calls back, because waiting would not
// make it faster.
func TestGateFollowsASlowLog(t *testing.T) {
	t.Parallel()
	for _, took := range []time.Duration{180 * time.Millisecond, 2 * time.Second} {
		open := share(t, 20, func(l *load) {
			if rand.N(100) == 0 {
				return // it was recorded before, so it appends nothing
			}
			took := took + rand.N(took)
			time.Sleep(took)
			l.gate.Appended(took, time.Now())
		})
		if open < 0.9 {
			t.Errorf("open for %.2f of the time if webhooks take from %s to %s", open, took, 2*took)
		}
	}
}

// A log that was fast and becomes slow, for example after a failover, slows down calls for at
// most two minutes.
func TestGateForgetsAFastLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(fair.NewGate())
		record := func(took time.Duration) {
			l.webhook(func() { time.Sleep(took) })
			l.gate.Appended(took, time.Now())
		}
		record(5 * time.Millisecond)
		const slow = 500 * time.Millisecond
		for begun := time.Now(); time.Since(begun) < 2*time.Minute; {
			record(slow)
		}
		l.tasks.Go(func() { record(slow) })
		time.Sleep(slow - time.Millisecond)
		if _, closed := l.gate.Closed(time.Now()); closed {
			t.Error("closed because of a webhook that takes as long as all others")
		}
		l.tasks.Wait()
	})
}

func TestGateStaysOpenWhileWebhooksAreFast(t *testing.T) {
	t.Parallel()
	if open := share(t, 50, func(l *load) { l.appends(time.Millisecond) }); open < 1 {
		t.Errorf("open for %.4f of the time", open)
	}
	var none *fair.Gate
	none.End(none.Begin(time.Now()), time.Now())
	if _, closed := none.Closed(time.Now()); closed {
		t.Error("closed without webhooks")
	}
}

// The gate closes while the oldest webhook is late, and opens as soon as it is recorded.
func TestGateOpensWhenNothingIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := fair.NewGate()
		opened := 0
		g.OnOpen(func() { opened++ })
		r := g.Begin(time.Now())
		closed := func() bool {
			_, closed := g.Closed(time.Now())
			return closed
		}
		time.Sleep(90 * time.Millisecond)
		if closed() {
			t.Error("closed before the webhook is late")
		}
		time.Sleep(20 * time.Millisecond)
		if !closed() {
			t.Error("open although a webhook is late")
		}
		time.Sleep(30 * time.Millisecond)
		g.End(r, time.Now())
		if closed() || opened != 1 {
			t.Errorf("closed, or opened %d times", opened)
		}
		if s := g.Stats(time.Now()); s != (fair.GateStats{Closings: 1, Closed: 30 * time.Millisecond}) {
			t.Errorf("totals %+v", s)
		}
	})
}
