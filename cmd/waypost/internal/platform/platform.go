// Package platform composes a running Waypost from the application, its ports, and its adapters. Settings say which. Each role of a
// process has a file: it builds what the role needs and registers the parts that run. Other commands use the settings and the
// stores.
package platform

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/waypost/waypost/adapters/clock"
	"github.com/waypost/waypost/adapters/otlp"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/graph"
	"github.com/waypost/waypost/ports/dispatch"
)

// Platform is a running Waypost.
type Platform struct {
	// URL is the address of the API and the web UI.
	URL string
	// KeyMade reports whether this start generated the ADMIN key.
	KeyMade bool
	// Senders and Queue are for the demo, which registers a sender and queues messages.
	Senders *command.Senders
	Queue   *command.QueueMessage

	settings *Settings
	version  string
	log      *slog.Logger
	adminKey *Secret
	dir      *occupation
	stores   *Stores
	parts    *lifecycle

	dispatcher *dispatch.Dispatcher
	api        *graph.Handler
	traces     *otlp.Exporter // nil if tracing is off
	draining   atomic.Bool
}

// Options are what a command adds to the settings.
type Options struct {
	// Version is the version of the program.
	Version string
	// Routes are served in addition to Waypost's own.
	Routes map[string]http.Handler
}

// Start starts a process of Waypost. If a part fails to start, it stops those before and returns the error. The caller must call
// Wait or Close.
func Start(ctx context.Context, s *Settings, o Options, log *slog.Logger) (_ *Platform, err error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	TuneRuntime()
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; choose another with --data-dir", err)
	}
	dir, err := occupy(ctx, s.DataDir, s.EventstoreURL != "" && s.PostgresURL != "", log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.leave()
		}
	}()
	// A port that is taken is the most common error, so it is found before the stores start.
	ports, err := openPorts(ctx, s, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ports.close()
		}
	}()
	p := &Platform{
		URL: "http://" + ports.main.Addr().String(), settings: s, version: o.Version, log: log, dir: dir, parts: newLifecycle(ctx),
	}
	if p.adminKey, p.KeyMade, err = AdminKey(s); err != nil {
		return nil, err
	}
	clock := clock.New()
	if p.stores, err = OpenStores(ctx, s, clock.Now, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	secrets, err := LoadWhatsAppSecrets(s)
	if err != nil {
		return nil, err
	}
	if err := dir.publish(RunFile{
		PID: os.Getpid(), URL: p.URL, Eventstore: p.stores.URL, Postgres: p.stores.PostgresURL,
		WhatsApp: RunWhatsApp{
			URL: s.WhatsappURL, Token: secrets.Token.Get() != "", AppSecrets: len(secrets.App.List()), VerifyToken: secrets.Verify.Get() != "",
		},
	}); err != nil {
		return nil, err
	}
	if err := p.compose(ctx, clock, ports, o.Routes); err != nil {
		return nil, err
	}
	p.parts.start()
	p.logStart(ctx)
	return p, nil
}

// compose builds the parts of the process's roles and registers what runs. The order matters only where one part uses another.
func (p *Platform) compose(ctx context.Context, clock *clock.Clock, ports *ports, routes map[string]http.Handler) error {
	p.parts.run("clock", func(ctx context.Context) error { clock.Follow(ctx, p.log); return nil })
	c, err := p.newCore(ctx, clock.Now)
	if err != nil {
		return err
	}
	erase := c.eraseData()
	templates := c.keepTemplates()
	recording := c.recordWebhooks()
	projections, err := c.project()
	if err != nil {
		return err
	}
	if err := c.dispatch(projections, recording); err != nil {
		return err
	}
	if err := c.connectBroker(ctx); err != nil {
		return err
	}
	hooks, err := c.deliverHooks()
	if err != nil {
		return err
	}
	auth, err := c.authenticate()
	if err != nil {
		return err
	}
	alerts, err := c.evaluateAlerts(hooks)
	if err != nil {
		return err
	}
	if err := c.answerQueries(ctx, auth, erase, templates, hooks, alerts); err != nil {
		return err
	}
	return c.serveHTTP(ports, routes, projections, recording, hooks)
}

// logStart logs what runs here. Of secrets, it logs only whether they are set.
func (p *Platform) logStart(ctx context.Context) {
	s := p.settings
	where := func(url, own string) string {
		if url == "" {
			return own
		}
		return "given"
	}
	given := func(name, value string) bool { return value != "" || os.Getenv(name+"_FILE") != "" }
	p.log.InfoContext(ctx, "waypost has started", "version", p.version, "pid", os.Getpid(), "url", p.URL, "roles", strings.Join(s.Roles, ","),
		"dataDir", s.DataDir, "eventStore", where(s.EventstoreURL, "embedded"), "postgres", where(s.PostgresURL, "private"),
		"log", p.stores.LogID.String(), "appSecret", given("WAYPOST_WHATSAPP_APP_SECRET", s.WhatsappAppSecret),
		"token", given("WAYPOST_WHATSAPP_TOKEN", s.WhatsappToken))
}
