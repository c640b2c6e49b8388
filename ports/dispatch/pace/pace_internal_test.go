package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// most returns the largest number of times within one window.
func most(times []time.Time) int {
	n := 0
	for i, first := 0, 0; i < len(times); i++ {
		for times[i].Sub(times[first]) >= Window {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// In whatever order slots are granted, written late, and released, and the rate is
// changed: no window has more writes than the highest rate at which its slots were
// granted.
func TestLimiterNeverExceedsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000_000, 0)
		l := &Limiter{}
		type granted struct {
			slot *Slot
			rate int
		}
		rate := rapid.IntRange(1, 5).Draw(t, "rate")
		l.SetRate(rate)
		var open []granted
		var writes []time.Time
		var rates []int
		for range rapid.IntRange(50, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 39).Draw(t, "what") {
			case 0:
				rate = rapid.IntRange(1, 5).Draw(t, "new rate")
				l.SetRate(rate)
			case 1, 2:
				if len(open) > 0 {
					open[0].slot.Release()
					open = open[1:]
				}
			case 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
					if g := open[i]; !now.Before(g.slot.NotBefore()) {
						g.slot.Written(now)
						g.slot.Written(now.Add(time.Hour)) // changes nothing
						writes, rates = append(writes, now), append(rates, g.rate)
						open = append(open[:i:i], open[i+1:]...)
					}
				}
			default:
				due := l.Due(1, now)
				s, again := l.Reserve(now)
				if s != nil {
					open = append(open, granted{s, rate})
				}
				if known := !due.IsZero(); s != nil && !s.NotBefore().Equal(due) || s == nil && known == again.IsZero() {
					t.Fatalf("a slot was due %s, and Reserve returned %+v, %s", due, s, again)
				}
			}
		}
		for i := range writes {
			n, highest := 0, 0
			for j := i; j < len(writes) && writes[j].Sub(writes[i]) < Window; j++ {
				n++
				highest = max(highest, rates[j])
			}
			if n > highest {
				t.Fatalf("%d writes in the window from %s, at most %d are allowed", n, writes[i], highest)
			}
		}
	})
}

// The full rate is used even if the caller stalls at times. Capacity that no call waited
// for is not made up for.
func TestLimiterMakesUpForStalls(t *testing.T) {
	for _, rate := range []int{1, 7, 80, 1000} {
		now := time.Unix(1_000_000, 0)
		l := &Limiter{}
		l.SetRate(rate)
		var writes []time.Time
		use := func(d time.Duration) {
			for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
				for s, _ := l.Reserve(now); s != nil; s, _ = l.Reserve(now) {
					at := later(now, s.NotBefore())
					s.Written(at)
					writes = append(writes, at)
				}
			}
		}
		const seconds = 20
		for range seconds {
			use(800 * time.Millisecond)
			now = now.Add(200 * time.Millisecond) // a stall
		}
		if n := most(writes); n > rate {
			t.Errorf("%d/s: %d writes in one window", rate, n)
		}
		if least := rate * seconds * 97 / 100; len(writes) < least {
			t.Errorf("%d/s: %d writes in %d s with stalls, want at least %d", rate, len(writes), seconds, least)
		}
		now = now.Add(time.Minute)
		l.ForfeitUnused(now)
		before := len(writes)
		use(200 * time.Millisecond)
		if n := len(writes) - before; n > rate*230/1000+1 {
			t.Errorf("%d/s: %d writes in 200 ms after a rest", rate, n)
		}
	}
}

func TestLimiterSubtractsInbound(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := &Limiter{}
	if s, _ := l.Reserve(now); s != nil {
		t.Fatal("a slot is granted without a rate")
	}
	l.SetRate(80)
	for inbound, want := range map[int]int{30: 50, 500: 1, 0: 80} {
		l.SetInbound(inbound)
		if got := l.Effective(now); got != want {
			t.Errorf("with %d inbound: %d, want %d", inbound, got, want)
		}
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
			t.Fatal("a call that was in flight extended the wait")
		}
		now = until
	}
	if until := s.hit(now, 90*time.Second); until.Sub(now) != 90*time.Second {
		t.Errorf("WhatsApp asked for 90 s, and the scope waits %s", until.Sub(now))
	}
	now = now.Add(time.Hour)
	if until := s.hit(now, 0); until.Sub(now) != time.Second {
		t.Errorf("long after the last throttle, the scope waits %s", until.Sub(now))
	}
}

func TestBreakerProbesWithOneCall(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var b Breaker
	for range breakAfter - 1 {
		b.Fault(now, false, "HTTP 503")
	}
	if _, ok := b.Allows(now); !ok || b.Open() || b.Outage() != nil {
		t.Fatal("the breaker opens too early")
	}
	b.Fault(now, false, "HTTP 503")
	opened := now
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		if _, ok := b.Allows(now.Add(time.Duration(seconds)*time.Second - 1)); ok {
			t.Fatalf("the breaker allows a call within %d s", seconds)
		}
		now = now.Add(time.Duration(seconds) * time.Second)
		probe, ok := b.Allows(now)
		if !probe || !ok {
			t.Fatalf("no probing call after %d s", seconds)
		}
		b.StartProbe()
		b.Fault(now, false, "reset") // of a call from before the outage: changes nothing
		b.Responded(false)
		if _, ok := b.Allows(now); ok {
			t.Fatal("a second probing call")
		}
		b.Fault(now, true, "HTTP 502")
		b.EndProbe()
	}
	want := Outage{Since: opened, Failures: breakAfter + 2*8, LastFailure: "HTTP 502", NextProbeAt: now.Add(MaxBackoff)}
	if o := b.Outage(); o == nil || *o != want {
		t.Errorf("outage: %+v, want %+v", o, want)
	}
	b.Responded(true)
	if probe, ok := b.Allows(now); probe || !ok {
		t.Error("the breaker stays open after a response")
	}
}

// While the log is busy, fewer messages are recorded at the same time, so that none is too
// late for its call, and they are recorded earlier.
func TestFewerAreRecordedAtOnceWhileTheLogIsBusy(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, perSecond := range []int{150, 400, 1000, 4000} { // the log's throughput
		var l Recording
		for range 1000 {
			l.Observe(time.Second*time.Duration(l.maxConcurrentLocked())/time.Duration(perSecond), now)
		}
		if l.usual > 2*CallWithin/3 {
			t.Errorf("a log of %d/s: recording takes %s with %d at once", perSecond, l.usual, l.maxConcurrentLocked())
		}
	}
	var l Recording
	if l.maxConcurrentLocked() != maxConcurrent || l.Lead(now) != minLead {
		t.Errorf("idle: %d at once, %s ahead", l.maxConcurrentLocked(), l.Lead(now))
	}
	l.Observe(200*time.Millisecond, now)
	l.Observe(time.Millisecond, now)
	for after, want := range map[time.Duration]time.Duration{0: 250 * time.Millisecond, halfLife: 125 * time.Millisecond, time.Minute: minLead} {
		if got := l.Lead(now.Add(after)); got != want {
			t.Errorf("%s after 200 ms: %s ahead, want %s", after, got, want)
		}
	}
	l.Observe(time.Minute, now)
	if got := l.Lead(now); got != maxLead {
		t.Errorf("after a minute: %s ahead", got)
	}
}
