package graph

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

// standingTimeout limits one check of whether a session is valid. A key that cannot be
// looked up at the moment remains valid.
const standingTimeout = time.Second

// watches ends open streams whose sessions are no longer valid.
type watches struct {
	begun chan struct{} // has a value after a session was added to none

	mu   sync.Mutex
	next int
	open map[int]watch
}

type watch struct {
	session Session
	end     func()
}

func newWatches() *watches {
	return &watches{begun: make(chan struct{}, 1), open: make(map[int]watch)}
}

// add watches a session until remove is called. It calls end once the session is no
// longer valid.
func (w *watches) add(s Session, end func()) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.next
	w.next++
	w.open[id] = watch{s, end}
	if len(w.open) == 1 {
		select {
		case w.begun <- struct{}{}:
		default:
		}
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open, id)
	}
}

// run checks all sessions at an interval while there are any, until ctx ends.
func (w *watches) run(ctx context.Context, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.begun:
		}
		for open := w.sessions(); len(open) > 0; open = w.sessions() {
			if retry.Sleep(ctx, every) != nil {
				return
			}
			check(ctx, open)
		}
	}
}

func (w *watches) sessions() []watch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.open))
}

// check ends the sessions that are no longer valid.
func check(ctx context.Context, open []watch) {
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
