package platform

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/guard"
	"github.com/waypost/waypost/ports/httpapi"
)

// cachedMessages bounds the number of messages that are kept in memory: about 60 MB at 1 KB each, and half a minute of work at
// 1,600 messages per second.
const cachedMessages = 50_000

// core is what several roles use.
type core struct {
	*Platform

	now      event.Clock
	secrets  WhatsAppSecrets
	errors   *whatsapp.ErrorTable
	tracer   *trace.Tracer // nil if tracing is off
	whatsapp *whatsapp.Client
	tokens   *vault.Tokens
	messages *command.Messages
	// templates are in memory in every process that queues or sends.
	templates *repository.Templates
	// campaigns are which of them are paused.
	campaigns *repository.Campaigns
	gate      *fair.Gate // between the webhooks that this process records, its calls, and accepting
	intake    *fair.Intake
	guard     *guard.Guard // of this process's calls; it runs with the role dispatch
	model     *postgres.ReadModel
	leases    *postgres.Leases
	lag       *process.MeasureLag
	readings  alerts.Readings // of alert rules, if this process evaluates them
	people    *httpapi.SignIn // nil if people can't sign in to the web UI
}

func (p *Platform) newCore(ctx context.Context, now event.Clock) (*core, error) {
	c := &core{Platform: p, now: now}
	var err error
	if c.secrets, err = LoadWhatsAppSecrets(p.settings); err != nil {
		return nil, err
	}
	if c.errors, err = whatsapp.LoadErrorTable(); err != nil {
		return nil, err
	}
	if c.tracer, err = p.startTraces(ctx); err != nil {
		return nil, err
	}
	c.whatsapp, err = whatsapp.NewClient(whatsapp.Options{
		URL: p.settings.WhatsappURL, Timeout: p.settings.CallTimeout, Errors: c.errors, Trace: c.tracer,
	})
	if err != nil {
		return nil, err
	}
	st := p.stores
	c.tokens = vault.NewTokens(st.Pool, st.Keys, NewID)
	c.gate = fair.NewGate()
	c.intake = fair.NewIntake(c.gate, time.Now, fair.DefaultIntakeLimits())
	c.model = postgres.NewReadModel(st.Pool).WithVault(st.Vault)
	c.templates = repository.NewTemplates(st.Log, now, NewID, p.log)
	c.templates.From(func(ctx context.Context, add func(template.Template, event.Revision), list func(string, int)) (event.Position, error) {
		return c.model.TemplateSnapshot(ctx, st.LogID.String(), add, list)
	})
	c.campaigns = repository.NewCampaigns(st.Log, now, NewID, func(l message.Label) string { return postgres.LabelIndex(st.Vault, l) }, p.log)
	portfolios, err := p.settings.portfolios()
	if err != nil {
		return nil, err
	}
	c.guard = guard.New(guard.Options{
		Log: st.Log, Conversations: c.model, Coverage: c.model.Coverage, Marketing: c.templates.IsMarketing, Clock: now, Logger: p.log,
		Limits:    postgres.NewLimits(st.Pool),
		Portfolio: func(s sender.Sender) string { return cmp.Or(portfolios[s.BusinessAccountID], s.Portfolio()) },
	})
	c.messages = command.NewMessages(c.gate.Timed(c.guard.Watch(st.Log), time.Now), now, NewID, cachedMessages).WithTracer(c.tracer)
	c.leases = postgres.NewLeases(st.Pool)
	c.lag = process.NewMeasureLag(st.Log, st.Log, c.model, now)
	p.Senders = command.NewSenders(st.Log, now, NewID, c.tokens)
	p.Queue = command.NewQueueMessage(c.messages, p.Senders, st.Keys).Logged(p.log).Bounded(c.intake).DeliveredWithin(p.settings.DeliverWithin).
		Knowing(c.model.NumberOf).Checking(c.templates)
	return c, nil
}

// categoryOf returns the category of a WhatsApp error code, and whether the code is known.
func (c *core) categoryOf(code int) (message.Category, bool) {
	row, known := c.errors.Lookup(code, nil)
	return row.Category, known
}

// WhatsAppSecrets are the secrets that Waypost shares with Meta.
type WhatsAppSecrets struct{ Token, App, Verify *Secret }

// LoadWhatsAppSecrets reads the secrets from the settings or their files.
func LoadWhatsAppSecrets(s *Settings) (WhatsAppSecrets, error) {
	var w WhatsAppSecrets
	var errs [3]error
	w.Token, errs[0] = NewSecret("WAYPOST_WHATSAPP_TOKEN", s.WhatsappToken)
	w.App, errs[1] = NewSecret("WAYPOST_WHATSAPP_APP_SECRET", s.WhatsappAppSecret)
	w.Verify, errs[2] = NewSecret("WAYPOST_WHATSAPP_VERIFY_TOKEN", s.WhatsappVerifyToken)
	return w, errors.Join(errs[:]...)
}

// NewID returns a UUIDv7. The IDs of one process grow with time, which keeps indexes small.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
