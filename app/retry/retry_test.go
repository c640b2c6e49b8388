package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/app/retry"
)

func ExampleBackoff() {
	b := retry.Backoff{First: 100 * time.Millisecond, Max: 500 * time.Millisecond}
	for range 5 {
		fmt.Print(b.Next(), " ")
	}
	b.Reset()
	fmt.Println(b.Next())
	// Output: 100ms 200ms 400ms 500ms 500ms 100ms
}

func TestBackoffNeverExceedsMax(t *testing.T) {
	t.Parallel()
	b := retry.Backoff{First: time.Hour, Max: time.Minute}
	for range 100 {
		if d := b.Next(); d != time.Minute {
			t.Fatalf("delay %s, want 1m0s", d)
		}
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := retry.Backoff{First: time.Second, Max: time.Minute}
		start := time.Now()
		for range 3 {
			if err := b.Sleep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if slept := time.Since(start); slept != 7*time.Second {
			t.Errorf("slept %s, want 1 s + 2 s + 4 s", slept)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := retry.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 67*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if err := retry.Wait(ctx, time.After, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("on an ended context: %v", err)
		}
	})
}
