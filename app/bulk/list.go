package bulk

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/operation"
)

const (
	// MaxListed is the maximum number of operations that List returns.
	MaxListed = 20
	// keptIDs is the number of operations that List looks for them among.
	keptIDs = 100
)

// newest are the newest operations, up to a revision of the stream that lists all of them.
type newest struct {
	mu   sync.Mutex // guards all fields below, and is held while the stream is read
	next event.Revision
	ids  []uuid.UUID // oldest first
	// finished are those of ids that are known to have finished, so that they need not be read again.
	finished map[uuid.UUID]Operation
}

// List returns the newest operations of all processes that sees accepts, newest first: at most
// MaxListed, from the last 100.
func (r *Runner) List(ctx context.Context, sees func(Operation) bool) ([]Operation, error) {
	n := &r.newest
	n.mu.Lock()
	defer n.mu.Unlock()
	err := r.read(ctx, event.OperationsStream, n.next, func(e event.Recorded) error {
		if opened, ok := e.Event.(operation.Opened); ok {
			n.ids = append(n.ids, opened.Operation)
		}
		n.next = e.Revision + 1
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	for len(n.ids) > keptIDs {
		delete(n.finished, n.ids[0])
		n.ids = n.ids[1:]
	}
	var found []Operation
	for _, id := range slices.Backward(n.ids) {
		o, known := n.finished[id]
		if !known {
			if o, err = r.Find(ctx, id); err != nil {
				return nil, err
			}
			if o.Finished {
				n.finished[id] = o
			}
		}
		if sees(o) {
			found = append(found, o)
		}
		if len(found) == MaxListed {
			break
		}
	}
	return found, nil
}
