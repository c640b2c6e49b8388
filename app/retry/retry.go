// Package retry paces repeated attempts: delays that double after each failure, and
// sleeping until a context ends.
package retry

import (
	"context"
	"time"
)

// Backoff is a schedule of delays: First, then twice the delay before, at most Max.
type Backoff struct {
	First, Max time.Duration

	last time.Duration
}

// Next returns the next delay of the schedule.
func (b *Backoff) Next() time.Duration {
	if b.last == 0 {
		b.last = min(b.First, b.Max)
	} else {
		b.last = min(2*b.last, b.Max)
	}
	return b.last
}

// Reset starts the schedule over.
func (b *Backoff) Reset() { b.last = 0 }

// Sleep sleeps for the next delay of the schedule. It returns ctx's error if ctx ends
// first.
func (b *Backoff) Sleep(ctx context.Context) error { return Sleep(ctx, b.Next()) }

// Wait is Sleep with the timer of after.
func (b *Backoff) Wait(ctx context.Context, after func(time.Duration) <-chan time.Time) error {
	return Wait(ctx, after, b.Next())
}

// Sleep sleeps for d. It returns ctx's error if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Wait is Sleep with a timer that is passed in: after is time.After, or a test's.
func Wait(ctx context.Context, after func(time.Duration) <-chan time.Time, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-after(d):
		return nil
	}
}
