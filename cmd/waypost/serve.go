package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/otlp"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/vault"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/audit"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/alerting"
	"github.com/waypost/waypost/ports/dispatch"
	"github.com/waypost/waypost/ports/httpapi"
	"github.com/waypost/waypost/web"
)

// cachedMessages bounds the messages kept folded: some 60 MB at 1 KB each, and
// half a minute of work at 1,600 messages a second.
const cachedMessages = 50_000

type serveCommand struct {
	settings `embed:""`
}

// Run runs the platform until it is told to stop.
func (c serveCommand) Run(env *environment) error {
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	p, err := startPlatform(env.ctx, &c.settings, nil, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "Waypost is ready.\n  page     %s/\n  GraphQL  %s/graphql\n", p.url, p.url)
	if p.keyMade {
		fmt.Fprintf(env.stdout, "  ADMIN key, also in %s/admin.key: %s\n", c.DataDir, p.adminKey.get())
	}
	return p.wait(env.ctx)
}

// platform is a running Waypost.
type platform struct {
	settings *settings
	log      *slog.Logger
	stores   *stores
	url      string
	adminKey *secret
	keyMade  bool

	senders *command.Senders
	queue   *command.QueueMessage

	dispatcher *dispatch.Dispatcher
	api        *graph.Handler
	traces     *otlp.Exporter // nil: nothing is traced
	// stop ends the parts one kind after the other: dispatch drains while webhooks
	// still come in, and all of them end before the stores.
	stopHTTP, stopRest context.CancelFunc
	http, rest         sync.WaitGroup
	faults             chan error
	draining           atomic.Bool
	removeRun          func()
}

// startPlatform starts everything in order; what was started is stopped again
// when a later part fails. routes are served beside the platform's own.
func startPlatform(ctx context.Context, s *settings, routes map[string]http.Handler, log *slog.Logger) (_ *platform, err error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	tuneRuntime()
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w; choose another with --data-dir", err)
	}
	// A taken port is the most common fault: find it before the stores start.
	open, err := listen(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			open.close()
		}
	}()
	clock := newPlatformClock()
	p := &platform{settings: s, log: log, faults: make(chan error, 8), url: "http://" + open.main.Addr().String()}
	if p.adminKey, p.keyMade, err = adminKey(s); err != nil {
		return nil, err
	}
	if p.stores, err = openStores(ctx, s, clock.Now, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.removeRun, err = writeRunFile(s.DataDir, runFile{PID: os.Getpid(), URL: p.url, Eventstore: p.stores.url, Postgres: p.stores.postgresURL}); err != nil {
		return nil, err
	}
	if err := p.assemble(ctx, clock, open, routes); err != nil {
		return nil, err
	}
	p.logStart(ctx)
	return p, nil
}

// listeners are the open ports; webhooks and metrics are nil where they have none
// of their own.
type listeners struct{ main, webhooks, metrics net.Listener }

func listen(ctx context.Context, s *settings) (_ *listeners, err error) {
	l := &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	var lc net.ListenConfig
	for _, a := range []struct {
		flag, addr string
		into       *net.Listener
	}{{"--addr", s.Addr, &l.main}, {"--webhook-addr", s.WebhookAddr, &l.webhooks}, {"--metrics-addr", s.MetricsAddr, &l.metrics}} {
		if a.addr == "" {
			continue
		}
		if *a.into, err = lc.Listen(ctx, "tcp", a.addr); err != nil {
			return nil, fmt.Errorf("%s: %w; end what listens there or choose another address", a.flag, err)
		}
	}
	return l, nil
}

// close closes those that nothing serves on yet.
func (l *listeners) close() {
	for _, open := range []net.Listener{l.main, l.webhooks, l.metrics} {
		if open != nil {
			_ = open.Close()
		}
	}
}

