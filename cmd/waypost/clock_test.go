package main

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

// The machine's clock jumps an hour ahead and, later, back by two: the platform's
// never runs backwards, follows by some milliseconds a second, and says so.
func TestClockFollowsJumpsSlowly(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var ahead atomic.Int64
			c := newPlatformClock()
			c.wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			var logged bytes.Buffer
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.follow(ctx, slog.New(slog.NewTextHandler(&logged, nil)))
			}()
			time.Sleep(time.Second / 2) // between two looks at the wall clock
			begin, last := c.Now(), c.Now()
			for second := range 600 {
				if second == 10 {
					ahead.Store(int64(jump))
				}
				time.Sleep(time.Second)
				now := c.Now()
				if passed := now.Sub(last); passed < time.Second-slew-time.Microsecond || passed > time.Second+slew+time.Microsecond {
					t.Fatalf("in second %d %s passed", second, passed)
				}
				last = now
			}
			stop()
			<-done
			moved := c.Now().Sub(begin) - 600*time.Second
			if want := slew * 590; moved.Abs() < want-slew || moved.Abs() > want+slew || (moved > 0) != (jump > 0) {
				t.Errorf("after a jump of %s it has moved by %s in 590 s", jump, moved)
			}
			if n := strings.Count(logged.String(), "clock jumped"); n != 1 {
				t.Errorf("the jump is logged %d times: %s", n, logged.String())
			}
		})
	}
}

// What the clock drifted by is made up for, and then it stands with the wall clock.
func TestClockComesToTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPlatformClock()
		c.wall = func() time.Time { return time.Now().Add(200 * time.Millisecond) }
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.follow(ctx, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(time.Minute)
		if drift := c.wall().Sub(c.Now()); drift.Abs() > time.Millisecond {
			t.Errorf("still %s off", drift)
		}
		stop()
		<-done
	})
}
