package main

import (
	"fmt"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/demo"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type demoCommand struct {
	Addr          string        `help:"Address for GraphQL, webhooks, and the web UI." default:"127.0.0.1:8080" env:"WAYPOST_DEMO_ADDR"`
	SimulatorAddr string        `help:"Address of the simulated WhatsApp." default:"127.0.0.1:9090" env:"WAYPOST_DEMO_SIMULATOR_ADDR"`
	DataDir       string        `help:"Directory for the demo's data." default:"./waypost-data/demo" env:"WAYPOST_DEMO_DATA_DIR" type:"path"`
	Traffic       float64       `help:"Messages per second that the demo queues on its own. 0 queues none." default:"2" env:"WAYPOST_DEMO_TRAFFIC"`
	DrainTimeout  time.Duration `help:"How long shutdown waits for calls in flight." default:"5s" env:"WAYPOST_DEMO_DRAIN_TIMEOUT"`

	platform.LogSettings
}

// Run runs the demo until env.ctx ends.
func (c demoCommand) Run(env *environment) error {
	if c.LogLevel == "info" {
		c.LogLevel = "warn" // the web UI shows more than a log line for each message would
	}
	d, err := demo.Start(env.ctx, demo.Options{
		Addr: c.Addr, SimulatorAddr: c.SimulatorAddr, DataDir: c.DataDir, Traffic: c.Traffic, DrainTimeout: c.DrainTimeout,
		Version: version, Log: c.LogSettings,
	}, env.stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "The demo is ready. Open this link, which signs you in until the demo ends:\n\n  %s\n\n"+
		"  GraphQL    %s/graphql, %s/playground\n  ADMIN key  in %s\n  WhatsApp   simulated at %s, its settings under \"Break it\"\n\n"+
		"Press Ctrl-C to stop it. The data stays in %s.\n",
		d.Link, d.URL, d.URL, d.AdminKeyPath, d.SimulatorURL, c.DataDir)
	return d.Wait(env.ctx)
}
