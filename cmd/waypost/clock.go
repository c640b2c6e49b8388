package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// slew is how far the platform's clock follows the wall clock each second. A
	// jump of the wall clock thus never shows as one in the log, and time never
	// runs backwards.
	slew = 5 * time.Millisecond
	// jump is the difference between the clocks that a person should know of.
	jump = time.Second
)

// platformClock is wall time at start plus monotonic time, drawn slowly to the
// wall clock.
type platformClock struct {
	start  time.Time
	wall   func() time.Time
	offset atomic.Int64
}

func newPlatformClock() *platformClock { return &platformClock{start: time.Now(), wall: time.Now} }

// Now is the platform's time, UTC, in whole microseconds: what Postgres keeps.
func (c *platformClock) Now() time.Time {
	elapsed := time.Since(c.start) // monotonic
	return c.start.Round(0).Add(elapsed + time.Duration(c.offset.Load())).UTC().Truncate(time.Microsecond)
}

// follow draws the clock to the wall clock until ctx ends.
func (c *platformClock) follow(ctx context.Context, log *slog.Logger) {
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
			log.WarnContext(ctx, "the machine's clock jumped; the platform's follows it slowly", "drift", drift.String(), "over", !far)
		}
		c.offset.Add(int64(max(-slew, min(slew, drift))))
	}
}
