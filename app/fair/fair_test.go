package fair_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/domain"
)

// A key with a long queue delays another key by at most one turn.
func TestAnotherKeyDoesNotWaitBehindAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := fair.NewPlaces(fair.Limits{Total: 2, PerKey: 2, Waiting: 100})
		var greedy sync.WaitGroup
		defer greedy.Wait()
		for range 50 {
			greedy.Go(func() {
				release, err := p.Take(t.Context(), "greedy")
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				release()
			})
		}
		synctest.Wait()
		begin := time.Now()
		release, err := p.Take(t.Context(), "modest")
		if err != nil {
			t.Fatal(err)
		}
		release()
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("waited for %s, want one turn at most", waited)
		}
	})
}

func TestAKeyHasNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := fair.NewPlaces(fair.Limits{Total: 4, PerKey: 2, Waiting: 1})
		for range 2 {
			if _, err := p.Take(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, end := context.WithCancelCause(t.Context())
		cause := errors.New("gone")
		waiting := make(chan error)
		go func() {
			_, err := p.Take(ctx, "a")
			waiting <- err
		}()
		synctest.Wait()
		if _, err := p.Take(t.Context(), "a"); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("a further one that waits: %v", err)
		}
		if release, err := p.Take(t.Context(), "b"); err != nil {
			t.Error(err)
		} else {
			release()
		}
		end(cause)
		if err := <-waiting; !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}

// After any sequence of takes, releases, and abandoned waits, no limit is exceeded and no
// place is lost.
func TestPlacesAreNeitherLostNorMade(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := fair.Limits{Total: rapid.IntRange(1, 4).Draw(t, "total"), PerKey: rapid.IntRange(1, 3).Draw(t, "per key"), Waiting: 3}
		p := fair.NewPlaces(limits)
		type taker struct {
			key    string
			cancel context.CancelFunc
			got    chan func()
		}
		var waiting []taker
		held := map[string][]func(){}
		count := func() (n int) {
			for _, of := range held {
				n += len(of)
			}
			return n
		}
		settle := func(k taker) { // its Take has returned
			if release := <-k.got; release != nil {
				held[k.key] = append(held[k.key], release)
			}
			k.cancel()
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			key := fmt.Sprint("k", rapid.IntRange(0, 2).Draw(t, "key"))
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				ctx, cancel := context.WithCancel(context.Background())
				k := taker{key, cancel, make(chan func(), 1)}
				go func() {
					release, err := p.Take(ctx, key)
					if err != nil {
						release = nil
					}
					k.got <- release
				}()
				waiting = append(waiting, k)
			case 1:
				if of := held[key]; len(of) > 0 {
					of[0]()
					of[0]() // a second call does nothing
					held[key] = of[1:]
				}
			case 2:
				if len(waiting) > 0 {
					waiting[0].cancel()
					settle(waiting[0])
					waiting = waiting[1:]
				}
			}
			if count() > limits.Total || len(held[key]) > limits.PerKey {
				t.Fatalf("%d places are held of %d, %d by %s", count(), limits.Total, len(held[key]), key)
			}
		}
		for _, k := range waiting {
			k.cancel()
			settle(k)
		}
		for _, of := range held {
			for _, release := range of {
				release()
			}
		}
		for i := range limits.Total { // all are free again
			if _, err := p.Take(context.Background(), fmt.Sprint("last", i)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
