package pace

import (
	"slices"
	"sort"
	"sync"
	"time"
)

// Window is the period that a rate applies to: one second plus a margin for the
// jitter between this process's write and WhatsApp's clock. Measured: 5 ms keep
// the calls at the server within the rate and cost half a percent of it.
const Window = 1005 * time.Millisecond

// CallWithin is how long after the decision to record SendAttempted the call can still
// be written. Another process waits longer than that before it takes the lane.
const CallWithin = time.Second

const (
	// slotLead is how long before its time a slot is granted. That is long enough to
	// wake the goroutine that writes the call on a busy machine, and shorter than the
	// 12.5 ms between two calls at WhatsApp's default rate. So an OTP message waits
	// for one other call, or for two while the lane catches up.
	slotLead = 10 * time.Millisecond
	// A lane that is behind its pace by at most credit catches up immediately. One
	// that is behind by at most maxBehind catches up at catchUpFactor times its pace.
	// Capacity that was unused for longer than that is lost.
	credit        = 20 * time.Millisecond
	maxBehind     = 250 * time.Millisecond
	catchUpFactor = 4.0 / 3
)

// A Limiter grants slots for the calls of one lane, so that at most its rate of
// calls are written in any Window. It keeps the write times of the last window and
// treats every granted slot that is not written yet as one of them.
//
// Why that holds: of the calls written within one window, take the one whose slot
// was granted last. At that moment each of the others was either written or
// granted. The slot's time is so late that fewer than rate of all these can be in
// one window with it.
//
// A slot is granted only to a call that has nothing else to wait for. So the steps
// before that, which can be slow at times, use up nothing of the rate.
//
// All times are from the process's monotonic clock. A Limiter is safe for
// concurrent use.
type Limiter struct {
	mu       sync.Mutex // guards all fields below
	rate     int
	inbound  int
	writes   []time.Time // of the last window, oldest first
	reserved int         // granted slots that are neither written nor released
	next     schedule
	adaptive governor
}

// NewLimiter returns a Limiter with the given rate in calls per second.
func NewLimiter(rate int) *Limiter { return &Limiter{rate: rate} }

type slotState uint8

const (
	slotGranted slotState = iota
	slotWritten
	slotReleased
)

// A Slot is the right to write one call, but not before a certain time. All
// methods can be called on a nil Slot, except Written and NotBefore.
type Slot struct {
	limiter   *Limiter
	notBefore time.Time
	// The limiter's mutex guards all fields below.
	state     slotState
	fits      int       // calls written in the second before this one
	writtenAt time.Time // zero if not written
}

// SetRate sets the rate in calls per second.
func (l *Limiter) SetRate(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
}

// SetInbound sets the number of messages that were received during the last
// second. WhatsApp counts them toward the same limit.
func (l *Limiter) SetInbound(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbound = max(0, n)
}

// Refused records that WhatsApp refused the slot's call because of the rate and
// that the next call is made after until.
func (l *Limiter) Refused(s *Slot, now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.adaptive.refused(l.rate, s.fits, now, until)
}

// Slow halves the rate from until on. It is for limits that several lanes share,
// where the lane that was too fast is unknown.
func (l *Limiter) Slow(now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !now.Before(l.adaptive.until) {
		l.adaptive.refused(l.rate, l.adaptive.limit(l.rate, now)/2, now, until)
	}
}

// Effective returns the rate at now in calls per second: the sender's rate, or the limit
// learned from refusals if that is lower, minus inbound messages.
func (l *Limiter) Effective(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.effectiveLocked(now)
}

func (l *Limiter) effectiveLocked(now time.Time) int {
	if l.rate <= 0 {
		return 0
	}
	return max(1, l.adaptive.limit(l.rate, now)-l.inbound) // a flood of inbound messages slows a lane but never stops it
}

// Reserve grants a slot whose time is within slotLead. If there is none, it
// returns a nil slot and the time to ask again. The time is zero if a slot must be
// written or released, or the rate changed, before another slot can become due.
func (l *Limiter) Reserve(now time.Time) (s *Slot, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, after, known := l.dueLocked(1, now)
	switch {
	case !known:
		return nil, time.Time{}
	case at.Sub(now) > slotLead:
		return nil, at.Add(-slotLead / 2) // so that a fast lane grants several slots at once
	}
	l.next = after
	l.reserved++
	return &Slot{limiter: l, notBefore: at}, time.Time{}
}

