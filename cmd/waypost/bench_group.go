package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// group is a rig with any number of processes that send. More than one share an
// event store and a Postgres.
type group struct {
	*rig

	stores *sharedStores
	others []*child
}

// startGroup starts a rig, and beside it processes that do nothing but send until
// there are so many.
func startGroup(ctx context.Context, dir string, processes int, control map[string]any) (_ *group, err error) {
	g := &group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.stop(ctx))
		}
	}()
	var env []string
	if processes > 1 {
		if g.stores, err = startSharedStores(ctx, dir); err != nil {
			return nil, err
		}
		env = g.stores.env()
	}
	if g.rig, err = startRig(ctx, dir, env, control); err != nil {
		return nil, err
	}
	for n := 2; n <= processes; n++ {
		c, err := g.startDispatcher(ctx, n)
		if c != nil {
			g.others = append(g.others, c)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// stop ends all that still run, the stores last.
func (g *group) stop(ctx context.Context) error {
	var errs []error
	for _, c := range g.others {
		errs = append(errs, c.stop())
	}
	if g.rig != nil {
		errs = append(errs, g.rig.stop())
	}
	if g.stores != nil {
		errs = append(errs, g.stores.stop(ctx))
	}
	return errors.Join(errs...)
}

// awaitCalls waits until the simulator has answered so many calls.
func (r *rig) awaitCalls(ctx context.Context, count int64, patience time.Duration) error {
	for giveUp := time.Now().Add(patience); ; {
		stats, err := r.stats(ctx)
		if err != nil {
			return err
		}
		switch {
		case stats.Accepted >= count:
			return nil
		case time.Now().After(giveUp):
			return fmt.Errorf("%d of %d messages were sent within %s", stats.Accepted, count, patience)
		}
		if err := pause(ctx, booksPoll); err != nil {
			return err
		}
	}
}

// backlog registers the senders and queues messages while all are paused, so that
// their queueing does not disturb what is measured.
func (l *load) backlog(ctx context.Context, rate, count int) error {
	if err := l.register(ctx, rate); err != nil {
		return err
	}
	for i := range l.senders {
		err := l.client.do(ctx, `mutation($id: ID!) { pauseSender(id: $id, reason: "bench") { id } }`,
			map[string]any{"id": senderID(i)}, &struct{}{})
		if err != nil {
			return fmt.Errorf("pause sender: %w", err)
		}
	}
	if err := l.queue(ctx, count, func() bool { return false }); err != nil {
		return err
	}
	return l.awaitCaughtUp(ctx)
}

// awaitCaughtUp waits until the read models have seen all.
func (l *load) awaitCaughtUp(ctx context.Context) error {
	for giveUp := time.Now().Add(time.Minute); ; {
		behind, err := l.client.behind(ctx)
		if err != nil {
			return err
		}
		if behind < booksPoll {
			return pause(ctx, settleTime)
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("the read models are %s behind a minute after the load", behind)
		}
		if err := pause(ctx, booksPoll); err != nil {
			return err
		}
	}
}

// resume lets all senders go on.
func (l *load) resume(ctx context.Context) error {
	for i := range l.senders {
		err := l.client.do(ctx, `mutation($id: ID!) { resumeSender(id: $id) { id } }`,
			map[string]any{"id": senderID(i)}, &struct{}{})
		if err != nil {
			return fmt.Errorf("resume sender: %w", err)
		}
	}
	return nil
}
