package polltest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/adapters/polltest"
)

// failing keeps the message of a test's failure.
type failing struct {
	testing.TB
	message string
}

func (*failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf runs wait, which must fail its test, and returns the failure's message.
func failureOf(t *testing.T, wait func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait(f)
	}()
	<-ended
	return f.message
}

func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		polltest.Until(t, "a second has passed", func() bool { return time.Since(begin) >= time.Second })
		if waited := time.Since(begin); waited > 1100*time.Millisecond {
			t.Errorf("waited %s for a second to pass", waited)
		}
		got := failureOf(t, func(tb testing.TB) { polltest.Until(tb, "the impossible happens", func() bool { return false }) })
		if want := "timed out after 2m0s waiting until the impossible happens"; got != want {
			t.Errorf("failed with %q, want %q", got, want)
		}
	})
}

func TestValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		count := func() (int, error) {
			n++
			if n < 3 {
				return 0, errors.New("not ready")
			}
			return n, nil
		}
		if got := polltest.Value(t, "the count is 5", count, func(n int) bool { return n == 5 }); got != 5 {
			t.Errorf("got %d, want 5", got)
		}
		for _, c := range []struct {
			err  error
			want string
		}{
			{nil, "timed out after 2m0s waiting until it is 8; last value: 7"},
			{errors.New("gone"), "timed out after 2m0s waiting until it is 8; last error: gone"},
		} {
			got := failureOf(t, func(tb testing.TB) {
				polltest.Value(tb, "it is 8", func() (int, error) { return 7, c.err }, func(n int) bool { return n == 8 })
			})
			if got != c.want {
				t.Errorf("failed with %q, want %q", got, c.want)
			}
		}
	})
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		minutes := func(most int) func() int {
			return func() int { return min(int(time.Since(begin)/time.Minute), most) }
		}
		polltest.AtLeast(t, "ten minutes have passed", 10, minutes(20))
		if waited := time.Since(begin); waited < 10*time.Minute || waited > 10*time.Minute+time.Second {
			t.Errorf("waited %s for ten minutes to pass", waited)
		}
		begin = time.Now()
		got := failureOf(t, func(tb testing.TB) { polltest.AtLeast(tb, "the impossible happens", 10, minutes(3)) })
		if want := "timed out after 2m0s waiting until the impossible happens; stopped at 3 of 10"; got != want {
			t.Errorf("failed with %q, want %q", got, want)
		}
		if waited := time.Since(begin); waited < 5*time.Minute {
			t.Errorf("failed after %s, two minutes after the last progress is 5m", waited)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		if !polltest.Retry(t.Context(), func() bool { n++; return n == 3 }) || n != 3 {
			t.Errorf("tried %d times, want 3", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if polltest.Retry(ctx, func() bool { return false }) || ctx.Err() == nil {
			t.Error("ended before its context, or reported success")
		}
	})
}
