package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/app/retry"
)

// A Group is a TestEnv with any number of sending processes. If there are several, they share an event store and a Postgres.
type Group struct {
	*TestEnv

	stores *SharedStores
	Others []*Child
}

// StartGroup starts a TestEnv and processes that only send, until there are as many as processes.
func StartGroup(ctx context.Context, dir string, processes int, control map[string]any) (_ *Group, err error) {
	g := &Group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Stop(ctx))
		}
	}()
	var env []string
	if processes > 1 {
		if g.stores, err = StartSharedStores(ctx, dir); err != nil {
			return nil, err
		}
		env = g.stores.Env()
	}
	if g.TestEnv, err = Start(ctx, dir, env, control); err != nil {
		return nil, err
	}
	for n := 2; n <= processes; n++ {
		c, err := g.startDispatcher(ctx, n)
		if c != nil {
			g.Others = append(g.Others, c)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Stop stops everything that still runs, the stores last.
func (g *Group) Stop(ctx context.Context) error {
	var errs []error
	for _, c := range g.Others {
		errs = append(errs, c.Stop())
	}
	if g.TestEnv != nil {
		errs = append(errs, g.TestEnv.Stop())
	}
	if g.stores != nil {
		errs = append(errs, g.stores.Stop(ctx))
	}
	return errors.Join(errs...)
}

// AwaitCalls waits until the simulator has accepted count calls, at most for patience.
func (r *TestEnv) AwaitCalls(ctx context.Context, count int64, patience time.Duration) error {
	for giveUp := time.Now().Add(patience); ; {
		stats, err := r.Stats(ctx)
		if err != nil {
			return err
		}
		switch {
		case stats.Accepted >= count:
			return nil
		case time.Now().After(giveUp):
			return fmt.Errorf("%d of %d messages were sent within %s", stats.Accepted, count, patience)
		}
		if err := retry.Sleep(ctx, PollInterval); err != nil {
			return err
		}
	}
}

// PollInterval is the time between two reads of the ledger, or of the simulator's statistics, while waiting.
const PollInterval = 200 * time.Millisecond
