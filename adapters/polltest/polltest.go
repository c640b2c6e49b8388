// Package polltest waits in tests for conditions that nothing signals: a row in
// Postgres, the state of another process, a counter behind an API. If the code under
// test can signal, wait for the signal instead.
package polltest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Patience bounds every wait. A test that passes never waits that long; the bound only
// decides how soon a failing one is reported, so it leaves room for a busy machine.
const Patience = 2 * time.Minute

// The pause between two polls grows from the first to the longest, so that a short
// wait ends quickly and a long one takes no processor time from the code under test.
const (
	firstPause   = time.Millisecond
	longestPause = 20 * time.Millisecond
)

// Until polls holds until it returns true. After Patience it fails the test with what,
// a clause such as "the message is sent". It must be called from the test's goroutine.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	poll(tb, what, holds, func() string { return "" })
}

// Value polls read until it returns a value that accept returns true for, and returns
// that value. Errors of read are retried. After Patience it fails the test with what
// and the last value or error. It must be called from the test's goroutine.
func Value[T any](tb testing.TB, what string, read func() (T, error), accept func(T) bool) T {
	tb.Helper()
	var (
		value T
		err   error
	)
	holds := func() bool {
		value, err = read()
		return err == nil && accept(value)
	}
	poll(tb, what, holds, func() string {
		if err != nil {
			return fmt.Sprintf("; last error: %v", err)
		}
		return fmt.Sprintf("; last value: %+v", value)
	})
	return value
}

// AtLeast polls count until it returns at least want. After Patience without a higher count
// than before, it fails the test with what and the last count. So a wait for many things
// takes as long as the machine needs, as long as it moves. It must be called from the test's
// goroutine.
func AtLeast(tb testing.TB, what string, want int, count func() int) {
	tb.Helper()
	for highest := count(); highest < want; {
		got := highest
		poll(tb, what, func() bool { got = count(); return got > highest },
			func() string { return fmt.Sprintf("; stopped at %d of %d", highest, want) })
		highest = got
	}
}

// Retry polls try until it returns true or ctx ends, and reports whether it returned true.
// Unlike the others, it can be called from any goroutine.
func Retry(ctx context.Context, try func() bool) bool {
	for pause := firstPause; !try(); pause = longer(pause) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
	return true
}

// poll calls holds until it returns true. If it takes too long, last describes the last
// call's result.
func poll(tb testing.TB, what string, holds func() bool, last func() string) {
	tb.Helper()
	begin, pause := time.Now(), firstPause
	for !holds() {
		if waited := time.Since(begin); waited >= Patience {
			tb.Fatalf("timed out after %s waiting until %s%s", waited.Round(time.Second), what, last())
		}
		time.Sleep(pause)
		pause = longer(pause)
	}
}

func longer(pause time.Duration) time.Duration { return min(2*pause, longestPause) }
