package graph

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/domain"
)

// standingTimeout limits one check of whether a session is valid. A key that cannot be
// looked up at the moment remains valid.
const standingTimeout = time.Second

// watches ends open streams whose sessions are no longer valid.
type watches struct {
	mu   sync.Mutex
	next int
	open map[int]watch
}

type watch struct {
	session Session
	end     func()
}

// add watches a session until remove is called. It calls end once the session is no
// longer valid.
func (w *watches) add(s Session, end func()) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = make(map[int]watch)
	}
	id := w.next
	w.next++
	w.open[id] = watch{s, end}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, id)
	}
}

// run checks all sessions at an interval until ctx ends.
func (w *watches) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look(ctx)
		}
	}
}

func (w *watches) look(ctx context.Context) {
	w.mu.Lock()
	open := slices.Collect(maps.Values(w.open))
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	for _, o := range open {
		if o.session.CheckActive == nil {
			continue
		}
		if err := o.session.CheckActive(ctx); domain.CodeOf(err) == domain.CodeUnauthenticated {
			o.end()
		}
	}
}
