package httpapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/ports/httpapi"
)

// line is a line of log output.
type line struct {
	Level, Msg, Request, Method, Route, Operation string
	Status, Bytes                                 int
}

func linesOf(t *testing.T, out *bytes.Buffer) []line {
	t.Helper()
	var all []line
	for text := range strings.Lines(out.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

// Every request has its own ID, which its caller receives, and its outcome is logged in
// one line.
func TestRequestsAreObserved(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(request.Handler{Handler: slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})})
	n := 0
	s := httpapi.New(httpapi.Options{
		Logger: log, RequestID: func() string { n++; return "r-" + strconv.Itoa(n) },
		GraphQL: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request.AddAttrs(r.Context(), slog.String("operation", "query"))
			log.InfoContext(r.Context(), "inside")
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte("answer"))
		}),
		Webhook: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
	})
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodPost, "/graphql?secret=1", nil),
		httptest.NewRequest(http.MethodPost, "/webhooks/whatsapp", nil),
		httptest.NewRequest("PEEK", "/somewhere/+14155550101", nil),
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if id := w.Header().Get("Waypost-Request-Id"); id != "r-"+strconv.Itoa(n) {
			t.Errorf("%s: got ID %q", r.URL.Path, id)
		}
	}
	want := []line{
		{Level: "INFO", Msg: "inside", Request: "r-1"},
		{Level: "INFO", Msg: "request", Request: "r-1", Method: "POST", Route: "/graphql", Operation: "query", Status: 202, Bytes: 6},
		{Level: "DEBUG", Msg: "request", Request: "r-2", Method: "POST", Route: "/webhooks/whatsapp", Status: 503},
		{Level: "DEBUG", Msg: "request", Request: "r-3", Method: "other", Status: 404, Bytes: 19},
	}
	got := linesOf(t, &out)
	if len(got) != len(want) {
		t.Fatalf("logged %s", out.String())
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if strings.Contains(out.String(), "4155550101") || strings.Contains(out.String(), "secret") {
		t.Errorf("paths or parameters are logged: %s", out.String())
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := httpapi.New(httpapi.Options{
		GraphQL: answering("graphql"), Page: answering("page"), Logger: slog.New(slog.DiscardHandler),
		Origins: []string{"https://*.example.com", "http://localhost:*"},
	})
	none := httpapi.New(httpapi.Options{GraphQL: answering("graphql"), Logger: slog.New(slog.DiscardHandler)})
	for _, tc := range []struct {
		server *httpapi.Server
		origin string
		path   string
		ok     bool
	}{
		{s, "https://shop.example.com", "/graphql", true},
		{s, "http://localhost:5173", "/graphql", true},
		{s, "https://example.com.evil.net", "/graphql", false},
		{s, "http://shop.example.com", "/graphql", false},
		{s, "null", "/graphql", false},
		{s, "https://shop.example.com", "/", false},
		{none, "http://localhost:5173", "/graphql", false},
	} {
		ask := httptest.NewRequest(http.MethodOptions, tc.path, nil)
		ask.Header.Set("Origin", tc.origin)
		ask.Header.Set("Access-Control-Request-Method", "POST")
		ask.Header.Set("Access-Control-Request-Headers", "authorization,content-type,waypost-on-behalf-of")
		post := httptest.NewRequest(http.MethodPost, tc.path, nil)
		post.Header.Set("Origin", tc.origin)
		for _, r := range []*http.Request{ask, post} {
			w := httptest.NewRecorder()
			tc.server.Handler().ServeHTTP(w, r)
			allowed := w.Header().Get("Access-Control-Allow-Origin")
			if tc.ok && allowed != tc.origin || !tc.ok && allowed != "" {
				t.Errorf("%s %s from %s: allowed %q", r.Method, tc.path, tc.origin, allowed)
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: cookies are allowed", r.Method, tc.path)
			}
			if r == ask && tc.ok && !strings.Contains(strings.ToLower(w.Header().Get("Access-Control-Allow-Headers")), "waypost-on-behalf-of") {
				t.Errorf("allowed headers %q", w.Header().Get("Access-Control-Allow-Headers"))
			}
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := httpapi.New(httpapi.Options{Page: answering("page"), Webhook: answering("hook"), GraphQL: answering("graphql"), Logger: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"/", "/graphql", "/webhooks/whatsapp", "/healthz", "/readyz", "/nowhere/else"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		for header, part := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "frame-ancestors 'none'", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=()",
		} {
			if got := w.Header().Get(header); !strings.Contains(got, part) {
				t.Errorf("%s: %s is %q, want it to contain %s", path, header, got, part)
			}
		}
	}
}
