package dispatch

import (
	"testing"
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
				due := l.due(1, now)
				s, again := l.reserve(now)
				if s != nil {
					open = append(open, granted{s, rate})
				}
				if known := !due.IsZero(); s != nil && !s.notBefore.Equal(due) || s == nil && known == again.IsZero() {
					t.Fatalf("a slot was due %s, and there is %+v, or one from %s", due, s, again)
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

// The whole rate is used though whoever uses it stands still at times, and nothing
// is made up for that nobody wanted.
func TestLimiterMakesUpForStalls(t *testing.T) {
	for _, rate := range []int{1, 7, 80, 1000} {
		now := time.Unix(1_000_000, 0)
		l := &limiter{}
		l.setRate(rate)
		var writes []time.Time
		use := func(d time.Duration) {
			for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
				for s, _ := l.reserve(now); s != nil; s, _ = l.reserve(now) {
					at := later(now, s.notBefore)
					s.written(at)
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
		l.rested(now)
		before := len(writes)
		use(200 * time.Millisecond)
		if n := len(writes) - before; n > rate*230/1000+1 {
			t.Errorf("%d/s: %d writes in 200 ms after a rest", rate, n)
		}
	}
}

func TestLimiterSubtractsInbound(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := &limiter{}
	if s, _ := l.reserve(now); s != nil {
		t.Fatal("a slot without a rate")
	}
	l.setRate(80)
	for inbound, want := range map[int]int{30: 50, 500: 1, 0: 80} {
		l.setInbound(inbound)
		if got := l.effective(now); got != want {
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

// While the log is busy fewer messages are recorded at once, so few that none
// comes too late for its call, and earlier.
func TestFewerAreRecordedAtOnceWhileTheLogIsBusy(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, perSecond := range []int{150, 400, 1000, 4000} { // what the log can take
		var l leadTime
		for range 1000 {
			l.took(time.Second*time.Duration(l.recording())/time.Duration(perSecond), now)
		}
		if l.usual > 2*maxBegun/3 {
			t.Errorf("a log of %d/s: recording takes %s with %d at once", perSecond, l.usual, l.recording())
		}
	}
	var l leadTime
	if l.recording() != maxRecording || l.ahead(now) != minAhead {
		t.Errorf("idle: %d at once, %s ahead", l.recording(), l.ahead(now))
	}
	l.took(200*time.Millisecond, now)
	l.took(time.Millisecond, now)
	for after, want := range map[time.Duration]time.Duration{0: 250 * time.Millisecond, halfLife: 125 * time.Millisecond, time.Minute: minAhead} {
		if got := l.ahead(now.Add(after)); got != want {
			t.Errorf("%s after 200 ms: %s ahead, want %s", after, got, want)
		}
	}
	l.took(time.Minute, now)
	if got := l.ahead(now); got != maxAhead {
		t.Errorf("after a minute: %s ahead", got)
	}
}
