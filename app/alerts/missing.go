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

// missingTimeout bounds the look for what a read model lacks.
const missingTimeout = 2 * time.Second

// errSeen ends a subscription that has seen enough.
var errSeen = errors.New("seen")

// Missing answers the alerts of which something was recorded behind a position, as they
// are now, the latest last. It is how a list shows that its own read model stands
// still. Behind a long backlog it answers what it found within two seconds.
func (a *Alerts) Missing(ctx context.Context, after event.Position) ([]query.Alert, error) {
	end, err := a.log.End(ctx)
	if err != nil || end <= after {
		return nil, err
	}
	var order []uuid.UUID
	latest := make(map[uuid.UUID]event.Position)
	bounded, cancel := context.WithTimeout(ctx, missingTimeout)
	defer cancel()
	err = a.log.Subscribe(bounded, event.Subscription{After: after, Filter: event.Filter{Types: Types()}},
		func(_ context.Context, b event.Batch) error {
			for _, e := range b.Events {
				if id, ok := Of(e.Stream); ok {
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
		return nil, fmt.Errorf("look for alerts behind the read model: %w", err)
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