// assemble builds the parts of the process's roles and sets them going.
func (p *platform) assemble(ctx context.Context, clock *platformClock, open *listeners, routes map[string]http.Handler) error {
	s, st, log := p.settings, p.stores, p.log
	secrets, err := loadWhatsappSecrets(s)
	if err != nil {
		return err
	}
	table, err := whatsapp.LoadErrorTable()
	if err != nil {
		return err
	}
	tracer, err := p.startTraces(ctx)
	if err != nil {
		return err
	}
	client, err := whatsapp.NewClient(whatsapp.Options{URL: s.WhatsappURL, Timeout: s.CallTimeout, Errors: table, Trace: tracer})
	if err != nil {
		return err
	}
	tokens := vault.NewTokens(st.pool, st.keys, newID)
	messages := command.NewMessages(st.log, clock.Now, newID, cachedMessages).Traced(tracer)
	p.senders = command.NewSenders(st.log, clock.Now, newID, tokens)
	p.queue = command.NewQueueMessage(messages, p.senders, st.keys)
	model := postgres.NewReadModel(st.pool).WithVault(st.vault)
	leases, workList := postgres.NewLeases(st.pool), postgres.NewWorkList(st.pool)

	// Background parts outlive the interrupt that ends the program: they are
	// stopped in order by wait.
	background := context.WithoutCancel(ctx)
	var serving, running context.Context
	serving, p.stopHTTP = context.WithCancel(background)
	running, p.stopRest = context.WithCancel(background) //nolint:gosec // wait calls it
	p.rest.Go(func() { clock.follow(running, log) })
	erase := p.startForgetting(running, messages, model, clock.Now)

	arrivals := newInboundCounter(p.senders, leases, clock.Now, log)
	recorder := command.NewRecordWebhook(st.log, clock.Now, messages, p.senders, wamids{model}, table.ParseWebhook, arrivals.add, log)
	var recordingSince func() time.Time
	if s.has("webhook") {
		recordingSince = recorder.RecordingSince
		p.background(running, "inbound", arrivals.run)
		p.background(running, "webhook check", func(ctx context.Context) error { return every(ctx, time.Second, recorder.Check) })
		p.background(running, "orphans", process.NewJoinOrphans(st.log, messages, wamids{model}, clock.Now, time.After, log).Run)
	}
	projectors, err := p.projectors()
	if err != nil {
		return err
	}
	ready := newWorkListGauge(projectors, model, clock.Now)
	p.background(running, "work-list gauge", ready.run)
	p.dispatcher, err = dispatch.New(dispatch.Options{
		Messages: messages, Senders: p.senders, Source: senderSource{model}, List: workList, Leases: leases,
		Process: newID(), Roles: s.Roles, Ready: ready.caughtUp,
		Caller: &caller{client: client, tokens: tokens, fallback: secrets.token},
		Policy: message.Policy{
			RetryDelays: s.RetrySchedule, CallTimeout: s.CallTimeout, SettleAfter: s.SettleAfter, ThrottleLimit: s.ThrottleLimit,
		},
		PairLimit: s.PairLimit != "off", HoldsTemplate: table.HoldsTemplate,
		SettleAfterOutage: s.SettleAfterOutage, Trace: tracer, Clock: clock.Now, Logger: log,
		RecordingSince: recordingSince, Inbound: leases.InboundSince,
	})
	if err != nil {
		return err
	}
	for _, pr := range projectors {
		p.background(running, "projector", pr.run)
	}
	if s.has("dispatch") {
		p.background(running, "dispatch", p.dispatcher.Run)
		p.background(running, "messages queued elsewhere", func(ctx context.Context) error {
			return followQueued(ctx, messages, p.dispatcher, s.has("api"))
		})
		p.background(running, "lane status", func(ctx context.Context) error { return tellLanes(ctx, p.dispatcher, leases, log) })
	}
	if err := p.startBroker(running, newID); err != nil {
		return err
	}
	outgoing, err := p.startHooks(running, tokens, clock.Now)
	if err != nil {
		return err
	}

	auth, err := p.newAuthenticator(clock.Now)
	if err != nil {
		return err
	}
	p.background(running, "keys", func(ctx context.Context) error { return auth.keys.Run(ctx, time.After) })
	measured := measuredBooks{model, process.NewMeasureLag(st.log, model, clock.Now)}
	alarms := alerts.New(st.log, clock.Now, newID)
	if s.has("alert") {
		p.background(running, "alerts", alerting.New(alerting.Options{
			Reader: alertReader{model, measured.lag, outgoing, s.DataDir, new(atomic.Bool)}, Alerts: alarms, Duties: leases,
			Process: newID(), Clock: clock.Now, Logger: log,
		}).Run)
	}
	if err := p.startNotifying(running, alarms, clock.Now); err != nil {
		return err
	}
	operations := command.NewOperations(st.log, messages, clock.Now, time.After, newID, log)
	if s.has("api") {
		p.background(running, "operations", operations.Run)
	}
	p.api = graph.New(running, graph.Options{
		Log: st.log, LogID: st.logID, Messages: messages, Queue: p.queue, Senders: p.senders, Erase: erase,
		Audit: audit.NewReader(st.log, st.logID, model), Reads: audit.NewReads(st.log, clock.Now, newID),
		MessageReader: model, DeadLetterReader: model, SelectionReader: model, Operations: operations, SenderReader: model, BooksReader: measured,
		MetricsReader: model, CategoryOf: categories(table),
		AlertReader: model, Alerts: alarms,
		Hooks: outgoing, HookDeliveryReader: hookDeliveries(st.pool),
		Authenticator: auth, Keys: auth.keys, KeyNames: map[string]string{adminKeyID: adminKeyName}, Origins: s.CORSOrigins, Trace: tracer, Clock: clock.Now, IDs: newID, Logger: log,
	})
	rejections := &rejectionCounter{leases: leases, now: clock.Now, log: log}
	if s.has("webhook") {
		p.background(running, "rejected webhooks", rejections.run)
	}
	requestID := func() string { return newID().String() }
	options := httpapi.Options{
		ShutdownTimeout: s.DrainTimeout, Logger: log, Ready: p.checks(projectors), Origins: s.CORSOrigins, RequestID: requestID,
	}
	hooks := httpapi.NewWebhook(httpapi.WebhookOptions{
		Recorder: recorder, AppSecrets: secrets.app.list, VerifyToken: secrets.verify.get,
		DeliveryID: func() string { return newID().String() }, Recorded: p.startForward(running), Rejected: rejections.add,
		Trace: tracer, Logger: log,
	})
	if s.has("api") {
		options.GraphQL, options.Page, options.Playground = p.api, web.Page(), web.Playground()
		options.Routes = routes
	}
	if s.has("webhook") && open.webhooks == nil {
		options.Webhook = hooks
	}
	if err := p.serveMetrics(serving, newExporter(running, model, measured.lag, categories(table), clock.Now, log), rejections.total, outgoing, &options, open.metrics); err != nil {
		return err
	}
	p.serve(serving, httpapi.New(options), open.main)
	if open.webhooks != nil {
		p.serve(serving, httpapi.New(httpapi.Options{
			Webhook: hooks, ShutdownTimeout: s.DrainTimeout, Logger: log, Ready: options.Ready, RequestID: requestID,
		}), open.webhooks)
	}
	return nil
}

