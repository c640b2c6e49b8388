package dispatch

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// most is the largest number of times that lie within one window.
func most(times []time.Time) int {
	n := 0
	for i, first := 0, 0; i < len(times); i++ {
		for times[i].Sub(times[first]) >= window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// Whatever the order in which slots are given away, written late, given back
// and the rate is changed: no window sees more than the highest rate that held
// when its slots were given away.
func TestLimiterNeverExceedsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000_000, 0)
		l := &limiter{}
		type granted struct {
			slot *slot
			rate int
		}
		rate := rapid.IntRange(1, 5).Draw(t, "rate")
		l.setRate(rate)
		var open []granted
		var writes []time.Time
		var rates []int
		for range rapid.IntRange(50, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 39).Draw(t, "what") {
			case 0:
				rate = rapid.IntRange(1, 5).Draw(t, "new rate")
				l.setRate(rate)
			case 1, 2:
				if len(open) > 0 {
					open[0].slot.release()
					open = open[1:]
				}
			case 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					if g := open[i]; !now.Before(g.slot.notBefore) {
						g.slot.written(now)
						g.slot.written(now.Add(time.Hour)) // changes nothing
						writes, rates = append(writes, now), append(rates, g.rate)
						open = append(open[:i:i], open[i+1:]...)
					}
				}
			default:
				if s, _ := l.reserve(now); s != nil {
					open = append(open, granted{s, rate})
				}
			}
		}
		for i := range writes {
			n, highest := 0, 0
			for j := i; j < len(writes) && writes[j].Sub(writes[i]) < window; j++ {
				n++
				highest = max(highest, rates[j])
			}
			if n > highest {
				t.Fatalf("%d writes in the window from %s, at most %d are allowed", n, writes[i], highest)
			}
		}
	})
}

func TestLimiterSharesOutTheRate(t *testing.T) {
	for _, rate := range []int{1, 7, 80, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := &limiter{}
			l.setRate(rate)
			var mu sync.Mutex
			var writes []time.Time
			var wg sync.WaitGroup
			const seconds = 20
			for end := time.Now().Add(seconds * time.Second); time.Now().Before(end); {
				s, again := l.reserve(time.Now())
				if s == nil {
					wait := time.Millisecond
					if !again.IsZero() {
						wait = max(wait, time.Until(again))
					}
					time.Sleep(wait)
					continue
				}
				wg.Go(func() {
					time.Sleep(5 * time.Millisecond) // SendAttempted is recorded
					time.Sleep(time.Until(s.notBefore))
					mu.Lock()
					defer mu.Unlock()
					s.written(time.Now())
					writes = append(writes, time.Now())
				})
			}
			wg.Wait()
			if n := most(writes); n > rate {
				t.Errorf("rate %d: %d writes in one window", rate, n)
			}
			if least := rate * seconds * 98 / 100; len(writes) < least {
				t.Errorf("rate %d: %d writes in %d s, want at least %d", rate, len(writes), seconds, least)
			}
		})
	}
}

func TestLimiterSubtractsInboundAndEases(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := &limiter{}
	if s, _ := l.reserve(now); s != nil {
		t.Fatal("a slot without a rate")
	}
	l.setRate(80)
	l.setInbound(30)
	if got := l.effective(now); got != 50 {
		t.Errorf("with 30 inbound: %d", got)
	}
	l.ease(now)
	if got := l.effective(now.Add(time.Second)); got != 10 {
		t.Errorf("eased, with 30 inbound: %d", got)
	}
	l.setInbound(500)
	if got := l.effective(now.Add(easeFor)); got != 1 {
		t.Errorf("flooded: %d", got)
	}
	l.setInbound(0)
	if got := l.effective(now.Add(easeFor)); got != 80 {
		t.Errorf("after all: %d", got)
	}
}

func TestThrottleBacksOff(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var s throttle
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		until := s.hit(now, 0)
		if got := until.Sub(now); got != time.Duration(seconds)*time.Second {
			t.Fatalf("waits %s, want %d s", got, seconds)
		}
		if again := s.hit(now.Add(time.Millisecond), 0); !again.Equal(until) {
			t.Fatal("a call that was under way made the wait longer")
		}
		now = until
	}
	if until := s.hit(now, 90*time.Second); until.Sub(now) != 90*time.Second {
		t.Errorf("asked for 90 s and waits %s", until.Sub(now))
	}
	now = now.Add(time.Hour)
	if until := s.hit(now, 0); until.Sub(now) != time.Second {
		t.Errorf("long after, waits %s", until.Sub(now))
	}
}

func TestBreakerProbesWithOneCall(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var b breaker
	for range breakAfter - 1 {
		b.fault(now, false)
	}
	if _, ok := b.allows(now); !ok || b.open() {
		t.Fatal("open before its time")
	}
	b.fault(now, false)
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		if _, ok := b.allows(now.Add(time.Duration(seconds)*time.Second - 1)); ok {
			t.Fatalf("allows a call within %d s", seconds)
		}
		now = now.Add(time.Duration(seconds) * time.Second)
		probe, ok := b.allows(now)
		if !probe || !ok {
			t.Fatalf("no probing call after %d s", seconds)
		}
		b.probing = true
		b.fault(now, false) // of a call from before: changes nothing
		b.answered(false)
		if _, ok := b.allows(now); ok {
			t.Fatal("a second probing call")
		}
		b.fault(now, true)
		b.probing = false
	}
	b.answered(true)
	if probe, ok := b.allows(now); probe || !ok {
		t.Error("stays open after an answer")
	}
}
