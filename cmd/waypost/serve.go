package main

import (
	"fmt"

	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type serveCommand struct {
	platform.Settings `embed:""`
}

// Run runs Waypost until env.ctx ends.
func (c serveCommand) Run(env *environment) error {
	log, err := c.Logger(env.stderr)
	if err != nil {
		return err
	}
	p, err := platform.Start(env.ctx, &c.Settings, platform.Options{Version: version}, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "Waypost is ready.\n  page     %s/\n  GraphQL  %s/graphql\n", p.URL, p.URL)
	if p.KeyMade {
		fmt.Fprintf(env.stdout, "  ADMIN key, generated now: in %s, which only this user can read\n", platform.AdminKeyPath(c.DataDir))
	}
	return p.Wait(env.ctx)
}
