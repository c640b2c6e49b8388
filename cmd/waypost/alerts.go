package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/domain/alert"
)

const (
	// rejectionFlush is how often webhooks with wrong signatures are shared.
	rejectionFlush = time.Second
	// rejectionTimeout bounds the sharing; what it misses is tried again.
	rejectionTimeout = time.Second
)

// alertReader reads what alert rules go by.
type alertReader struct {
	*postgres.ReadModel

	lag     *process.MeasureLag
	hooks   *command.Hooks
	dataDir string
	// unbalanced is what the ledger said when it could be compared last. The evaluator
	// alone asks.
	unbalanced *atomic.Bool
}

// Facts answers the installation as it is at now.
func (r alertReader) Facts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error) {
	f, err := r.AlertFacts(ctx, needs, now)
	if err != nil {
		return f, err
	}
	m, err := r.lag.ReadModel(ctx, now)
	if err != nil {
		return f, err
	}
	f.Behind, f.Parked = m.Behind, m.Parked
	balanced, compared, err := r.BalanceNow(ctx)
	if err != nil {
		return f, err
	}
	// Under load both groups seldom stand at one position: what was seen then lasts.
	if compared || !balanced {
		r.unbalanced.Store(!balanced)
	}
	f.Unbalanced = r.unbalanced.Load()
	f.DiskUsed = diskUsed(r.dataDir)
	for _, h := range r.hooks.GivenUp() {
		f.GivenUp = append(f.GivenUp, alert.GivenUpHook{ID: h.ID, Host: h.Host(), Reason: h.DisabledReason})
	}
	return f, nil
}

// rejectionCounter counts webhooks with wrong signatures and shares the count with
// whoever evaluates the alert rules.
type rejectionCounter struct {
	leases *postgres.Leases
	now    command.Clock
	log    *slog.Logger
	n      atomic.Int64 // not shared yet
	all    atomic.Int64
}

func (c *rejectionCounter) add() {
	c.n.Add(1)
	c.all.Add(1)
}

// total is how many there were since this process began.
func (c *rejectionCounter) total() float64 { return float64(c.all.Load()) }

func (c *rejectionCounter) run(ctx context.Context) error {
	return every(ctx, rejectionFlush, func(ctx context.Context) error {
		n := c.n.Swap(0)
		if n == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, rejectionTimeout)
		defer cancel()
		err := c.leases.AddRejections(ctx, c.now(), int(n))
		if err != nil {
			c.n.Add(n)
			c.log.DebugContext(ctx, "rejected webhooks were not counted; trying again", "error", err)
		}
		return err
	})
}
