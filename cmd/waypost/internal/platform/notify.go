package platform

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/ports/egress"
)

// notifySettings are the settings of serve for alert notifications.
type notifySettings struct {
	AlertWebhookURL    string `name:"alert-webhook-url" secret:"" help:"URL to notify when an alert is raised, acknowledged, or resolved. For PagerDuty, https://events.pagerduty.com/v2/enqueue. If empty, none." env:"WAYPOST_ALERT_WEBHOOK_URL"`
	AlertWebhookSecret string `name:"alert-webhook-secret" secret:"" help:"Signing secret (whsec_ and base64, Standard Webhooks). PagerDuty: the routing key. Slack: none." env:"WAYPOST_ALERT_WEBHOOK_SECRET"`
	AlertWebhookFormat string `name:"alert-webhook-format" help:"Format: waypost, slack, or pagerduty." default:"waypost" enum:"waypost,slack,pagerduty" env:"WAYPOST_ALERT_WEBHOOK_FORMAT"`
}

// check returns an error if a setting is invalid.
func (s *notifySettings) check() error {
	_, _, err := s.receiver()
	return err
}

// receiver returns the URL and the signing secret. The URL is also a secret: Slack's URLs contain a key.
func (s *notifySettings) receiver() (address, key *Secret, err error) {
	if address, err = NewSecret("WAYPOST_ALERT_WEBHOOK_URL", s.AlertWebhookURL); err != nil {
		return nil, nil, err
	}
	if key, err = NewSecret("WAYPOST_ALERT_WEBHOOK_SECRET", s.AlertWebhookSecret); err != nil || address.Get() == "" {
		return address, key, err
	}
	if !isHTTP(address.Get()) {
		return nil, nil, errors.New("--alert-webhook-url: must be an http or https URL")
	}
	switch egress.AlertFormat(s.AlertWebhookFormat) {
	case egress.FormatWaypost:
		if err := hooks.CheckSecret(key.Get()); err != nil {
			return nil, nil, fmt.Errorf("--alert-webhook-secret: %w; generate one with: echo whsec_$(openssl rand -base64 32)", err)
		}
	case egress.FormatPagerDuty:
		if key.Get() == "" {
			return nil, nil, errors.New("--alert-webhook-secret: is required; set it to the routing key of an Events API v2 integration")
		}
	case egress.FormatSlack:
	}
	return address, key, nil
}

// notify registers the notifications of alerts, if a receiver is set.
func (c *core) notify(raised *alerts.Alerts) error {
	address, key, err := c.settings.receiver()
	if err != nil || address.Get() == "" {
		return err
	}
	client := hooks.NewClient(anyNetwork())
	notifications := egress.NewAlerts(egress.AlertOptions{
		URL: address.Get, Secret: key.Get, Format: egress.AlertFormat(c.settings.AlertWebhookFormat), Client: client, Load: raised.LoadAt,
		Log: c.stores.Log, LogID: c.stores.LogID, Places: postgres.NewCheckpoints(c.stores.Pool), Process: NewID(), Now: c.now, Logger: c.log,
	})
	c.parts.run("alert notifications", func(ctx context.Context) error {
		defer client.Close()
		return notifications.Run(ctx)
	})
	return nil
}
