package alerts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
)

// doubtsRead is the number of records of a shorter log to read.
const doubtsRead = 10

// missingTimeout bounds the search for what a read model lacks.
const missingTimeout = 2 * time.Second

// errSeen ends a subscription that has delivered enough.
var errSeen = errors.New("seen")

// Missing returns the alerts that changed after a position, in their current state, most
// recently changed last. A list uses it to show alerts even if its own read model has
// stopped. After a long backlog, Missing returns what it found within two seconds.
func (a *Alerts) Missing(ctx context.Context, after event.Position) ([]query.Alert, error) {
	end, err := a.log.End(ctx)
	if err != nil || end == after {
		return nil, err
	}
	// If the log is shorter than the read model, the alerts since it became so are missing.
	if after > end {
		shorter, err := a.shorter(ctx)
		if err != nil || shorter == nil {
			return nil, err
		}
		after = shorter.End
	}
	var order []uuid.UUID
	latest := make(map[uuid.UUID]event.Position)
	bounded, cancel := context.WithTimeout(ctx, missingTimeout)
	defer cancel()
	err = a.log.Subscribe(bounded, event.Subscription{After: after, Filter: event.Filter{Types: Types()}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				if id, ok := event.ParseAlertStream(e.Stream); ok {
					order = append(order, id)
					latest[id] = e.Position
				}
			}
			if b.Live || b.Position >= end {
				return errSeen
			}
			return nil
		})
	if err != nil && !errors.Is(err, errSeen) && (bounded.Err() == nil || ctx.Err() != nil) {
		return nil, fmt.Errorf("read alerts after the read model: %w", err)
	}
	var found []query.Alert
	seen := make(map[uuid.UUID]bool)
	for _, id := range slices.Backward(order) {
		if seen[id] {
			continue
		}
		seen[id] = true
		one, err := a.LoadAt(ctx, id, latest[id])
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	slices.Reverse(found)
	return found, nil
}

// shorter returns the newest record that the log is shorter than it was, or nil if there is
// none.
func (a *Alerts) shorter(ctx context.Context) (*event.PositionBeyondEnd, error) {
	doubts, err := a.log.ReadBackwards(ctx, event.LogEndStream, doubtsRead)
	if err != nil {
		return nil, err
	}
	for _, r := range doubts {
		if doubt, ok := r.Event.(event.PositionBeyondEnd); ok && r.Position < doubt.Position {
			return &doubt, nil
		}
	}
	return nil, nil //nolint:nilnil // most logs were never shorter
}
