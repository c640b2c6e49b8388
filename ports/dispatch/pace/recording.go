package pace

import (
	"math"
	"sync"
	"time"
)

const (
	// minLead and maxLead limit how long before its call's time SendAttempted is
	// recorded. maxLead leaves enough of CallWithin for the wait.
	minLead = 50 * time.Millisecond
	maxLead = 400 * time.Millisecond
	// halfLife is the time after which a slow recording has half its weight: a
	// collection or a checkpoint that slows a log down recurs within seconds.
	halfLife = 4 * time.Second

	// minConcurrent and maxConcurrent limit how many messages of all lanes have
	// their SendAttempted recorded at the same time.
	minConcurrent = 16
	maxConcurrent = 512
	// easyRecording is how long recording can take before fewer messages are recorded
	// at the same time. It is well below CallWithin, after which a call is too late.
	easyRecording = 300 * time.Millisecond
)

// Recording paces the recording of SendAttempted over all lanes of a process: how
// long before their calls messages are recorded, and how many at the same time. It
// follows the time from a message's turn until its SendAttempted is recorded. The
// zero value is ready to use. A Recording is safe for concurrent use.
type Recording struct {
	mu        sync.Mutex // guards all fields below
	running   int        // messages whose SendAttempted is being recorded
	usual     time.Duration
	longest   time.Duration // recently, weighted as of longestAt
	longestAt time.Time
}

// Begin records that the recording of a message's SendAttempted begins.
func (r *Recording) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running++
}

// End records that a recording that began is over. It reports whether no other
// could begin until now.
func (r *Recording) End() (wasFull bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wasFull = r.running >= r.maxConcurrentLocked()
	r.running--
	return wasFull
}

// Full reports whether no recording can begin until one ends.
func (r *Recording) Full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running >= r.maxConcurrentLocked()
}

// Observe records how long a message took from its turn until its SendAttempted was
// recorded.
func (r *Recording) Observe(took time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usual += (min(took, CallWithin) - r.usual) / 16
	r.longest, r.longestAt = max(took, r.longestLocked(now)), now
}

func (r *Recording) longestLocked(now time.Time) time.Duration {
	return time.Duration(float64(r.longest) * math.Exp2(-now.Sub(r.longestAt).Seconds()/halfLife.Seconds()))
}

// Lead returns how long before its call's time a message is recorded, so that
// recording uses up nothing of the rate: the longest time that it took recently,
// plus a quarter.
func (r *Recording) Lead(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(max(minLead, r.longestLocked(now)*5/4), maxLead)
}

// maxConcurrentLocked returns how many messages can be recorded at the same time.
// While the log is busy, more of them would only make each one slower, until all are
// too late for their calls and have to be recorded again.
func (r *Recording) maxConcurrentLocked() int {
	if r.usual <= easyRecording {
		return maxConcurrent
	}
	slower := r.usual.Seconds() / easyRecording.Seconds()
	return max(minConcurrent, int(maxConcurrent/(slower*slower*slower)))
}
