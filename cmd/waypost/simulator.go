package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
)

type simulatorCommand struct {
	Addr        string `help:"Address of the simulator." default:"127.0.0.1:9090" env:"WAYPOST_SIMULATOR_ADDR"`
	WebhookURL  string `help:"URL that webhooks are sent to. If empty, none are sent." env:"WAYPOST_SIMULATOR_WEBHOOK_URL"`
	AppSecret   string `secret:"" help:"App secret that signs webhooks." env:"WAYPOST_SIMULATOR_APP_SECRET"`
	VerifyToken string `secret:"" help:"Token to verify the receiver with before the first webhook. If empty, it is not verified." env:"WAYPOST_SIMULATOR_VERIFY_TOKEN"`

	simulator.Control `embed:""`
	platform.LogSettings
}

// Run runs the simulator until env.ctx ends.
func (c simulatorCommand) Run(env *environment) error {
	log, err := c.Logger(env.stderr)
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), platform.CloseTimeout)
	defer cancel()
	return errors.Join(sim.Close(ctx))
}
