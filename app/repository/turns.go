package repository

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// turns makes the goroutines of one process decide on an aggregate one after the other.
// Without it, a message's statuses, which WhatsApp reports within milliseconds, would each
// be decided on the same revision, and all appends but one would fail.
//
// Turns only save work. The expected revision of every append is what keeps decisions
// correct, also between processes.
//
// A goroutine has at most one turn at a time, so turns can't deadlock: only Execute takes
// one, and it gives the turn back before it returns. Memory is bounded by the number of
// goroutines that have a turn or wait for one. The zero value is ready to use.
type turns struct {
	mu   sync.Mutex
	byID map[uuid.UUID]*turn // guarded by mu
}

// turn is the turn of one aggregate.
type turn struct {
	taken chan struct{} // holds one element while a goroutine has the turn
	users int           // the goroutines that have the turn or wait for it; guarded by turns.mu
}

// take waits until no other goroutine has the turn of the aggregate, in the order of the
// calls. The caller must call end. If ctx ends first, take returns ctx's cause.
func (t *turns) take(ctx context.Context, id uuid.UUID) (end func(), err error) {
	own := t.join(id)
	select {
	case own.taken <- struct{}{}:
		return func() {
			<-own.taken
			t.leave(id, own)
		}, nil
	case <-ctx.Done():
		t.leave(id, own)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) join(id uuid.UUID) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.byID[id]
	if own == nil {
		if t.byID == nil {
			t.byID = make(map[uuid.UUID]*turn)
		}
		own = &turn{taken: make(chan struct{}, 1)}
		t.byID[id] = own
	}
	own.users++
	return own
}

func (t *turns) leave(id uuid.UUID, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.byID, id)
	}
}
