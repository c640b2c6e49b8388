package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
)

const (
	// standbyPause is for how long projections that another process runs must not
	// move before this one tries to take them over.
	standbyPause = 2 * time.Second
	// gaugeEvery is how often the work-list's lag is looked at.
	gaugeEvery = 250 * time.Millisecond
	// caughtUp is the lag below which dispatch may go by the work-list.
	caughtUp = time.Second
)

// projecting runs the projections of one group, or stands by while another process
// does.
type projecting struct {
	*postgres.Projector

	log *slog.Logger
	// standby is set from when another process wrote until this one does.
	standby atomic.Bool
}

// run projects until ctx ends.
func (p *projecting) run(ctx context.Context) error {
	for {
		err := p.Run(ctx)
		var fenced *postgres.FencedError
		if !errors.As(err, &fenced) {
			return err
		}
		if fenced.Anew {
			continue
		}
		if !p.standby.Swap(true) {
			p.log.InfoContext(ctx, "another process runs the projections; standing by", "group", string(fenced.Group))
		}
		if err := p.awaitStandstill(ctx); err != nil {
			return err
		}
	}
}

// committed is told of each batch that this process wrote.
func (p *projecting) committed() {
	if p.standby.Swap(false) {
		p.log.Info("this process runs the projections", "group", string(p.Group()))
	}
}

// awaitStandstill waits until the group has not moved for a while: two that write
// in turn would only take the work from each other.
func (p *projecting) awaitStandstill(ctx context.Context) error {
	at, known := p.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(standbyPause):
		}
		now, answered := p.look(ctx)
		if known && answered && now == at {
			return nil
		}
		at, known = now, answered
	}
}

// look is where the group stands, if Postgres says so.
func (p *projecting) look(ctx context.Context) (event.Position, bool) {
	ctx, cancel := context.WithTimeout(ctx, standbyPause)
	defer cancel()
	at, err := p.Recorded(ctx)
	return at, err == nil
}

// ready is why the group is not ready. What another process runs is not this one's to
// catch up with; alerts tell when nobody does.
func (p *projecting) ready() error {
	if p.standby.Load() || p.Live() {
		return nil
	}
	return errors.New("still catching up with the log")
}

// workListGauge knows whether the work-list has caught up with the log to
// within a second.
type workListGauge struct {
	projectors []*projecting
	model      *postgres.ReadModel
	now        command.Clock
	ready      atomic.Bool
}

func newWorkListGauge(projectors []*projecting, model *postgres.ReadModel, now command.Clock) *workListGauge {
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
		if p.Group() == postgres.Worklist && !p.standby.Load() {
			return p.Live() && p.Behind(g.now()) < caughtUp
		}
	}
	ctx, cancel := context.WithTimeout(ctx, caughtUp)
	defer cancel()
	m, err := g.model.ReadModel(ctx, g.now())
	return err == nil && m.Position > 0 && m.Behind < caughtUp
}
