package platform

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/ports/egress"
)

// hookSettings are the settings of serve for outgoing webhooks.
type hookSettings struct {
	HookNetworks      []string      `help:"Internal networks that outgoing webhooks can reach, for example 10.1.0.0/16." env:"WAYPOST_HOOK_NETWORKS"`
	HookDisableAfter  time.Duration `help:"How long an outgoing webhook can fail before it is disabled." default:"72h" env:"WAYPOST_HOOK_DISABLE_AFTER"`
	WebhookForwardURL string        `help:"URL that every WhatsApp webhook is forwarded to, with Meta's signature, after it is recorded." env:"WAYPOST_WEBHOOK_FORWARD_URL"`
}

// networks returns the internal networks that outgoing webhooks can reach.
func (s *hookSettings) networks() ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(s.HookNetworks))
	for _, text := range s.HookNetworks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--hook-networks: %q is not a valid network; use one like 10.1.0.0/16", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// check returns an error if a setting is invalid.
func (s *hookSettings) check() error {
	if _, err := s.networks(); err != nil {
		return err
	}
	if s.HookDisableAfter < time.Minute {
		return fmt.Errorf("--hook-disable-after: must be at least 1m, got %s", s.HookDisableAfter)
	}
	if s.WebhookForwardURL != "" && !isHTTP(s.WebhookForwardURL) {
		return errors.New("--webhook-forward-url: must be an http or https URL")
	}
	return nil
}

// isHTTP reports whether text is an http or https URL with a host.
func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// anyNetwork returns all networks, internal ones included. It is for addresses that the operator has set.
func anyNetwork() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}

// deliverHooks registers the deliveries to outgoing webhooks, which the role project makes. It returns the commands that change
// outgoing webhooks.
func (c *core) deliverHooks() (*command.Hooks, error) {
	networks, err := c.settings.networks()
	if err != nil {
		return nil, err
	}
	known := command.NewHooks(c.stores.Log, c.now, NewID, c.tokens, hooks.NewSecret)
	c.parts.run("outgoing webhooks", known.Run)
	if !c.settings.has(roleProject) {
		return known, nil
	}
	client := hooks.NewClient(networks)
	deliveries := egress.NewHooks(egress.HookOptions{
		Hooks: known.List, Client: client, Deliveries: hooks.NewDeliveries(c.stores.Pool),
		Secret: func(ctx context.Context, hookID, secretID string) (string, error) {
			return c.tokens.Get(ctx, command.SecretOwner(hookID), secretID)
		},
		GiveUp: func(ctx context.Context, hookID, reason string) error { return disableHook(ctx, known, hookID, reason) },
		Log:    c.stores.Log, LogID: c.stores.LogID, Places: postgres.NewCheckpoints(c.stores.Pool), Process: NewID(),
		DisableAfter: c.settings.HookDisableAfter, Now: c.now, Logger: c.log,
	})
	c.parts.run("deliveries", func(ctx context.Context) error {
		defer client.Close()
		return deliveries.Run(ctx)
	})
	return known, nil
}

// disableHook disables an outgoing webhook, unless it was removed in the meantime.
func disableHook(ctx context.Context, known *command.Hooks, hookID, reason string) error {
	_, err := known.AutoDisable(ctx, hookID, reason, event.Cause{By: domain.Platform("outgoing webhooks"), CausationID: NewID().String()})
	if domain.CodeOf(err) == domain.CodeNotFound {
		return nil
	}
	return err
}

// forwardWebhooks registers the forwarding of WhatsApp webhooks. It returns the function that adds one, or nil if none are forwarded.
func (c *core) forwardWebhooks() func(raw []byte, signature string) {
	if c.settings.WebhookForwardURL == "" {
		return nil
	}
	client := hooks.NewClient(anyNetwork())
	f := egress.NewForward(client, c.settings.WebhookForwardURL, c.log)
	c.parts.run("forward", func(ctx context.Context) error {
		defer client.Close()
		return f.Run(ctx)
	})
	return f.Add
}
