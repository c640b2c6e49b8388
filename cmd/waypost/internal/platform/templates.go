package platform

import (
	"context"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
)

// templateSweep is the time between two checks of which accounts' templates are due for a sync.
const templateSweep = 5 * time.Second

// keepTemplates registers what learns of message templates. It returns the command that syncs them.
func (c *core) keepTemplates() *command.SyncTemplates {
	caller := &Caller{Client: c.whatsapp, Tokens: c.tokens, Fallback: c.secrets.Token}
	sync := command.NewSyncTemplates(c.templates, c.model.SenderStates, caller.Templates, c.now, c.log).
		ReadingNumbers(caller.PhoneNumber, c.Senders.Change)
	c.parts.run("templates", c.templates.Run)
	if c.settings.has(roleProject) {
		keep := process.NewKeepTemplates(sync, c.templates, c.leases, NewID(), c.now, c.log)
		c.parts.run("template sync", func(ctx context.Context) error {
			sweep := func(ctx context.Context) error {
				err := keep.Sweep(ctx)
				if err != nil && ctx.Err() == nil {
					c.log.DebugContext(ctx, "failed to check which templates are due for a sync; trying again", "error", err)
				}
				return err
			}
			return every(ctx, templateSweep, sweep)
		})
	}
	return sync
}
