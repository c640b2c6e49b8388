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
	// minLead and maxLead bound how long before its time a slot is given away, so
	// that recording SendAttempted takes nothing from the rate: as long as that takes
	// of late, and half as much again.
	minLead = 15 * time.Millisecond
	maxLead = 500 * time.Millisecond
	// credit is how far a lane that fell behind its pace may catch up at once.
	credit = 20 * time.Millisecond
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
	learnt   governor
}

// slot is the right to write one call, not before its time.
type slot struct {
	limiter   *limiter
	notBefore time.Time
	given     time.Time
	// All below is guarded by limiter.mu.
	spent bool
	fits  int       // calls written in the second before this one
	at    time.Time // when it was written; zero if it was not
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

// refused takes in that WhatsApp refused the call of a slot as one too many, and
// that the next comes after until.
func (l *limiter) refused(s *slot, now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learnt.refused(l.rate, s.fits, now, until)
}

// slow halves the rate from until on: of all the lanes that share a limit, nobody
// knows which was too fast.
func (l *limiter) slow(now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.learnt.till) {
		l.learnt.refused(l.rate, l.learnt.limit(l.rate, now)/2, now, until)
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
	return max(1, l.learnt.limit(l.rate, now)-l.inbound) // a flood of inbound messages slows a lane, it never stops it
}

// reserve gives a slot away whose time comes within the lead. If there is none it
// answers when to ask again; zero says that a slot must be spent or the rate
// changed first.
func (l *limiter) reserve(now time.Time, lead time.Duration) (s *slot, again time.Time) {
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
	return &slot{limiter: l, notBefore: at, given: now}, time.Time{}
}

// quiet reports whether no slot is out and the last write has left the window, so
// that another process may begin.
func (l *limiter) quiet(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reserved == 0 && (len(l.writes) == 0 || now.Sub(l.writes[len(l.writes)-1]) >= window)
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
	s.spent, s.at = true, at
	l.reserved--
	i := len(l.writes)
	for i > 0 && l.writes[i-1].After(at) {
		i--
	}
	l.writes = slices.Insert(l.writes, i, at)
	for i > 0 && at.Sub(l.writes[i-1]) < time.Second {
		i--
		s.fits++
	}
}

// release gives the slot back unused, and reports whether it did: a slot that was
// written stays so.
func (s *slot) release() bool {
	if s == nil {
		return false
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	if s.spent {
		return false
	}
	s.spent = true
	s.limiter.reserved--
	return true
}

// writtenAt is when the slot's call was written; zero if it was not.
func (s *slot) writtenAt() time.Time {
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	return s.at
}

// isSpent reports whether the slot's call was written or given up.
func (s *slot) isSpent() bool {
	if s == nil {
		return true
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	return s.spent
}

// leadTime follows how long it takes from a slot's giving away to the moment its
// call could be written. Whoever uses it guards it.
type leadTime struct{ usual time.Duration }

func (t *leadTime) took(d time.Duration) { t.usual += (min(d, maxBegun) - t.usual) / 16 }

func (t *leadTime) lead() time.Duration { return min(max(minLead, t.usual*3/2), maxLead) }

const (
	// minRecording and maxRecording bound how many messages of all lanes have their
	// SendAttempted recorded at once.
	minRecording = 16
	maxRecording = 512
	// easyRecording is how long that may take until fewer are recorded at once. It
	// is well below maxBegun, after which a call comes too late.
	easyRecording = 300 * time.Millisecond
)

// recording is how many messages may have their SendAttempted recorded at once.
// More at once only makes each slower while the log is busy, until all come too
// late for their calls and have to be recorded anew.
func (t *leadTime) recording() int {
	if t.usual <= easyRecording {
		return maxRecording
	}
	slower := t.usual.Seconds() / easyRecording.Seconds()
	return max(minRecording, int(maxRecording/(slower*slower*slower)))
}
