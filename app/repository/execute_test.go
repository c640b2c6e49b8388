package repository_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
)

// counter is a stream in memory: each event adds one number.
type counter struct {
	events []int
	// interrupted is the number of appends before which another writer appends.
	interrupted int
	loads       int
}

// state is the sum of a counter's numbers at a revision.
type state struct{ sum, revision int }

func (c *counter) stream(cached *state) repository.Stream[state, int] {
	s := repository.Stream[state, int]{
		Name: "counter",
		Load: func(context.Context) (state, error) {
			c.loads++
			s := state{revision: len(c.events)}
			for _, n := range c.events {
				s.sum += n
			}
			return s, nil
		},
		Append: func(_ context.Context, s *state, numbers []int) error {
			if c.interrupted > 0 {
				c.interrupted--
				c.events = append(c.events, 100)
			}
			if s.revision != len(c.events) {
				return fmt.Errorf("append: %w", &event.WrongRevisionError{Stream: "counter"})
			}
			for _, n := range numbers {
				c.events = append(c.events, n)
				s.sum, s.revision = s.sum+n, s.revision+1
			}
			return nil
		},
	}
	if cached != nil {
		s.Cached = func() (state, bool) { return *cached, true }
	}
	return s
}

// Every decision that is appended was made on the state right before it, however often
// other writers come first and however old the cached state is.
func TestExecuteAppendsAtTheStateItDecidedOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &counter{events: rapid.SliceOfN(rapid.IntRange(1, 9), 0, 5).Draw(t, "events"), interrupted: rapid.IntRange(0, 12).Draw(t, "interrupted")}
		var cached *state
		if rapid.Bool().Draw(t, "cached") {
			known := rapid.IntRange(0, len(c.events)).Draw(t, "known")
			cached = &state{revision: known}
			for _, n := range c.events[:known] {
				cached.sum += n
			}
		}
		interruptions, stale := c.interrupted, cached != nil && cached.revision < len(c.events)
		decided := 0
		got, err := repository.Execute(t.Context(), c.stream(cached), func(s state) ([]int, error) {
			decided++
			return []int{s.sum + 1}, nil
		})
		refusals := interruptions
		if stale && interruptions == 0 {
			refusals = 1
		}
		if refusals >= 10 {
			if domain.CodeOf(err) != domain.CodeUnavailable || decided != 10 {
				t.Fatalf("after %d decisions: %v", decided, err)
			}
			return
		}
		sum := 0
		for _, n := range c.events[:len(c.events)-1] {
			sum += n
		}
		last := c.events[len(c.events)-1]
		if err != nil || decided != refusals+1 || last != sum+1 || got != (state{sum + last, len(c.events)}) {
			t.Fatalf("decided %d times, appended %d on %d, got %+v, %v", decided, last, sum, got, err)
		}
	})
}

func TestExecuteRepeatsARefusalOfACachedState(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	c := &counter{events: []int{1, 2}}
	decide := func(s state) ([]int, error) {
		if s.sum < 3 {
			return nil, refused
		}
		return []int{4}, nil
	}
	if got, err := repository.Execute(t.Context(), c.stream(&state{1, 1}), decide); err != nil || got != (state{7, 3}) || c.loads != 1 {
		t.Errorf("%+v after %d loads, %v", got, c.loads, err)
	}
	if _, err := repository.Execute(t.Context(), (&counter{}).stream(nil), decide); !errors.Is(err, refused) {
		t.Errorf("on the stream's own state: %v", err)
	}
}

func TestExecuteRepeatsNothingButConflicts(t *testing.T) {
	t.Parallel()
	c := &counter{}
	s := c.stream(nil)
	s.Append = func(context.Context, *state, []int) error { return event.ErrUnavailable }
	decided := 0
	_, err := repository.Execute(t.Context(), s, func(state) ([]int, error) { decided++; return []int{1}, nil })
	if !errors.Is(err, event.ErrUnavailable) || decided != 1 {
		t.Errorf("decided %d times, %v", decided, err)
	}
	if got, err := repository.Execute(t.Context(), c.stream(nil), func(state) ([]int, error) { return nil, nil }); err != nil || got != (state{}) || !slices.Equal(c.events, nil) {
		t.Errorf("without a decision: %+v, %v, %v", got, c.events, err)
	}
}