// Due returns the time of the n-th slot from now, assuming that all slots before
// it are used. It returns the zero time if a slot must be written or released, or
// the rate changed, before that is known.
func (l *Limiter) Due(n int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, _, _ := l.dueLocked(n, now)
	return at
}

func (l *Limiter) dueLocked(n int, now time.Time) (at time.Time, after schedule, known bool) {
	l.writes = slices.Delete(l.writes, 0, since(l.writes, now, Window))
	rate := l.effectiveLocked(now)
	// This many writes must have left the window by the slot's time.
	leave := len(l.writes) + l.reserved - rate + n
	if rate == 0 || leave > len(l.writes) {
		return time.Time{}, schedule{}, false
	}
	at = now
	if leave > 0 {
		at = l.writes[leave-1].Add(Window)
	}
	due, after := l.next.after(n, now, Window/time.Duration(rate))
	return later(at, due), after, true
}

// ForfeitUnused records that no call waits for a slot. The lane doesn't catch up
// on capacity that was unused until now.
func (l *Limiter) ForfeitUnused(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.steady = later(l.next.steady, now.Add(-credit))
}

// A schedule is the time of the next slot at a steady pace, and its earliest time
// while the lane is behind that pace.
type schedule struct{ steady, brisk time.Time }

// after returns the time of the n-th slot from now and the schedule of the slots
// after it.
func (s schedule) after(n int, now time.Time, interval time.Duration) (time.Time, schedule) {
	quick := time.Duration(float64(interval) / catchUpFactor)
	s.steady = later(s.steady, now.Add(-maxBehind)).Add(time.Duration(n-1) * interval)
	s.brisk = later(s.brisk, now.Add(-credit)).Add(time.Duration(n-1) * quick)
	return later(s.steady, s.brisk), schedule{s.steady.Add(interval), s.brisk.Add(quick)}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// WindowClear reports whether no granted slot is open and the last write has left
// the window, so that another process can start to call.
func (l *Limiter) WindowClear(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reserved == 0 && (len(l.writes) == 0 || now.Sub(l.writes[len(l.writes)-1]) >= Window)
}

// LastWrite returns the time of the latest write, or the zero time if it has been
// forgotten because it left the window.
func (l *Limiter) LastWrite() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.writes) == 0 {
		return time.Time{}
	}
	return l.writes[len(l.writes)-1]
}

// NotBefore returns the earliest time at which the slot's call can be written.
func (s *Slot) NotBefore() time.Time { return s.notBefore }

// Written spends the slot: its call was written at the given time, or may have
// been written until then. It does nothing if the slot was written or released
// before.
func (s *Slot) Written(at time.Time) {
	l := s.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.state != slotGranted {
		return
	}
	s.state, s.writtenAt = slotWritten, at
	l.reserved--
	i := len(l.writes)
	for i > 0 && l.writes[i-1].After(at) {
		i--
	}
	s.fits = i - since(l.writes[:i], at, time.Second)
	l.writes = slices.Insert(l.writes, i, at)
}

// since returns the index of the first of the sorted times that is less than d
// before now.
func since(times []time.Time, now time.Time, d time.Duration) int {
	return sort.Search(len(times), func(i int) bool { return now.Sub(times[i]) < d })
}

// Release returns the slot unused and reports whether it did so. A slot that was
// written stays written.
func (s *Slot) Release() bool {
	if s == nil {
		return false
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	if s.state != slotGranted {
		return false
	}
	s.state = slotReleased
	s.limiter.reserved--
	return true
}

// WrittenAt returns when the slot's call was written, or the zero time if it was
// not.
func (s *Slot) WrittenAt() time.Time {
	if s == nil {
		return time.Time{}
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	return s.writtenAt
}

// Spent reports whether the slot was written or released.
func (s *Slot) Spent() bool {
	if s == nil {
		return true
	}
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	return s.state != slotGranted
}
