// Package demo runs Waypost on a simulated WhatsApp.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/cmd/waypost/internal/platform"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// The demo's sender: its ID at Waypost, and its phone number ID at the simulator.
const (
	demoSender = "demo"
	demoNumber = "106540352242922"
)

// Options configure a demo.
type Options struct {
	Addr          string // of Waypost
	SimulatorAddr string
	DataDir       string
	Traffic       float64 // messages per second; 0 queues none
	DrainTimeout  time.Duration
	Version       string // of the program
	Log           platform.LogSettings
}

// Demo is Waypost on a simulated WhatsApp, with one sender and light traffic.
type Demo struct {
	URL          string // of Waypost
	Link         string // opens the web UI signed in
	AdminKeyPath string
	SimulatorURL string

	platform  *platform.Platform
	simulator *simulator.Simulator
	traffic   sync.WaitGroup
	log       *slog.Logger
}

// Start starts a demo that logs to stderr. Its traffic ends with ctx.
func Start(ctx context.Context, o Options, stderr io.Writer) (_ *Demo, err error) {
	if o.Traffic < 0 || o.Traffic > maxTraffic {
		return nil, fmt.Errorf("--traffic: must be between 0 and %d, got %g", maxTraffic, o.Traffic)
	}
	log, err := o.Log.Logger(stderr)
	if err != nil {
		return nil, err
	}
	d := &Demo{AdminKeyPath: platform.AdminKeyPath(o.DataDir), log: log}
	appSecret, link := rand.Text(), rand.Text()
	if d.simulator, err = o.startSimulator(ctx, appSecret, link); err != nil {
		return nil, err
	}
	d.SimulatorURL = d.simulator.URL()
	defer func() {
		if err != nil {
			d.closeSimulator(ctx)
		}
	}()
	s, err := o.settings(d.simulator, appSecret)
	if err != nil {
		return nil, err
	}
	d.platform, err = platform.Start(ctx, s, platform.Options{Version: o.Version, Routes: demoRoutes(s, d.simulator, link)}, log)
	if err != nil {
		return nil, err
	}
	if err := registerDemoSender(ctx, d.platform.Senders); err != nil {
		return nil, errors.Join(err, d.platform.Close())
	}
	d.URL = d.platform.URL
	d.Link = d.URL + "/#key=" + link
	d.traffic.Go(func() { queueTraffic(ctx, d.platform.Queue, o.Traffic, log) })
	return d, nil
}

// Wait returns after ctx ended or a part failed, and everything has stopped.
func (d *Demo) Wait(ctx context.Context) error {
	err := d.platform.Wait(ctx)
	d.traffic.Wait()
	d.closeSimulator(ctx)
	return err
}

func (d *Demo) closeSimulator(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), platform.CloseTimeout)
	defer cancel()
	if err := d.simulator.Close(ctx); err != nil {
		d.log.WarnContext(ctx, "the simulator did not stop in time", "error", err)
	}
}

func (o Options) startSimulator(ctx context.Context, appSecret, operatorKey string) (*simulator.Simulator, error) {
	control := simulator.DefaultControl()
	control.Latency = simulator.Duration(120 * time.Millisecond)
	control.WebhookDelay = simulator.Duration(900 * time.Millisecond) // slow enough to watch
	control.ReadRate = 1
	control.Templates = demoTemplates()
	sim, err := simulator.Start(ctx, simulator.Options{
		Addr: o.SimulatorAddr, WebhookURL: "http://" + o.Addr + "/webhooks/whatsapp", AppSecret: appSecret, OperatorKey: operatorKey,
		Control: &control, // no logger: its retries after Waypost has ended are of no use
	})
	if err != nil {
		return nil, fmt.Errorf("--simulator-addr: %w", err)
	}
	return sim, nil
}

// settings returns the defaults of serve, except that lost responses are settled sooner: in a demo, someone is waiting.
func (o Options) settings(sim *simulator.Simulator, appSecret string) (*platform.Settings, error) {
	s, err := platform.DefaultSettings()
	if err != nil {
		return nil, err
	}
	s.Addr, s.DataDir, s.WhatsappURL = o.Addr, o.DataDir, sim.URL()
	s.WhatsappToken, s.WhatsappAppSecret = "demo-token", appSecret
	s.CallTimeout, s.SettleAfter, s.SettleAfterOutage = 10*time.Second, 15*time.Second, 20*time.Second
	s.DrainTimeout, s.CORSOrigins, s.LogSettings = o.DrainTimeout, []string{"http://localhost:*"}, o.Log
	return s, nil
}

// demoRoutes returns routes that give the web UI the ADMIN key, and the simulator's settings on its own origin. They are served only in
// the demo, under a loopback host, to pages that know the secret in the link on the demo's terminal. The simulator
// also requires the secret.
func demoRoutes(s *platform.Settings, sim *simulator.Simulator, link string) map[string]http.Handler {
	target := &url.URL{Scheme: "http", Host: sim.Addr(), Path: "/control"}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path = target.Scheme, target.Host, target.Path
	}}
	control := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// By default, the server closes a request's body when the response starts. The proxy may still read the body's end then,
		// and it would cut the response.
		_ = http.NewResponseController(w).EnableFullDuplex() // the server always supports it
		proxy.ServeHTTP(w, r)
	})
	return map[string]http.Handler{
		"GET /demo/control": loopbackHost(control),
		"PUT /demo/control": loopbackHost(control),
		"GET /demo.json": loopbackHost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+link)) != 1 {
				_ = json.NewEncoder(w).Encode(map[string]any{"key": "", "demo": true})
				return
			}
			key, _, err := platform.AdminKey(s) // it exists by now
			if err != nil {
				http.Error(w, "the ADMIN key cannot be read", http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"key": key.Get(), "simulator": "http://" + sim.Addr()})
		})),
	}
}

// loopbackHost responds with 403 to requests under any other host name than this machine's loopback. Listening on loopback is not
// enough: if the name of a foreign page is rebound to 127.0.0.1, a browser treats the page as having the demo's origin, so it could
// read the key.
func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		ip, err := netip.ParseAddr(host)
		if loopback := err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"); !loopback {
			http.Error(w, "the demo is served only at localhost, 127.0.0.1, and [::1]; open it at one of these", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func registerDemoSender(ctx context.Context, senders *command.Senders) error {
	_, err := senders.Register(ctx, sender.Registration{
		ID: demoSender, Name: "Demo", PhoneNumberID: demoNumber, DisplayPhoneNumber: "+1 555 078 3881",
		BusinessAccountID: "100200300400500", Rate: sender.DefaultRate,
	}, "", event.Cause{By: domain.Platform("demo")})
	if domain.CodeOf(err) == domain.CodeConflict {
		return nil // an earlier demo registered it, and it was changed since
	}
	return err
}

const (
	// maxTraffic bounds the demo's own traffic, in messages per second.
	maxTraffic = 1000
	// trafficTimeout bounds one message of the demo's traffic.
	trafficTimeout = 5 * time.Second
)

// queueTraffic queues messages at a rate until ctx ends. Some of them are one-time passwords and bulk messages.
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
		_, err := queue.Handle(one, demoMessage(n), event.Cause{By: domain.Platform("demo")})
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
