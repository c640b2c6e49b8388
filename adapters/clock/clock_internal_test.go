package clock

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The machine's clock jumps one hour ahead or two hours back. Waypost's clock never runs
// backward, follows by a few milliseconds per second, and logs the jump.
func TestClockFollowsJumpsSlowly(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var ahead atomic.Int64
			c := New()
			c.wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			var logged bytes.Buffer
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Follow(ctx, slog.New(slog.NewTextHandler(&logged, nil)))
			}()
			time.Sleep(time.Second / 2) // between two adjustments
			begin, last := c.Now(), c.Now()
			for second := range 600 {
				if second == 10 {
					ahead.Store(int64(jump))
				}
				time.Sleep(time.Second)
				now := c.Now()
				if passed := now.Sub(last); passed < time.Second-slew-time.Microsecond || passed > time.Second+slew+time.Microsecond {
					t.Fatalf("in second %d, the clock advanced by %s", second, passed)
				}
				last = now
			}
			stop()
			<-done
			moved := c.Now().Sub(begin) - 600*time.Second
			if want := slew * 590; moved.Abs() < want-slew || moved.Abs() > want+slew || (moved > 0) != (jump > 0) {
				t.Errorf("after a jump of %s, the clock moved by %s in 590 s", jump, moved)
			}
			if n := strings.Count(logged.String(), "clock jumped"); n != 1 {
				t.Errorf("the jump was logged %d times, want 1: %s", n, logged.String())
			}
		})
	}
}

// The clock catches up after a drift and then agrees with the wall clock.
func TestClockComesToTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		c.wall = func() time.Time { return time.Now().Add(200 * time.Millisecond) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Follow(ctx, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(time.Minute)
		if drift := c.wall().Sub(c.Now()); drift.Abs() > time.Millisecond {
			t.Errorf("the clocks still differ by %s", drift)
		}
		stop()
		<-done
	})
}
