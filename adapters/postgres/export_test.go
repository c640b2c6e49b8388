package postgres

import "context"

// CatchUp projects what stands in the log and returns.
func (p *Projector) CatchUp(ctx context.Context) error { return p.catchUp(ctx) }