// logStart says once what runs here, of secrets only whether they are set.
func (p *platform) logStart(ctx context.Context) {
	s := p.settings
	where := func(url, own string) string {
		if url == "" {
			return own
		}
		return "given"
	}
	given := func(name, value string) bool { return value != "" || os.Getenv(name+"_FILE") != "" }
	p.log.InfoContext(ctx, "waypost has started", "version", version, "pid", os.Getpid(), "url", p.url, "roles", strings.Join(s.Roles, ","),
		"dataDir", s.DataDir, "eventStore", where(s.EventstoreURL, "embedded"), "postgres", where(s.PostgresURL, "private"),
		"log", p.stores.logID.String(), "appSecret", given("WAYPOST_WHATSAPP_APP_SECRET", s.WhatsappAppSecret),
		"token", given("WAYPOST_WHATSAPP_TOKEN", s.WhatsappToken))
}

// projectors are the projections, if this process runs them. Dispatch and the
// live page wait for what they commit.
func (p *platform) projectors() ([]*projecting, error) {
	if !p.settings.has("project") {
		return nil, nil
	}
	var all []*projecting
	for _, g := range postgres.Groups() {
		pr := &projecting{log: p.log}
		var err error
		pr.Projector, err = postgres.NewProjector(postgres.ProjectorOptions{
			Group: g, Log: p.stores.log, Pool: p.stores.pool, LogID: p.stores.logID.String(), Logger: p.log, Vault: p.stores.vault,
			OnCommit: func(c postgres.Commit) {
				pr.committed()
				if c.Group == postgres.Worklist {
					p.dispatcher.WakeFor(c.Arrivals)
				}
			},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, pr)
	}
	return all, nil
}

// background runs a part until ctx ends. A part that fails before is a fault of
// the program.
func (p *platform) background(ctx context.Context, name string, run func(context.Context) error) {
	p.rest.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			p.fault(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// followQueued keeps the messages at hand that other processes accept for the senders of
// this one, while there are others: its own it has at hand anyway.
func followQueued(ctx context.Context, messages *command.Messages, d *dispatch.Dispatcher, accepts bool) error {
	alone := func() bool { return accepts && !d.Shares() }
	for ctx.Err() == nil {
		if alone() {
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		following, stop := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() {
			defer stop()
			for !alone() && pause(following, time.Second) == nil {
				continue
			}
		})
		err := messages.Follow(following, d.Owns)
		stop()
		watch.Wait()
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return ctx.Err()
}

// every calls do at an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			_ = do(ctx) // it knows itself what a fault means
		}
	}
}

func (p *platform) serve(ctx context.Context, s *httpapi.Server, l net.Listener) {
	p.http.Go(func() {
		if err := s.Serve(ctx, l); err != nil && ctx.Err() == nil {
			p.fault(err)
		}
	})
}

func (p *platform) fault(err error) {
	select {
	case p.faults <- err:
	default: // one is enough to end the program
	}
}

// wait returns after ctx ended, or a part failed, and everything was stopped in
// order.
func (p *platform) wait(ctx context.Context) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var fault error
	select {
	case <-ctx.Done():
	case fault = <-p.faults:
	case fault = <-p.stores.faults(watching):
	}
	if fault != nil {
		p.log.ErrorContext(ctx, "a part failed; the program ends", "error", fault)
	}
	return errors.Join(fault, p.close())
}

