package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

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

// Remembering makes a projector remember so many rows.
func (o ProjectorOptions) Remembering(rows int) ProjectorOptions {
	o.recent = rows
	return o
}

// Commit is one attempt at a batch.
func (p *Projector) Commit(ctx context.Context, b event.Batch) error { return p.commit(ctx, b) }

// ApplyAgain is Apply of a batch of which the first attempt does first and fails then.
func (p *Projector) ApplyAgain(ctx context.Context, b event.Batch, first func() error) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	again := false
	return p.forever(ctx, b.Position, func(ctx context.Context) error {
		if again {
			return p.commit(ctx, b)
		}
		again = true
		return errors.Join(errors.New("the connection is lost"), first())
	})
}

// CommitUnheard is Commit of which the projector does not learn that it stands.
func (p *Projector) CommitUnheard(ctx context.Context, b event.Batch) error {
	var writes pgx.Batch
	_, err := p.write(ctx, p.wanted(b.Events), &writes, p.fence(&writes, b))
	return err
}
