package platform

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/bulk"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/inbox"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/graph"
)

// authenticate returns the authenticator of callers.
func (c *core) authenticate() (*graph.KeyAuthenticator, error) {
	a := &graph.KeyAuthenticator{
		AdminKey: c.currentAdminKey, Keys: command.NewKeys(c.stores.Log, c.now, NewID, rand.Reader, c.log), Clock: c.now,
	}
	c.parts.run("keys", func(ctx context.Context) error { return a.Keys.Run(ctx, time.After) })
	return a, c.signIn(a)
}

// currentAdminKey returns the ADMIN key, or nothing if its file holds one that is too short by now.
func (c *core) currentAdminKey() string {
	key := c.adminKey.Get()
	if len(key) < minAdminKey {
		return ""
	}
	return key
}

// answerQueries is the role api without its port: GraphQL and the operations behind it. Other roles also have it, because their ports
// authorize requests with it.
func (c *core) answerQueries(
	ctx context.Context, auth *graph.KeyAuthenticator, erase *command.EraseRecipient, templates *command.SyncTemplates,
	outgoing *command.Hooks, raised *alerts.Alerts,
) error {
	st := c.stores
	if err := st.openQueries(ctx); err != nil {
		return err
	}
	operations := bulk.NewRunner(st.Log, c.messages.Messages, c.now, time.After, NewID, c.log)
	if c.settings.has(roleAPI) {
		c.parts.run("operations", operations.Run)
	}
	model := postgres.NewQueryModel(st.queries).WithVault(st.Vault)
	caller := &Caller{Client: c.whatsapp, Tokens: c.tokens, Fallback: c.secrets.Token}
	commands, queries := app.New(app.Parts{
		Messages: c.messages, Queue: c.Queue, Operations: operations, Erase: erase, Senders: c.Senders, Campaigns: c.campaigns, Templates: templates, Keys: auth.Keys,
		Inbound: inbox.NewCommands(st.Log, c.now, NewID, c.Senders, caller), Inbox: inbox.NewReader(st.Log, c.Senders),
		OptOuts: command.NewSetOptOut(c.guard.Watch(st.Log), c.now, NewID, c.Senders),
		Hooks:   outgoing, Alerts: raised, Audit: audit.NewReader(st.Log, st.LogID, model), Reads: audit.NewReads(st.Log, c.now, NewID),
		ReadModel: model, Ledger: measuredLedger{model, c.lag}, HookDeliveries: hooks.NewDeliveryReader(st.queries),
	})
	c.api = graph.New(c.parts.running, graph.Options{
		Commands: commands, Queries: queries, Log: st.Log, LogID: st.LogID,
		IdempotencySecret: st.Vault.BlindIndex("idempotency keys that callers derive", ""), CategoryOf: c.categoryOf,
		Authenticator: auth, Person: c.person(), KeyNames: map[string]string{graph.AdminKeyID: graph.AdminKeyName}, Origins: c.settings.CORSOrigins,
		Trace: c.tracer, Clock: c.now, IDs: NewID, Logger: c.log, Readings: &c.readings,
	})
	return nil
}

// measuredLedger reads the ledger from the read model, and measures the read model's lag against the event log.
type measuredLedger struct {
	app.LedgerReader

	lag *process.MeasureLag
}

// ReadModel returns the position and the lag of the read models.
func (l measuredLedger) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	return l.lag.ReadModel(ctx, now)
}
