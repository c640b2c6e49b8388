package dispatch

import (
	"math"
	"slices"
	"sort"
	"sync"
	"time"
)

const (
	// window is the second that a rate counts in, and a margin for the jitter
	// between this process's write and WhatsApp's clock: measured, 5 ms keep what
	// the server sees within the rate and cost half a percent of it.
	window = 1005 * time.Millisecond
	// slotLead is how long before its time a slot is given away: long enough to wake
	// who is to write the call on a busy machine, and shorter than the 12.5 ms between
	// two calls at WhatsApp's default rate, so that an OTP comes one behind, or two while
	// the lane catches up.
	slotLead = 10 * time.Millisecond
	// credit is how far behind its pace a lane may be to catch up at once, maxBehind
	// to catch up at brisk times its pace: what was not used of a second is lost once
	// that is over.
	credit    = 20 * time.Millisecond
	maxBehind = 250 * time.Millisecond
	brisk     = 4.0 / 3
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
// A slot is given to a call that only waits for it, so what is slow before that, and
// slower at times, takes nothing from the rate.
//
// All times are of the process's monotonic clock.
type limiter struct {
	mu       sync.Mutex
	rate     int
	inbound  int
	writes   []time.Time // of the last window, oldest first
	reserved int
	next     schedule
	learnt   governor
}

// slot is the right to write one call, not before its time.
type slot struct {
	limiter   *limiter
	notBefore time.Time
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

// reserve gives a slot away whose time comes within slotLead. If there is none it
// answers when to ask again; zero says that a slot must be spent or the rate
// changed first.
func (l *limiter) reserve(now time.Time) (s *slot, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, after, known := l.dueLocked(1, now)
	switch {
	case !known:
		return nil, time.Time{}
	case at.Sub(now) > slotLead:
		return nil, at.Add(-slotLead / 2) // so that a fast lane's slots go out several at once
	}
	l.next = after
	l.reserved++
	return &slot{limiter: l, notBefore: at}, time.Time{}
}

// due is the time of the n-th slot from now if all before it are used; zero says
// that a slot must be spent or the rate changed before that can be known.
func (l *limiter) due(n int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, _, _ := l.dueLocked(n, now)
	return at
}

func (l *limiter) dueLocked(n int, now time.Time) (at time.Time, after schedule, known bool) {
	l.writes = slices.Delete(l.writes, 0, since(l.writes, now, window))
	rate := l.effectiveLocked(now)
	// So many of the writes must have left the window before the slot's time.
	leave := len(l.writes) + l.reserved - rate + n
	if rate == 0 || leave > len(l.writes) {
		return time.Time{}, schedule{}, false
	}
	at = now
	if leave > 0 {
		at = l.writes[leave-1].Add(window)
	}
	due, after := l.next.after(n, now, window/time.Duration(rate))
	return later(at, due), after, true
}

// rested takes in that nobody wanted a slot: what was left unused is not made up for.
func (l *limiter) rested(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.even = later(l.next.even, now.Add(-credit))
}

// schedule is when the next slot is due: by an even pace, and at the earliest while
// the lane is behind that.
type schedule struct{ even, brisk time.Time }

// after is the time of the n-th slot from now, and the schedule of those after it.
func (s schedule) after(n int, now time.Time, interval time.Duration) (time.Time, schedule) {
	quick := time.Duration(float64(interval) / brisk)
	s.even = later(s.even, now.Add(-maxBehind)).Add(time.Duration(n-1) * interval)
	s.brisk = later(s.brisk, now.Add(-credit)).Add(time.Duration(n-1) * quick)
	return later(s.even, s.brisk), schedule{s.even.Add(interval), s.brisk.Add(quick)}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
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
	s.fits = i - since(l.writes[:i], at, time.Second)
	l.writes = slices.Insert(l.writes, i, at)
}

// since is the index of the first of times, which are in order, that lies less than d
// before now.
func since(times []time.Time, now time.Time, d time.Duration) int {
	return sort.Search(len(times), func(i int) bool { return now.Sub(times[i]) < d })
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
	if s == nil {
		return time.Time{}
	}
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

const (
	// minAhead and maxAhead bound how long before its call's time SendAttempted is
	// recorded. maxAhead leaves enough of maxBegun for the wait.
	minAhead = 50 * time.Millisecond
	maxAhead = 400 * time.Millisecond
	// halfLife is how soon a slow time of recording counts half: what slows a log
	// down, a collection or a checkpoint, comes again within some seconds.
	halfLife = 4 * time.Second
)

// leadTime follows how long it takes from a message's turn until its SendAttempted
// stands. Whoever uses it guards it.
type leadTime struct {
	usual   time.Duration
	longest time.Duration // of late, as it was at that time
	at      time.Time
}

func (t *leadTime) took(d time.Duration, now time.Time) {
	t.usual += (min(d, maxBegun) - t.usual) / 16
	t.longest, t.at = max(d, t.longestAt(now)), now
}

func (t *leadTime) longestAt(now time.Time) time.Duration {
	return time.Duration(float64(t.longest) * math.Exp2(-now.Sub(t.at).Seconds()/halfLife.Seconds()))
}

// ahead is how long before its call's time a message is to be recorded, so that
// recording takes nothing from the rate: as long as that took at most of late, and a
// quarter more.
func (t *leadTime) ahead(now time.Time) time.Duration {
	return min(max(minAhead, t.longestAt(now)*5/4), maxAhead)
}

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
