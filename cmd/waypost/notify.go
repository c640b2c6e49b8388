package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/ports/egress"
)

// notifySettings are those of serve for who is told of alerts.
type notifySettings struct {
	AlertWebhookURL    string `name:"alert-webhook-url" help:"Who is told when an alert is raised, acknowledged or resolved; https://events.pagerduty.com/v2/enqueue for PagerDuty. None if empty." env:"WAYPOST_ALERT_WEBHOOK_URL"`
	AlertWebhookSecret string `name:"alert-webhook-secret" help:"What signs it: whsec_ and base64, as Standard Webhooks has it. PagerDuty: the routing key. Slack: none." env:"WAYPOST_ALERT_WEBHOOK_SECRET"`
	AlertWebhookFormat string `name:"alert-webhook-format" help:"What it looks like: waypost, slack or pagerduty." default:"waypost" enum:"waypost,slack,pagerduty" env:"WAYPOST_ALERT_WEBHOOK_FORMAT"`
}

// check says which of the settings cannot be.
func (s *notifySettings) check() error {
	_, _, err := s.receiver()
	return err
}

// receiver reads the URL, which may hold a key as Slack's do, and the secret.
func (s *notifySettings) receiver() (address, key *secret, err error) {
	if address, err = newSecret("WAYPOST_ALERT_WEBHOOK_URL", s.AlertWebhookURL); err != nil {
		return nil, nil, err
	}
	if key, err = newSecret("WAYPOST_ALERT_WEBHOOK_SECRET", s.AlertWebhookSecret); err != nil || address.get() == "" {
		return address, key, err
	}
	if u, err := url.Parse(address.get()); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil, errors.New("--alert-webhook-url: it is no http or https URL")
	}
	switch egress.AlertFormat(s.AlertWebhookFormat) {
	case egress.FormatWaypost:
		if err := hooks.CheckSecret(key.get()); err != nil {
			return nil, nil, fmt.Errorf("--alert-webhook-secret: %w; make one with: echo whsec_$(openssl rand -base64 32)", err)
		}
	case egress.FormatPagerDuty:
		if key.get() == "" {
			return nil, nil, errors.New("--alert-webhook-secret: it is empty; give the routing key of an Events API v2 integration")
		}
	case egress.FormatSlack:
	}
	return address, key, nil
}

// startNotifying tells of alerts, in the role that evaluates the rules, if the setting
// says whom. The address is the operator's own, so it may be internal.
func (p *platform) startNotifying(ctx context.Context, alarms *alerts.Alerts, now command.Clock) error {
	address, key, err := p.settings.receiver()
	if err != nil || address.get() == "" || !p.settings.has("alert") {
		return err
	}
	anywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	client := hooks.NewClient(anywhere)
	tell := egress.NewAlerts(egress.AlertOptions{
		URL: address.get, Secret: key.get, Format: egress.AlertFormat(p.settings.AlertWebhookFormat), Client: client, Load: alarms.LoadAt,
		Log: p.stores.log, LogID: p.stores.logID, Places: broker.NewPlaces(p.stores.pool), Process: newID(), Now: now, Logger: p.log,
	})
	p.background(ctx, "alert notifications", func(ctx context.Context) error {
		defer client.Close()
		return tell.Run(ctx)
	})
	return nil
}
