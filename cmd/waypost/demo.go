package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// What the demo's sender is called, at Waypost and at the simulator.
const (
	demoSender = "demo"
	demoNumber = "106540352242922"
)

type demoCommand struct {
	Addr          string        `help:"Where the platform listens." default:"127.0.0.1:8080" env:"WAYPOST_DEMO_ADDR"`
	SimulatorAddr string        `help:"Where the simulated WhatsApp listens." default:"127.0.0.1:9090" env:"WAYPOST_DEMO_SIMULATOR_ADDR"`
	DataDir       string        `help:"Where the demo keeps its data." default:"./waypost-data/demo" env:"WAYPOST_DEMO_DATA_DIR" type:"path"`
	Traffic       float64       `help:"Messages a second that the demo queues by itself; 0 for none." default:"2" env:"WAYPOST_DEMO_TRAFFIC"`
	DrainTimeout  time.Duration `help:"How long calls in flight may take at the end." default:"5s" env:"WAYPOST_DEMO_DRAIN_TIMEOUT"`

	logSettings
}

// Run runs the demo until it is told to stop.
func (c demoCommand) Run(env *environment) error {
	if c.Traffic < 0 || c.Traffic > maxTraffic {
		return fmt.Errorf("--traffic: %g is not between 0 and %d", c.Traffic, maxTraffic)
	}
	if c.LogLevel == "info" {
		c.LogLevel = "warn" // the page shows more than a line for each message would
	}
	log, err := c.logger(env.stderr)
	if err != nil {
		return err
	}
	appSecret := rand.Text()
	sim, err := c.startSimulator(env.ctx, appSecret)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), closeTimeout)
		defer cancel()
		if err := sim.Close(ctx); err != nil {
			log.Warn("the simulator did not end in time", "error", err)
		}
	}()
	s, err := c.settings(sim, appSecret)
	if err != nil {
		return err
	}
	p, err := startPlatform(env.ctx, s, demoRoutes(s, sim), log)
	if err != nil {
		return err
	}
	if err := registerDemoSender(env.ctx, p.senders); err != nil {
		return errors.Join(err, p.close())
	}
	traffic := make(chan struct{})
	go func() {
		defer close(traffic)
		queueTraffic(env.ctx, p.queue, c.Traffic, log)
	}()
	fmt.Fprintf(env.stdout, "The demo is ready: open %s/\n\n  GraphQL    %s/graphql, %s/playground\n  ADMIN key  in %s\n  WhatsApp   simulated at %s, its settings at http://%s/control\n\nCtrl-C ends it; the data stays in %s.\n",
		p.url, p.url, p.url, filepath.Join(c.DataDir, "admin.key"), sim.URL(), sim.Addr(), c.DataDir)
	err = p.wait(env.ctx)
	<-traffic
	return err
}

func (c demoCommand) startSimulator(ctx context.Context, appSecret string) (*simulator.Simulator, error) {
	control := simulator.DefaultControl()
	control.Latency = simulator.Duration(120 * time.Millisecond)
	control.WebhookDelay = simulator.Duration(900 * time.Millisecond) // slow enough to be seen
	control.ReadRate = 1
	sim, err := simulator.Start(ctx, simulator.Options{
		Addr: c.SimulatorAddr, WebhookURL: "http://" + c.Addr + "/webhooks/whatsapp", AppSecret: appSecret,
		Control: &control, // no logger: what it repeats after the platform has ended is of no use to anyone
	})
	if err != nil {
		return nil, fmt.Errorf("--simulator-addr: %w", err)
	}
	return sim, nil
}

// settings are the public defaults but for settling: in a demo somebody waits for it.
func (c demoCommand) settings(sim *simulator.Simulator, appSecret string) (*settings, error) {
	s, err := defaultSettings()
	if err != nil {
		return nil, err
	}
	s.Addr, s.DataDir, s.WhatsappURL = c.Addr, c.DataDir, sim.URL()
	s.WhatsappToken, s.WhatsappAppSecret = "demo-token", appSecret
	s.CallTimeout, s.SettleAfter, s.SettleAfterOutage = 10*time.Second, 15*time.Second, 20*time.Second
	s.DrainTimeout, s.CORSOrigins, s.logSettings = c.DrainTimeout, []string{"http://localhost:*"}, c.logSettings
	return s, nil
}

// demoRoutes give the page the key, and the simulator's settings on its own
// origin. They are served in the demo alone, and only under a loopback host.
func demoRoutes(s *settings, sim *simulator.Simulator) map[string]http.Handler {
	target := &url.URL{Scheme: "http", Host: sim.Addr(), Path: "/control"}
	control := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = target.Scheme, target.Host, target.Path
	}}
	return map[string]http.Handler{
		"GET /demo/control": loopbackHost(control),
		"PUT /demo/control": loopbackHost(control),
		"GET /demo.json": loopbackHost(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			key, _, err := adminKey(s) // the platform has made it by now
			if err != nil {
				http.Error(w, "the ADMIN key cannot be read", http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			_ = json.NewEncoder(w).Encode(map[string]string{"key": key.get(), "simulator": "http://" + sim.Addr()})
		})),
	}
}

// loopbackHost answers 403 to a request made under any other name than that of
// this machine's loopback. Listening on loopback is not enough: a foreign page
// whose name is rebound to 127.0.0.1 counts as of the demo's origin to a
// browser, and could read the key.
func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		ip, err := netip.ParseAddr(host)
		if loopback := err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"); !loopback {
			http.Error(w, "the demo answers under localhost, 127.0.0.1 and [::1] only; open it under one of these", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func registerDemoSender(ctx context.Context, senders *command.Senders) error {
	_, err := senders.Register(ctx, sender.Registration{
		ID: demoSender, Name: "Demo", PhoneNumberID: demoNumber, DisplayPhoneNumber: "+1 555 078 3881",
		BusinessAccountID: "100200300400500", Rate: sender.DefaultRate,
	}, "", command.Cause{By: domain.Platform("demo")})
	if domain.CodeOf(err) == domain.CodeConflict {
		return nil // an earlier demo registered it, and somebody changed it since
	}
	return err
}

const (
	// maxTraffic bounds what the demo queues by itself, in messages a second.
	maxTraffic = 1000
	// trafficTimeout bounds one message of the demo's traffic.
	trafficTimeout = 5 * time.Second
)

// queueTraffic queues messages at a rate until ctx ends, now and then a
// one-time password and a bulk message among them.
func queueTraffic(ctx context.Context, queue *command.QueueMessage, rate float64, log *slog.Logger) {
	if rate <= 0 {
		return
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	failing := false
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, trafficTimeout)
		_, err := queue.Handle(one, demoMessage(n), command.Cause{By: domain.Platform("demo")})
		cancel()
		if (err != nil) != failing && ctx.Err() == nil {
			failing = err != nil
			log.WarnContext(ctx, "the demo's traffic", "failing", failing, "error", err)
		}
	}
}

func demoMessage(n int) message.Request {
	r := message.Request{
		Sender: demoSender, To: fmt.Sprintf("+1415555%04d", n%10_000), OnAmbiguous: message.AmbiguityResend,
		Priority: message.PriorityTransactional,
		Content:  message.Text{Body: fmt.Sprintf("Your order %d is on its way.", 1000+n)},
		Labels:   []message.Label{{Name: "source", Value: "demo"}},
	}
	switch n % 10 {
	case 3:
		r.Priority, r.Content = message.PriorityOTP, message.Text{Body: "Your code is 123456."}
	case 7:
		r.Priority, r.Content = message.PriorityBulk, message.Text{Body: "Our autumn collection is here."}
	}
	return r
}
