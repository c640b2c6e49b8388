package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/waypost/waypost/adapters/datadir"
	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/prometheus"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/ports/httpapi"
	"github.com/waypost/waypost/web"
)

// ports are the open ports and the process's own socket. webhooks and metrics are nil if they have no port of their own. socket is nil
// if the data directory belongs to another process.
type ports struct{ main, webhooks, metrics, socket net.Listener }

func openPorts(ctx context.Context, s *Settings, dir *occupation) (_ *ports, err error) {
	p := &ports{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var lc net.ListenConfig
	for _, a := range []struct {
		flag, addr string
		into       *net.Listener
	}{{"--addr", s.Addr, &p.main}, {"--webhook-addr", s.WebhookAddr, &p.webhooks}, {"--metrics-addr", s.MetricsAddr, &p.metrics}} {
		if a.addr == "" {
			continue
		}
		if *a.into, err = lc.Listen(ctx, "tcp", a.addr); err != nil {
			return nil, fmt.Errorf("%s: %w; stop the process that listens there or choose another address", a.flag, err)
		}
	}
	p.socket, err = dir.listen()
	return p, err
}

// close closes all ports. Closing one that a server has closed already does nothing.
func (p *ports) close() {
	for _, l := range []net.Listener{p.main, p.webhooks, p.metrics, p.socket} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// serveHTTP registers a server on each port. routes are served with the API.
func (c *core) serveHTTP(on *ports, routes map[string]http.Handler, p *projections, r *recording, hooks *command.Hooks) error {
	s := c.settings
	common := httpapi.Options{
		ShutdownTimeout: s.DrainTimeout, Logger: c.log, Ready: c.readiness(p), Bodies: httpapi.NewBodies(),
	}
	metrics, err := c.metricsHandler(r, hooks)
	if err != nil {
		return err
	}
	webhook := c.webhookHandler(r)
	requestID := func() string { return NewID().String() }

	main := common
	main.Origins, main.RequestID, main.Authorize = s.CORSOrigins, requestID, c.api.Authorize
	if s.has(roleAPI) {
		main.GraphQL, main.Page, main.Playground, main.Routes = c.api, web.Page(), web.Playground(), c.routes(routes)
		main.Media = httpapi.NewMedia(c.api.OpenInboundFile, c.log)
	}
	if s.has(roleWebhook) && on.webhooks == nil {
		main.Webhook = webhook
	}
	if on.metrics == nil {
		main.Metrics = metrics
	} else {
		own := common
		own.Metrics, own.Internal = metrics, true
		if s.Pprof {
			own.Profiles = httpapi.NewProfiles(c.parts.serving)
		}
		c.parts.serve(httpapi.New(own), on.metrics)
	}
	c.parts.serve(httpapi.New(main), on.main)
	if on.socket != nil {
		c.parts.serve(httpapi.New(main), on.socket)
	}
	if on.webhooks != nil {
		own := common
		own.Webhook, own.RequestID, own.Public = webhook, requestID, true
		c.parts.serve(httpapi.New(own), on.webhooks)
	}
	return nil
}

// metricsHandler serves the metrics of the installation, which are the same in every process, and those of this process.
func (c *core) metricsHandler(r *recording, hooks *command.Hooks) (http.Handler, error) {
	exporter := prometheus.New(c.parts.running, c.model, c.lag, c.stores.Log.Shorter, c.categoryOf, c.now, c.log)
	handler, err := prometheus.NewHandler(exporter, append(c.storeMetrics(),
		prometheus.Metric{
			Name: "waypost_webhooks_rejected_total", Help: "WhatsApp webhooks that this process rejected because of a wrong signature.",
			Counter: true, Value: r.rejected.total,
		},
		prometheus.Metric{
			Name: "waypost_message_conflicts_total", Help: "Decisions that this process repeated because another process changed the message first.",
			Counter: true, Value: func() float64 { return float64(c.messages.Conflicts()) },
		},
		prometheus.Metric{
			Name: "waypost_dispatch_gate_closings_total", Help: "How often new calls of this process began to wait because webhooks were recorded too slowly.",
			Counter: true, Value: func() float64 { return float64(c.gate.Stats(time.Now()).Closings) },
		},
		prometheus.Metric{
			Name: "waypost_dispatch_gate_closed_seconds_total", Help: "How long new calls of this process waited because webhooks were recorded too slowly.",
			Counter: true, Value: func() float64 { return c.gate.Stats(time.Now()).Closed.Seconds() },
		},
		prometheus.Metric{
			Name: "waypost_accepting_waiting", Help: "Messages that wait in this process to be accepted, because too many others are being appended, or because webhooks and calls are recorded too slowly.",
			Value: func() float64 { return float64(c.intake.Stats().Waiting) },
		},
		prometheus.Metric{
			Name: "waypost_accepting_refused_total", Help: "Messages that this process refused with UNAVAILABLE because they had waited too long to be accepted, or too many others waited.",
			Counter: true, Value: func() float64 { return float64(c.intake.Stats().Refused) },
		},
		prometheus.Metric{
			Name: "waypost_accepting_closed_seconds_total", Help: "How long accepting waited in this process because webhooks or calls were recorded too slowly.",
			Counter: true, Value: func() float64 { return c.gate.AcceptStats(time.Now()).Closed.Seconds() },
		},
		prometheus.Metric{
			Name: "waypost_disk_used_ratio", Help: "Fraction of the data directory's disk that is in use. 0 if unknown.",
			Value: func() float64 { return datadir.DiskUsed(c.settings.DataDir) },
		},
		prometheus.Metric{
			Name: "waypost_outgoing_webhooks_given_up", Help: "Outgoing webhooks that Waypost disabled because their receivers failed for too long.",
			Value: func() float64 { return float64(len(hooks.AutoDisabled())) },
		},
		prometheus.Metric{
			Name: "waypost_templates_paused", Help: "Message templates that WhatsApp has paused, or disabled in the last seven days.",
			Value: func() float64 { stopped, _ := c.templates.Alarming(); return float64(stopped) },
		},
		prometheus.Metric{
			Name: "waypost_templates_recategorized", Help: "Message templates whose category WhatsApp changed in the last 24 hours, or announced to change.",
			Value: func() float64 { _, changed := c.templates.Alarming(); return float64(changed) },
		})...)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return handler, nil
}

// storeMetrics are what this process asks of the event store. Divided by the messages, they show what a message costs it.
func (c *core) storeMetrics() []prometheus.Metric {
	counter := func(name, help string, value func(eventstore.Usage) uint64) prometheus.Metric {
		return prometheus.Metric{
			Name: "waypost_eventstore_" + name, Help: help, Counter: true, Value: func() float64 { return float64(value(c.stores.Log.Usage())) },
		}
	}
	return []prometheus.Metric{
		counter("appends_total", "Appends of this process to the event store.", func(u eventstore.Usage) uint64 { return u.Appends }),
		counter("appended_events_total", "Events in these appends.", func(u eventstore.Usage) uint64 { return u.Appended }),
		counter("reads_total", "Reads of this process from the event store.", func(u eventstore.Usage) uint64 { return u.Reads }),
		counter("read_events_total", "Events that these reads returned.", func(u eventstore.Usage) uint64 { return u.ReadEvents }),
		counter("subscriptions_total", "Subscriptions that this process opened in the event store.", func(u eventstore.Usage) uint64 { return u.Subscriptions }),
		counter("delivered_events_total", "Events that these subscriptions received.", func(u eventstore.Usage) uint64 { return u.Delivered }),
		counter("decoded_events_total", "Events that this process decoded, once for each of its consumers.", func(u eventstore.Usage) uint64 { return u.Decoded }),
	}
}

// readiness returns what each role of this process needs, for /readyz. Accepting messages and recording webhooks need only the event
// store. If the event log is shorter than it was, no role is ready: what it records would be lost again when the missing part is
// restored.
func (c *core) readiness(p *projections) map[string][]httpapi.Check {
	st := c.stores
	log := httpapi.Check{Name: "event store", Ready: func(ctx context.Context) error {
		room := st.Log.CheckDiskSpace
		if st.embedded != nil { // it knows right away
			room = st.embedded.Room
		}
		return cmp.Or(room(), st.Log.Ping(ctx))
	}}
	whole := httpapi.Check{Name: "end of the log", Ready: func(context.Context) error { return st.Log.Shorter() }}
	pg := httpapi.Check{Name: "postgres", Ready: st.Pool.Ping}
	caughtUp := httpapi.Check{Name: "read models", Ready: func(context.Context) error {
		for _, g := range p.groups {
			if err := g.ready(); err != nil {
				return err
			}
		}
		return nil
	}}
	// A load balancer stops sending requests while the last ones are still served.
	staying := httpapi.Check{Name: "drain", Ready: func(context.Context) error {
		if c.draining.Load() {
			return errors.New("the process ends")
		}
		return nil
	}}
	needs := map[string][]httpapi.Check{
		roleAPI: {log}, roleWebhook: {log}, roleDispatch: {log, pg}, roleProject: {log, pg, caughtUp}, roleAlert: {log, pg},
	}
	checks := make(map[string][]httpapi.Check)
	for role, need := range needs {
		if c.settings.has(role) {
			checks[role] = append(need, whole, staying)
		}
	}
	return checks
}
