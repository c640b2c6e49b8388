package main

import (
	"context"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
)

const (
	// sweepsKept is how often it is looked what is due within the time that personal
	// data are kept; sweepAtLeast and sweepAtMost bound the time between two looks.
	sweepsKept   = 32
	sweepAtLeast = time.Second
	sweepAtMost  = 10 * time.Minute
)

// startForgetting sets going what forgets people: the use case, the follower of
// erasures, and the retention.
func (p *platform) startForgetting(ctx context.Context, messages *command.Messages, model *postgres.ReadModel, now command.Clock) *command.EraseRecipient {
	st := p.stores
	p.background(ctx, "vault", st.vault.Run)
	p.background(ctx, "erasures", process.NewForget(st.log, st.vault, messages, time.After, p.log).Run)
	p.background(ctx, "rotation", func(ctx context.Context) error {
		rows, err := st.vault.Rewrap(ctx)
		if rows > 0 {
			p.log.InfoContext(ctx, "wrapped the vault by the first secret key; the others are needed no longer", "rows", rows)
		}
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "the vault is not wrapped by the first secret key yet; the next start goes on with it", "error", err)
		}
		return nil
	})
	if keep := p.settings.ContentRetention; keep > 0 && p.settings.has("project") {
		retain := process.NewRetain(st.log, st.vault, model, messages, keep, now, newID, p.log)
		interval := min(max(keep/sweepsKept, sweepAtLeast), sweepAtMost)
		p.background(ctx, "retention", func(ctx context.Context) error {
			return every(ctx, interval, func(ctx context.Context) error {
				err := retain.Sweep(ctx)
				if err != nil && ctx.Err() == nil {
					p.log.WarnContext(ctx, "retention waits for its stores", "error", err)
				}
				return err
			})
		})
	}
	return command.NewEraseRecipient(st.log, messages, st.vault, model, now, time.After, newID)
}
