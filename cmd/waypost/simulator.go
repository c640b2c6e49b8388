package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// closeTimeout bounds the closing of a part whose work is over.
const closeTimeout = 5 * time.Second

type simulatorCommand struct {
	Addr        string `help:"Where it listens." default:"127.0.0.1:9090" env:"WAYPOST_SIMULATOR_ADDR"`
	WebhookURL  string `help:"Where webhooks go; none are sent if empty." env:"WAYPOST_SIMULATOR_WEBHOOK_URL"`
	AppSecret   string `help:"Signs the webhooks." env:"WAYPOST_SIMULATOR_APP_SECRET"`
	VerifyToken string `help:"Shown to the receiver before the first webhook; no verification if empty." env:"WAYPOST_SIMULATOR_VERIFY_TOKEN"`

	simulator.Control `embed:""`
	logSettings
}

// Run runs the simulator until it is told to stop.
func (c simulatorCommand) Run(env *environment) error {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	control := c.Control
	control.WebhookURL = c.WebhookURL
	sim, err := simulator.Start(env.ctx, simulator.Options{
		Addr: c.Addr, WebhookURL: c.WebhookURL, AppSecret: c.AppSecret, VerifyToken: c.VerifyToken,
		Control: &control, Logger: log,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "WhatsApp simulator: WAYPOST_WHATSAPP_URL=%s, settings at http://%s/control\n", sim.URL(), sim.Addr())
	<-env.ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
	defer cancel()
	return errors.Join(sim.Close(ctx))
}
