package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/ports/egress"
)

// hookSettings are those of serve for what is told over HTTP.
type hookSettings struct {
	HookNetworks      []string      `help:"Internal networks, such as 10.1.0.0/16, that outgoing webhooks may reach." env:"WAYPOST_HOOK_NETWORKS"`
	HookDisableAfter  time.Duration `help:"How long an outgoing webhook may fail before it is disabled." default:"72h" env:"WAYPOST_HOOK_DISABLE_AFTER"`
	WebhookForwardURL string        `help:"Where every webhook is passed on with Meta's signature, after it was recorded." env:"WAYPOST_WEBHOOK_FORWARD_URL"`
}

// networks are the allowed ones.
func (s *hookSettings) networks() ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(s.HookNetworks))
	for _, text := range s.HookNetworks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--hook-networks: %q is no network; give one like 10.1.0.0/16", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// check says which of the settings cannot be.
func (s *hookSettings) check() error {
	if _, err := s.networks(); err != nil {
		return err
	}
	if s.HookDisableAfter < time.Minute {
		return fmt.Errorf("--hook-disable-after: %s is less than 1m", s.HookDisableAfter)
	}
	if s.WebhookForwardURL == "" {
		return nil
	}
	if u, err := url.Parse(s.WebhookForwardURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("--webhook-forward-url: it is no http or https URL")
	}
	return nil
}

// startHooks tells outgoing webhooks of events, in the role of the projections, and
// answers the use cases by which they are changed.
func (p *platform) startHooks(ctx context.Context, tokens *vault.Tokens, now command.Clock) (*command.Hooks, error) {
	networks, err := p.settings.networks()
	if err != nil {
		return nil, err
	}
	known := command.NewHooks(p.stores.log, now, newID, tokens, hooks.NewSecret)
	p.background(ctx, "outgoing webhooks", known.Run)
	if !p.settings.has("project") {
		return known, nil
	}
	client := hooks.NewClient(networks)
	tell := egress.NewHooks(egress.HookOptions{
		Hooks: known.List, Client: client, Deliveries: hooks.NewDeliveries(p.stores.pool),
		Secret: func(ctx context.Context, hookID, secretID string) (string, error) {
			return tokens.Get(ctx, command.SecretOwner(hookID), secretID)
		},
		GiveUp: func(ctx context.Context, hookID, reason string) error {
			_, err := known.GiveUp(ctx, hookID, reason, command.Cause{By: domain.Platform("outgoing webhooks"), CausationID: newID().String()})
			if domain.CodeOf(err) == domain.CodeNotFound {
				return nil // removed meanwhile
			}
			return err
		},
		Log: p.stores.log, LogID: p.stores.logID, Places: broker.NewPlaces(p.stores.pool), Process: newID(),
		DisableAfter: p.settings.HookDisableAfter, Now: now, Logger: p.log,
	})
	p.background(ctx, "deliveries", func(ctx context.Context) error {
		defer client.Close()
		return tell.Run(ctx)
	})
	return known, nil
}

// startForward passes webhooks on, if the setting says where; nil if it does not. The
// address is the operator's own, so it may be internal.
func (p *platform) startForward(ctx context.Context) func(raw []byte, signature string) {
	if p.settings.WebhookForwardURL == "" {
		return nil
	}
	anywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	client := hooks.NewClient(anywhere)
	f := egress.NewForward(client, p.settings.WebhookForwardURL, p.log)
	p.background(ctx, "forward", func(ctx context.Context) error {
		defer client.Close()
		return f.Run(ctx)
	})
	return f.Add
}

// hookDeliveries reads the log of deliveries.
func hookDeliveries(pool *pgxpool.Pool) *hooks.Deliveries { return hooks.NewDeliveries(pool) }
