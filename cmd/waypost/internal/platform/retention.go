package platform

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
)

const (
	// sweepsPerRetention is the number of sweeps during the time that personal data is kept. minSweepInterval and maxSweepInterval
	// bound the time between two sweeps.
	sweepsPerRetention = 32
	minSweepInterval   = time.Second
	maxSweepInterval   = 10 * time.Minute
)

// eraseData registers what erases personal data: the follower of erasures, the maintenance of the vault, and the retention. It returns
// the command that erases a recipient.
func (c *core) eraseData() *command.EraseRecipient {
	st := c.stores
	c.parts.run("vault", st.Vault.Run)
	c.parts.run("erasures", process.NewForget(st.Log, st.Vault, c.messages, time.After, c.log).Run)
	c.parts.run("scrub", st.Vault.KeepScrubbed)
	c.parts.run("rotation", c.rewrapVault)
	if c.settings.has(roleProject) {
		c.parts.run("erased messages", process.NewCancelErased(st.Log, c.model, c.messages, c.now, time.After, c.log).Run)
		c.retainData()
	}
	return command.NewEraseRecipient(st.Log, c.messages, st.Vault, c.model, c.now, time.After, NewID)
}

// rewrapVault wraps the data keys with the first secret key, once.
func (c *core) rewrapVault(ctx context.Context) error {
	rows, err := c.stores.Vault.Rewrap(ctx)
	if rows > 0 {
		c.log.InfoContext(ctx, "wrapped the vault with the first secret key; the others are no longer needed", "rows", rows)
	}
	if err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "the vault is not wrapped with the first secret key yet; the next start continues", "error", err)
	}
	return nil
}

func (c *core) retainData() {
	keep := c.settings.ContentRetention
	if keep <= 0 {
		return
	}
	retain := process.NewRetain(process.RetainOptions{
		Log: c.stores.Log, LogID: c.stores.LogID, Keys: c.stores.Vault, Open: c.model, Lag: c.lag, Messages: c.messages,
		Keep: keep, Clock: c.now, After: time.After, IDs: NewID, Logger: c.log,
	})
	interval := min(max(keep/sweepsPerRetention, minSweepInterval), maxSweepInterval)
	c.parts.repeat("retention", interval, func(ctx context.Context) error {
		err := retain.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "retention waits for its stores", "error", err)
		}
		return err
	})
}
