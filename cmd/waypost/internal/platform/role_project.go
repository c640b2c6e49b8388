package platform

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/work"
)

const (
	// standbyPause is the time that projections of another process must stand still before this process tries to take over.
	standbyPause = 2 * time.Second
	// gaugeInterval is the time between two measurements of the lag of a work list that another process projects, or, while
	// this process projects it, between two checks whether it still does.
	gaugeInterval, ownGaugeInterval = 250 * time.Millisecond, time.Second
	// maxWorkListLag is the lag above which dispatch doesn't use the work list.
	maxWorkListLag = time.Second
)

// projections is the role project: it keeps the read models and the work list up to date.
type projections struct {
	groups []*projecting // empty if this process has another role
	gauge  *workListGauge
	// arrived is called with the work of each batch that was committed. It must be set before the parts start.
	arrived func([]work.NewWork)
}

func (c *core) project() (*projections, error) {
	p := &projections{arrived: func([]work.NewWork) {}}
	if c.settings.has(roleProject) {
		for _, group := range postgres.Groups() {
			g, err := c.projectGroup(group, p)
			if err != nil {
				return nil, err
			}
			p.groups = append(p.groups, g)
		}
	}
	p.gauge = &workListGauge{groups: p.groups, model: c.model, now: c.now, shorter: c.stores.Log.Shorter}
	c.parts.run("work list gauge", p.gauge.run)
	for _, g := range p.groups {
		c.parts.run("projector", g.run)
	}
	return p, nil
}

func (c *core) projectGroup(group postgres.Group, p *projections) (*projecting, error) {
	g := &projecting{log: c.log}
	var err error
	g.Projector, err = postgres.NewProjector(postgres.ProjectorOptions{
		Group: group, Log: c.stores.Log, Pool: c.stores.Pool, LogID: c.stores.LogID.String(), Logger: c.log, Vault: c.stores.Vault,
		OnCommit: func(commit postgres.Commit) {
			g.committed()
			if commit.Group == postgres.Worklist {
				p.arrived(commit.Arrivals)
			}
		},
	})
	return g, err
}

// projecting runs the projections of one group, or is on standby while another process runs them.
type projecting struct {
	*postgres.Projector

	log *slog.Logger
	// standby is true from the time that another process wrote until this process writes.
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
		if fenced.EpochChanged {
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

// committed is called for each batch that this process wrote.
func (p *projecting) committed() {
	if p.standby.Swap(false) {
		p.log.Info("this process runs the projections", "group", string(p.Group()))
	}
}

// awaitStandstill waits until the group's position has not changed for a while. Two processes that write in turn would only take
// the work from each other.
func (p *projecting) awaitStandstill(ctx context.Context) error {
	at, known := p.position(ctx)
	for {
		if err := retry.Sleep(ctx, standbyPause); err != nil {
			return err
		}
		now, nowKnown := p.position(ctx)
		if known && nowKnown && now == at {
			return nil
		}
		at, known = now, nowKnown
	}
}

// position returns the group's stored position, and false if Postgres did not return it.
func (p *projecting) position(ctx context.Context) (event.Position, bool) {
	ctx, cancel := context.WithTimeout(ctx, standbyPause)
	defer cancel()
	at, err := p.StoredPosition(ctx)
	return at, err == nil
}

// ready returns why the group is not ready, or nil if it is. It doesn't wait for projections that another process runs; alerts
// report if no process does.
func (p *projecting) ready() error {
	if p.standby.Load() || p.Live() {
		return nil
	}
	return errors.New("still catching up with the log")
}

// workListGauge measures whether the work list has caught up with the event log to within maxWorkListLag.
type workListGauge struct {
	groups  []*projecting
	model   *postgres.ReadModel
	now     event.Clock
	shorter func() error // returns an error if the event log can't be trusted
	// ready is the last measurement of a work list that another process projects.
	ready atomic.Bool
}

// own returns the projector of the work list, or nil if another process projects it.
func (g *workListGauge) own() *projecting {
	for _, p := range g.groups {
		if p.Group() == postgres.Worklist && !p.standby.Load() {
			return p
		}
	}
	return nil
}

// projects reports whether this process projects the work list.
func (g *workListGauge) projects() bool { return g.own() != nil }

func (g *workListGauge) caughtUp() bool {
	if p := g.own(); p != nil {
		return g.shorter() == nil && p.Live() && p.Behind(g.now()) < maxWorkListLag
	}
	return g.ready.Load()
}

// run measures while another process projects the work list, until ctx ends.
func (g *workListGauge) run(ctx context.Context) error {
	for {
		interval := ownGaugeInterval
		if g.projects() {
			g.ready.Store(false)
		} else {
			g.ready.Store(g.measure(ctx))
			interval = gaugeInterval
		}
		if err := retry.Sleep(ctx, interval); err != nil {
			return err
		}
	}
}

// measure measures by the read model.
func (g *workListGauge) measure(ctx context.Context) bool {
	if g.shorter() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, maxWorkListLag)
	defer cancel()
	m, err := g.model.ReadModel(ctx, g.now())
	return err == nil && m.Position > 0 && m.Behind < maxWorkListLag
}
