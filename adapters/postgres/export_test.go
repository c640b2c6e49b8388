package postgres

import (
	"context"

	"github.com/waypost/waypost/app/event"
)

// CatchUp projects what stands in the log and returns.
func (p *Projector) CatchUp(ctx context.Context) error {
	end, err := p.options.Log.End(ctx)
	if err != nil {
		return err
	}
	f := &freshModel{options: RebuildOptions{Log: p.options.Log}, groups: []*Projector{p}}
	return f.projectTo(ctx, map[Group]event.Position{p.options.Group: end}, func(event.Position) {})
}

// InSmallSteps makes a rebuild take some events at once and hold few rows.
func (o RebuildOptions) InSmallSteps() RebuildOptions {
	o.batch, o.held = 5, 4
	return o
}

// Holding makes a projector hold rows back, as those of a rebuild do.
func (o ProjectorOptions) Holding(rows int) ProjectorOptions {
	o.held = rows
	return o
}

// Commit is one attempt at a batch.
func (p *Projector) Commit(ctx context.Context, b event.Batch) error { return p.commit(ctx, b) }
