package postgres

import "context"

// CatchUp projects what stands in the log and returns.
func (p *Projector) CatchUp(ctx context.Context) error {
	end, err := p.options.Log.End(ctx)
	if err != nil {
		return err
	}
	return p.projectTo(ctx, end)
}