// close drains dispatch while webhooks still come in, then ends HTTP, then the
// projections, then the stores.
func (p *platform) close() error {
	var errs []error
	p.draining.Store(true)
	if p.dispatcher != nil && p.settings.has("dispatch") {
		p.log.Info("draining: no new calls are made, those under way are waited for", "atMost", p.settings.DrainTimeout.String())
		ctx, cancel := context.WithTimeout(context.Background(), p.settings.DrainTimeout)
		p.dispatcher.Drain(ctx)
		cancel()
	}
	if p.api != nil { // before HTTP: subscriptions last as long as their readers want
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, p.api.Close(ctx))
		cancel()
	}
	for _, part := range []struct {
		stop context.CancelFunc
		wait *sync.WaitGroup
	}{{p.stopHTTP, &p.http}, {p.stopRest, &p.rest}} {
		if part.stop != nil {
			part.stop()
		}
		part.wait.Wait()
	}
	p.stopTraces()
	ctx, cancel := context.WithTimeout(context.Background(), 2*closeTimeout)
	defer cancel()
	errs = append(errs, p.stores.close(ctx))
	p.log.Info("waypost has ended")
	if p.removeRun != nil {
		p.removeRun()
	}
	return errors.Join(errs...)
}

// checks are what the roles need, for /readyz. Accepting and webhooks need the
// event store alone.
func (p *platform) checks(projectors []*projecting) map[string][]httpapi.Check {
	log := httpapi.Check{Name: "event store", Ready: func(ctx context.Context) error {
		room := p.stores.log.Room
		if p.stores.embedded != nil { // it knows at once
			room = p.stores.embedded.Room
		}
		return cmp.Or(room(), p.stores.log.Ping(ctx))
	}}
	pg := httpapi.Check{Name: "postgres", Ready: p.stores.pool.Ping}
	caughtUp := httpapi.Check{Name: "read models", Ready: func(context.Context) error {
		for _, pr := range projectors {
			if err := pr.ready(); err != nil {
				return err
			}
		}
		return nil
	}}
	// A load balancer turns away while the last requests are still answered.
	staying := httpapi.Check{Name: "drain", Ready: func(context.Context) error {
		if p.draining.Load() {
			return errors.New("the process ends")
		}
		return nil
	}}
	all := map[string][]httpapi.Check{
		"api": {log}, "webhook": {log}, "dispatch": {log, pg}, "project": {log, pg, caughtUp}, "alert": {log, pg},
	}
	for role := range all {
		if !p.settings.has(role) {
			delete(all, role)
			continue
		}
		all[role] = append(all[role], staying)
	}
	return all
}

// whatsappSecrets are the secrets shared with Meta.
type whatsappSecrets struct{ token, app, verify *secret }

func loadWhatsappSecrets(s *settings) (whatsappSecrets, error) {
	var w whatsappSecrets
	var errs [3]error
	w.token, errs[0] = newSecret("WAYPOST_WHATSAPP_TOKEN", s.WhatsappToken)
	w.app, errs[1] = newSecret("WAYPOST_WHATSAPP_APP_SECRET", s.WhatsappAppSecret)
	w.verify, errs[2] = newSecret("WAYPOST_WHATSAPP_VERIFY_TOKEN", s.WhatsappVerifyToken)
	return w, errors.Join(errs[:]...)
}
