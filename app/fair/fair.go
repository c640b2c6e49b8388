// Package fair shares what a process has among its tasks. Places shares a small number of
// places among callers, so that no caller can take all of them and none waits behind another
// caller's queue. Gate lets webhooks go before calls, and calls before accepting. Intake
// bounds accepting.
package fair

import (
	"context"
	"slices"
	"sync"

	"github.com/waypost/waypost/domain"
)

// Limits are the sizes of Places.
type Limits struct {
	// Total is the number of places, and PerKey is the maximum for one key at a time.
	Total, PerKey int
	// Waiting is the maximum number of waiting calls of one key, and AllWaiting that of all
	// keys. Further calls fail. If AllWaiting is 0, only Waiting limits them.
	Waiting, AllWaiting int
}

// Places is a set of places shared in rotation. A key identifies each caller. Free places go
// to the keys in rotation, and to the waiters of one key in their order.
type Places struct {
	limits Limits

	mu    sync.Mutex
	used  int
	wait  int // number of waiting calls
	keys  map[string]*line
	order []*line // those with waiters, the next one first
}

// line is the places and the waiters of one key.
type line struct {
	key     string
	used    int
	waiting []chan struct{} // closed when the waiter gets a place
}

// NewPlaces returns free places.
func NewPlaces(l Limits) *Places { return &Places{limits: l, keys: make(map[string]*line)} }

// Take waits for a place until ctx ends. release gives it back, and can be called again.
// If too many of the key wait already, it fails with domain.CodeUnavailable.
func (p *Places) Take(ctx context.Context, key string) (release func(), err error) {
	p.mu.Lock()
	l := p.keys[key]
	if l == nil {
		l = &line{key: key}
		p.keys[key] = l
	}
	if p.used < p.limits.Total && l.used < p.limits.PerKey && len(l.waiting) == 0 {
		p.used++
		l.used++
		p.mu.Unlock()
		return p.releaseOf(l), nil
	}
	if len(l.waiting) >= p.limits.Waiting || p.limits.AllWaiting > 0 && p.wait >= p.limits.AllWaiting {
		p.forget(l)
		p.mu.Unlock()
		return nil, domain.Unavailable("%d reads of the key wait already; wait for their answers before you ask again", p.limits.Waiting)
	}
	turn := make(chan struct{})
	p.wait++
	if l.waiting = append(l.waiting, turn); len(l.waiting) == 1 {
		p.order = append(p.order, l)
	}
	p.mu.Unlock()
	select {
	case <-turn:
		return p.releaseOf(l), nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(l.waiting, turn)
	if i < 0 { // its turn came at the same moment
		p.free(l)
		return nil, context.Cause(ctx)
	}
	p.wait--
	if l.waiting = slices.Delete(l.waiting, i, i+1); len(l.waiting) == 0 {
		p.order = slices.DeleteFunc(p.order, func(o *line) bool { return o == l })
	}
	p.forget(l)
	return nil, context.Cause(ctx)
}

// waiting returns the number of waiting calls.
func (p *Places) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wait
}

func (p *Places) releaseOf(l *line) func() {
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free(l)
	})
}

// free passes a place of a key to the next key that can take it.
func (p *Places) free(l *line) {
	p.used--
	l.used--
	for p.used < p.limits.Total {
		i := slices.IndexFunc(p.order, func(o *line) bool { return o.used < p.limits.PerKey })
		if i < 0 {
			break
		}
		next := p.order[i]
		p.order = slices.Delete(p.order, i, i+1)
		close(next.waiting[0])
		if next.waiting = next.waiting[1:]; len(next.waiting) > 0 {
			p.order = append(p.order, next)
		}
		p.wait--
		p.used++
		next.used++
	}
	p.forget(l)
}

func (p *Places) forget(l *line) {
	if l.used == 0 && len(l.waiting) == 0 && p.keys[l.key] == l {
		delete(p.keys, l.key)
	}
}
