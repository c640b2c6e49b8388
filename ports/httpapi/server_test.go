package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/ports/httpapi"
)

func answering(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func TestRoutes(t *testing.T) {
	s := httpapi.New(httpapi.Options{
		GraphQL: answering("graphql"), Page: answering("page"), Playground: answering("playground"),
		Webhook: answering("webhook"), Metrics: answering("metrics"), Internal: true, Logger: slog.New(slog.DiscardHandler),
	})
	for _, tc := range []struct{ method, path, want string }{
		{"POST", "/graphql", "graphql"},
		{"GET", "/graphql", "graphql"},
		{"GET", "/", "page"},
		{"GET", "/app.js", "page"},
		{"GET", "/playground", "playground"},
		{"POST", "/webhooks/whatsapp", "webhook"},
		{"GET", "/webhooks/whatsapp?x=1", "webhook"},
		{"GET", "/metrics", "metrics"},
		{"GET", "/healthz", "{\"status\":\"ok\"}\n"},
		{"GET", "/readyz", "{\"ready\":true}\n"},
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != http.StatusOK || w.Body.String() != tc.want {
			t.Errorf("%s %s: %d %q, want %q", tc.method, tc.path, w.Code, w.Body, tc.want)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: headers %v", tc.method, tc.path, w.Header())
		}
	}
}

func TestReadiness(t *testing.T) {
	ready := func(context.Context) error { return nil }
	s := httpapi.New(httpapi.Options{Logger: slog.New(slog.DiscardHandler), Internal: true, Ready: map[string][]httpapi.Check{
		"webhook": {{Name: "event store", Ready: ready}},
		"project": {{Name: "event store", Ready: ready}, {Name: "postgres", Ready: func(context.Context) error { return errors.New("connection refused") }}},
		"alert":   {{Name: "hung", Ready: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}},
	}})
	for _, tc := range []struct {
		query string
		code  int
		want  []httpapi.NotReady
	}{
		{"?role=webhook", 200, nil},
		{"?role=project", 503, []httpapi.NotReady{{Role: "project", Check: "postgres", Reason: "connection refused"}}},
		{"?role=dispatch", 503, []httpapi.NotReady{{Role: "dispatch", Check: "role", Reason: "this process does not have the role"}}},
		{"", 503, []httpapi.NotReady{
			{Role: "alert", Check: "hung", Reason: "context deadline exceeded"},
			{Role: "project", Check: "postgres", Reason: "connection refused"},
		}},
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz"+tc.query, nil))
		var got httpapi.Readiness
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		same := len(got.NotReady) == len(tc.want)
		for i := range tc.want {
			same = same && got.NotReady[i] == tc.want[i]
		}
		if w.Code != tc.code || got.Ready != (tc.code == 200) || !same {
			t.Errorf("%q: %d %+v", tc.query, w.Code, got)
		}
	}
}

// The internal state that a server shows depends on the port and the key.
func TestInsides(t *testing.T) {
	t.Parallel()
	authorize := func(r *http.Request) error {
		if r.Header.Get("Authorization") != "Bearer right" {
			return errors.New("wrong key")
		}
		return nil
	}
	checks := map[string][]httpapi.Check{"api": {{Name: "postgres", Ready: func(context.Context) error { return errors.New("no route to 10.0.0.7") }}}}
	const ready, notReady, reason = `{"ready":false}`, `{"ready":false,"notReady":[{"role":"api","check":"postgres"}]}`, "10.0.0.7"
	for _, tc := range []struct {
		name    string
		options httpapi.Options
		key     string
		metrics int
		readyz  string
	}{
		{"main, no key", httpapi.Options{Authorize: authorize}, "", http.StatusUnauthorized, notReady},
		{"main, wrong key", httpapi.Options{Authorize: authorize}, "wrong", http.StatusUnauthorized, notReady},
		{"main, right key", httpapi.Options{Authorize: authorize}, "right", http.StatusOK, reason},
		{"no authorizer", httpapi.Options{}, "right", http.StatusUnauthorized, notReady},
		{"public", httpapi.Options{Public: true}, "", http.StatusUnauthorized, ready},
		{"internal", httpapi.Options{Internal: true}, "", http.StatusOK, reason},
	} {
		o := tc.options
		o.Logger, o.Ready, o.Metrics = slog.New(slog.DiscardHandler), checks, answering("metrics")
		s := httpapi.New(o)
		get := func(path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			if tc.key != "" {
				r.Header.Set("Authorization", "Bearer "+tc.key)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			return w
		}
		if w := get("/metrics"); w.Code != tc.metrics {
			t.Errorf("%s: /metrics returned %d, want %d", tc.name, w.Code, tc.metrics)
		}
		if w := get("/readyz"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), tc.readyz) {
			t.Errorf("%s: /readyz returned %d %s, want %s", tc.name, w.Code, w.Body, tc.readyz)
		}
	}
}

// Uploads use at most the limit of bytes in memory, small bodies get through alongside
// large ones, and the bytes are free again afterward.
func TestBodiesInFlight(t *testing.T) {
	t.Parallel()
	const large = 4 << 20
	var reading, full sync.WaitGroup
	release := make(chan struct{})
	refused := make(chan struct{}, 100)
	s := httpapi.New(httpapi.Options{Logger: slog.New(slog.DiscardHandler), Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			refused <- struct{}{}
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == "/held" {
			full.Done()
			<-release
		}
	})})
	post := func(path string, size int) int {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(make([]byte, size))))
		return w.Code
	}
	const fit = 5 // in the 24 MiB that are not reserved for small bodies
	full.Add(fit)
	for range fit {
		reading.Go(func() { post("/held", large) })
	}
	full.Wait()
	for range 50 {
		if code := post("/", large); code != http.StatusServiceUnavailable {
			t.Errorf("a large body over the limit: %d", code)
		}
		if code := post("/", 2000); code != http.StatusOK {
			t.Errorf("a small body alongside large ones: %d", code)
		}
	}
	close(release)
	reading.Wait()
	if code := post("/", large); code != http.StatusOK {
		t.Errorf("a large body after the others: %d", code)
	}
}

