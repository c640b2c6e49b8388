package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// database is Postgres as one process uses it. It can refuse queries or respond late.
type database struct {
	*world

	refuses bool          // this and the others are guarded by the world's lock
	hangs   bool          // each query takes until its context ends
	claims  time.Duration // how long a claim takes
}

func (p *database) reach(ctx context.Context) error {
	var refuses, hangs bool
	p.locked(func() { refuses, hangs = p.refuses, p.hangs })
	switch {
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case refuses:
		return errors.New("the connection is refused")
	}
	return nil
}

func (p *database) Heartbeat(
	ctx context.Context, process uuid.UUID, roles []string, since time.Time, ttl time.Duration,
) (time.Time, error) {
	if err := p.reach(ctx); err != nil {
		return time.Time{}, err
	}
	return p.world.Heartbeat(ctx, process, roles, since, ttl)
}

func (p *database) Claim(ctx context.Context, process uuid.UUID, senders []string) ([]string, int, error) {
	if err := p.reach(ctx); err != nil {
		return nil, 0, err
	}
	var takes time.Duration
	p.locked(func() { takes = p.claims })
	select {
	case <-time.After(takes):
		return p.world.Claim(ctx, process, senders)
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

func (p *database) Senders(ctx context.Context) ([]sender.Sender, error) {
	if err := p.reach(ctx); err != nil {
		return nil, err
	}
	return p.world.Senders(ctx)
}

func (p *database) Fetch(ctx context.Context, now time.Time, wants []work.FetchRequest) ([]work.Item, event.Position, error) {
	if err := p.reach(ctx); err != nil {
		return nil, 0, err
	}
	return p.world.Fetch(ctx, now, wants)
}

// A process whose lease had lapsed sends nothing before it knows which lanes other
// processes took in the meantime, however long that query takes.
func TestALapsedLeaseGivesNoLanesBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	for _, claims := range []time.Duration{5 * time.Millisecond, 200 * time.Millisecond, 1500 * time.Millisecond, time.Minute} {
		t.Run(fmt.Sprint(claims), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				for n := range 5000 {
					w.queue("acme", recipient(n), nil)
				}
				first := &database{world: w}
				d, _ := w.dispatch(func(o *dispatch.Options) { o.Leases = first })
				time.Sleep(3 * time.Second)
				w.dispatch(nil)
				time.Sleep(3 * time.Second)
				w.locked(func() { first.refuses = true })
				time.Sleep(8 * time.Second) // the other has the lane
				w.locked(func() { first.refuses, first.claims = false, claims })
				before := len(w.made())
				time.Sleep(6 * time.Second)
				if n := len(w.made()) - before; n < 6*79 {
					t.Errorf("%d calls in 6 s at 80/s", n)
				}
				w.wantWithin("acme", 80)
				if claims < time.Second && d.Owns("acme") {
					t.Error("the first process still treats the lane as its own")
				}
			})
		})
	}
}

// slowConnections delay the writing of each call.
type slowConnections struct {
	*world

	connect time.Duration // guarded by the world's lock
	written []time.Time
}

func (c *slowConnections) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	var connect time.Duration
	c.locked(func() { connect = c.connect })
	select {
	case <-time.After(connect):
	case <-ctx.Done():
		return message.NotCalled{}
	}
	c.locked(func() { c.written = append(c.written, time.Now()) })
	return c.world.Send(ctx, r)
}

// Calls that are not written when the lease ends are abandoned, even if Postgres
// doesn't respond at all.
func TestUnwrittenCallsEndWithTheLease(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*database){
		"refuses": func(p *database) { p.refuses = true },
		"hangs":   func(p *database) { p.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				for n := range 5000 {
					w.queue("acme", recipient(n), nil)
				}
				first, calls := &database{world: w}, &slowConnections{world: w}
				w.dispatch(func(o *dispatch.Options) { o.Leases, o.Source, o.List, o.Caller = first, first, first, calls })
				time.Sleep(5 * time.Second)
				w.dispatch(nil)
				time.Sleep(3 * time.Second)
				w.locked(func() {
					away(first)
					calls.connect = 6 * time.Second
				})
				cut := time.Now()
				time.Sleep(20 * time.Second)
				w.locked(func() {
					for _, at := range calls.written {
						if late := at.Sub(cut); late > 4*time.Second {
							t.Errorf("a call was written %s after Postgres became unavailable", late)
						}
					}
				})
				w.wantWithin("acme", 80)
			})
		})
	}
}
