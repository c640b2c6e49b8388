package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
)

const (
	// standbyPause is how long a process whose projections another one runs waits
	// before it tries to take them over.
	standbyPause = 2 * time.Second
	// gaugeEvery is how often the work-list's lag is looked at.
	gaugeEvery = 250 * time.Millisecond
	// caughtUp is the lag below which dispatch may go by the work-list.
	caughtUp = time.Second
)

// runProjector runs a projector until ctx ends. When another process runs its
// group it stands by.
func runProjector(ctx context.Context, p *postgres.Projector, log *slog.Logger) error {
	for {
		err := p.Run(ctx)
		var fenced *postgres.FencedError
		if !errors.As(err, &fenced) {
			return err
		}
		log.WarnContext(ctx, "another process runs the projections; standing by", "group", string(fenced.Group))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(standbyPause):
		}
	}
}

// workListGauge knows whether the work-list has caught up with the log to
// within a second.
type workListGauge struct {
	projectors []*postgres.Projector
	model      *postgres.ReadModel
	now        command.Clock
	ready      atomic.Bool
}

func newWorkListGauge(projectors []*postgres.Projector, model *postgres.ReadModel, now command.Clock) *workListGauge {
	return &workListGauge{projectors: projectors, model: model, now: now}
}

func (g *workListGauge) caughtUp() bool { return g.ready.Load() }

// run looks until ctx ends: at this process's own projector, or at the read
// model when others project.
func (g *workListGauge) run(ctx context.Context) error {
	tick := time.NewTicker(gaugeEvery)
	defer tick.Stop()
	for {
		g.ready.Store(g.look(ctx))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (g *workListGauge) look(ctx context.Context) bool {
	for _, p := range g.projectors {
		if p.Group() == postgres.Worklist {
			return p.Live() && p.Behind(g.now()) < caughtUp
		}
	}
	ctx, cancel := context.WithTimeout(ctx, caughtUp)
	defer cancel()
	m, err := g.model.ReadModel(ctx, g.now())
	return err == nil && m.Position > 0 && m.Behind < caughtUp
}
