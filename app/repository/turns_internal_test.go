package repository

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
)

func TestTurnsAreTakenInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all turns
		id, other := uuid.New(), uuid.New()
		end, err := all.take(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		canceled, cancel := context.WithCancelCause(t.Context())
		gaveUp := errors.New("gave up")
		var waiting sync.WaitGroup
		var order []int
		for n := range 5 {
			waiting.Go(func() {
				ctx := t.Context()
				if n == 2 {
					ctx = canceled
				}
				end, err := all.take(ctx, id)
				if n == 2 {
					if !errors.Is(err, gaveUp) {
						t.Errorf("after the end of ctx: %v", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, n)
				end()
			})
			synctest.Wait() // it waits
		}
		if endOther, err := all.take(t.Context(), other); err != nil {
			t.Error(err)
		} else {
			endOther()
		}
		cancel(gaveUp)
		synctest.Wait()
		if len(order) > 0 {
			t.Errorf("%v got the turn before its end", order)
		}
		end()
		waiting.Wait()
		if !slices.Equal(order, []int{0, 1, 3, 4}) {
			t.Errorf("order %v", order)
		}
		if len(all.byID) > 0 {
			t.Errorf("%d turns are left", len(all.byID))
		}
	})
}

// Nothing can be decided at the same time by two goroutines, and nothing stays in memory.
func TestTurnsExclude(t *testing.T) {
	t.Parallel()
	var all turns
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	counts := make([]int, len(ids)) // the race detector notices two at a time
	var users sync.WaitGroup
	for range 16 {
		users.Go(func() {
			for n := range 300 {
				end, err := all.take(t.Context(), ids[n%len(ids)])
				if err != nil {
					t.Error(err)
					return
				}
				counts[n%len(ids)]++
				end()
			}
		})
	}
	users.Wait()
	if !slices.Equal(counts, []int{1600, 1600, 1600}) || len(all.byID) > 0 {
		t.Errorf("counts %v, %d turns left", counts, len(all.byID))
	}
}

// Waiting for a change that waits for the event store is an interruption of the store, as
// waiting for the append itself.
func TestWaitingTooLongForATurnIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stream := Stream[int, int]{Name: "s", turn: func(ctx context.Context) (func(), error) { return nil, ctx.Err() }}
	_, err := Execute(ctx, stream, func(int) ([]int, error) {
		t.Error("it decides without a turn")
		return nil, nil
	})
	if !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