// However many small requests wait for their turn, webhooks get through.
func TestWebhooksPassWaitingRequests(t *testing.T) {
	t.Parallel()
	var waiting sync.WaitGroup
	release, arrived := make(chan struct{}), make(chan bool)
	s := httpapi.New(httpapi.Options{
		Logger: slog.New(slog.DiscardHandler), Webhook: answering("recorded"),
		Page: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			arrived <- err == nil
			<-release
		}),
	})
	post := func(path string) int {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
		return w.Code
	}
	for held := true; held; { // until one more body has no room
		waiting.Go(func() { post("/") })
		held = <-arrived
	}
	for range 50 {
		if code := post("/webhooks/whatsapp"); code != http.StatusOK {
			t.Errorf("a webhook: %d", code)
		}
	}
	close(release)
	waiting.Wait()
}

// A client that opens as many connections as it can leaves some for other addresses.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := httpapi.Limited(l, 4, 3)
	served := make(chan error, 1)
	server := &http.Server{Handler: answering("page"), ReadHeaderTimeout: time.Minute}
	go func() { served <- server.Serve(bounded) }()
	defer func() { _ = server.Close(); <-served }()
	dial := func(from string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		return c, n == 1
	}
	var open []net.Conn
	for i := range 5 {
		c, ok := dial("127.0.0.1")
		if ok != (i < 3) {
			t.Errorf("connection %d from one address is served: %t", i, ok)
		}
		open = append(open, c)
	}
	other, ok := dial("127.0.0.2")
	if !ok {
		t.Error("another address is not served")
	}
	if c, ok := dial("127.0.0.3"); ok {
		t.Error("a connection over the limit is served")
	} else {
		_ = c.Close()
	}
	for _, c := range append(open, other) {
		_ = c.Close()
	}
	for ok := false; !ok && t.Context().Err() == nil; { // until the server has noticed that they are closed
		var c net.Conn
		c, ok = dial("127.0.0.1")
		_ = c.Close()
	}
}

// At shutdown, a request in flight gets its response, and one that never ends is aborted.
func TestShutdown(t *testing.T) {
	for ends, timeout := range map[bool]time.Duration{
		true:  10 * time.Second, // never reached
		false: 200 * time.Millisecond,
	} {
		started, release := make(chan struct{}), make(chan struct{})
		s := httpapi.New(httpapi.Options{
			Logger: slog.New(slog.DiscardHandler), ShutdownTimeout: timeout,
			Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(started)
				select {
				case <-release:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "done")
			}),
		})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served, answered := make(chan error, 1), make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		go func() {
			resp, err := http.Get("http://" + l.Addr().String() + "/")
			if err == nil {
				err = resp.Body.Close()
			}
			answered <- err
		}()
		<-started
		stop()
		if ends {
			close(release)
		}
		if err := <-served; (err == nil) != ends {
			t.Errorf("request that ends %t: Serve returned %v", ends, err)
		}
		if err := <-answered; (err == nil) != ends {
			t.Errorf("request that ends %t: client got %v", ends, err)
		}
	}
}
