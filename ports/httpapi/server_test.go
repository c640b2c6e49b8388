package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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
		Webhook: answering("webhook"), Metrics: answering("metrics"), Logger: slog.New(slog.DiscardHandler),
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
	s := httpapi.New(httpapi.Options{Logger: slog.New(slog.DiscardHandler), Ready: map[string][]httpapi.Check{
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

// A request under way at shutdown is answered; one that never ends is cut.
func TestShutdown(t *testing.T) {
	for ends, timeout := range map[bool]time.Duration{
		true:  10 * time.Second, // it need not be waited for
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
			t.Errorf("request that ends %t: serve answered %v", ends, err)
		}
		if err := <-answered; (err == nil) != ends {
			t.Errorf("request that ends %t: client got %v", ends, err)
		}
	}
}
