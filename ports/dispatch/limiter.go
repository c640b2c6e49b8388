package dispatch

import (
	"slices"
	"sync"
	"time"
)

const (
	// window is the second that a rate counts in, and a margin for the jitter
	// between this process's write and WhatsApp's clock: measured, 10 ms keep what
	// the server sees within the rate and cost 1 % of it.
	window = 1010 * time.Millisecond
	// lead is how long before its time a slot is given away, so that recording
	// SendAttempted takes nothing from the rate.
	lead = 15 * time.Millisecond
	// credit is how far a lane that fell behind its pace may catch up at once.
	credit = 20 * time.Millisecond
	// easeFor is how long a lane goes at half its rate after a throttle.
	easeFor = 10 * time.Second
)

// limiter gives away slots for calls: at most rate of them are written in any
// window. It keeps the times of the writes of the last window and counts every
// slot that was given away and not written yet as one of them.
//
// Why that holds: of the calls written within one window, look at the one whose
// slot was given away last. At that moment each of the others was either written
// or given away. The slot's time is set so late that of all these fewer than rate
// can lie in one window with it.
//
// All times are of the process's monotonic clock.
type limiter struct {
	mu       sync.Mutex
	rate     int
	inbound  int
	writes   []time.Time // of the last window, oldest first
	reserved int
	pace     time.Time // when the next slot is due if they are spread evenly
	easeTill time.Time
}

// slot is the right to write one call, not before its time.
type slot struct {
	limiter   *limiter
	notBefore time.Time
	spent     bool // guarded by limiter.mu
}

func (l *limiter) setRate(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
}

// setInbound says how many messages came in during the last second: WhatsApp
// counts them into the same limit.
func (l *limiter) setInbound(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbound = max(0, n)
}

// ease halves the rate until easeFor after the given time.
func (l *limiter) ease(from time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if till := from.Add(easeFor); till.After(l.easeTill) {
		l.easeTill = till
	}
}

// effective is the rate that counts now, in calls a second.
func (l *limiter) effective(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.effectiveLocked(now)
}

func (l *limiter) effectiveLocked(now time.Time) int {
	if l.rate <= 0 {
		return 0
	}
	n := l.rate
	if now.Before(l.easeTill) {
		n /= 2
	}
	return max(1, n-l.inbound) // a flood of inbound messages slows a lane, it never stops it
}

// reserve gives a slot away whose time comes within lead. If there is none it
// answers when to ask again; zero says that a slot must be spent or the rate
// changed first.
func (l *limiter) reserve(now time.Time) (s *slot, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := 0
	for gone < len(l.writes) && now.Sub(l.writes[gone]) >= window {
		gone++
	}
	l.writes = slices.Delete(l.writes, 0, gone)
	rate := l.effectiveLocked(now)
	if rate == 0 {
		return nil, time.Time{}
	}
	at := now
	// So many of the writes must have left the window before the slot's time.
	if leave := len(l.writes) + l.reserved - rate + 1; leave > len(l.writes) {
		return nil, time.Time{}
	} else if leave > 0 {
		at = l.writes[leave-1].Add(window)
	}
	pace := l.pace
	if behind := now.Add(-credit); pace.Before(behind) {
		pace = behind
	}
	if at.Before(pace) {
		at = pace
	}
	if at.Sub(now) > lead {
		return nil, at.Add(-lead)
	}
	l.pace = pace.Add(window / time.Duration(rate))
	l.reserved++
	return &slot{limiter: l, notBefore: at}, time.Time{}
}

// lastWrite is the time of the latest write; zero if none is remembered.
func (l *limiter) lastWrite() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.writes) == 0 {
		return time.Time{}
	}
	return l.writes[len(l.writes)-1]
}

// written spends the slot: its call was written at that time, or may have been
// until then. Further calls change nothing.
func (s *slot) written(at time.Time) {
	l := s.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.spent {
		return
	}
	s.spent = true
	l.reserved--
	i := len(l.writes)
	for i > 0 && l.writes[i-1].After(at) {
		i--
	}
	l.writes = slices.Insert(l.writes, i, at)
}

// release gives the slot back unused. A slot that was written stays so.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	if !s.spent {
		s.spent = true
		s.limiter.reserved--
	}
}
