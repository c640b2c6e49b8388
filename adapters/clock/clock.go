// Package clock is Waypost's clock.
package clock

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// slew is the maximum adjustment per second toward the wall clock. So a jump of the
	// wall clock never causes a jump in the event log, and time never runs backward.
	slew = 5 * time.Millisecond
	// jump is the difference between the clocks above which Follow logs a warning.
	jump = time.Second
)

// A Clock shows the wall time at its start plus the monotonic time since then, and slowly
// follows the wall clock. It is safe for concurrent use.
type Clock struct {
	start  time.Time
	wall   func() time.Time
	offset atomic.Int64
}

// New returns a clock that starts at the current wall time.
func New() *Clock { return &Clock{start: time.Now(), wall: time.Now} }

// Now returns the time in UTC, truncated to microseconds, the resolution of Postgres.
func (c *Clock) Now() time.Time {
	elapsed := time.Since(c.start) // monotonic
	return c.start.Round(0).Add(elapsed + time.Duration(c.offset.Load())).UTC().Truncate(time.Microsecond)
}

// Follow adjusts the clock to the wall clock until ctx ends.
func (c *Clock) Follow(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	jumped := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		drift := c.wall().Round(0).Sub(c.Now())
		if far := drift.Abs() > jump; far != jumped {
			jumped = far
			log.WarnContext(ctx, "the machine's clock jumped; Waypost's clock follows slowly", "drift", drift.String(), "over", !far)
		}
		c.offset.Add(int64(max(-slew, min(slew, drift))))
	}
}
