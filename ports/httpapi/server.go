package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// readHeaderTimeout is the time limit for reading a request's headers. The limits for
	// bodies and responses depend on their handlers: subscriptions last for days.
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	// defaultShutdownTimeout is the default of Options.ShutdownTimeout.
	defaultShutdownTimeout = 10 * time.Second
)

// Options configure a Server. A nil handler is not served.
type Options struct {
	// GraphQL is served at /graphql, with its subscriptions.
	GraphQL http.Handler
	// Page is served at / and all other paths under it, Playground at /playground.
	Page       http.Handler
	Playground http.Handler
	// Webhook is served at /webhooks/whatsapp. NewWebhook returns it.
	Webhook http.Handler
	// Media is served at /media/, for files of inbound messages. NewMedia returns it.
	Media http.Handler
	// Metrics is served at /metrics.
	Metrics http.Handler
	// Profiles is served at /debug/pprof/, without authorization: only for servers that are
	// Internal. NewProfiles returns it.
	Profiles http.Handler
	// Routes are additional handlers, by their patterns.
	Routes map[string]http.Handler
	// Origins are the patterns of the origins whose pages can use GraphQL, such as
	// https://*.example.com. The server's own origin always can.
	Origins []string
	// RequestID returns the ID for a request. If nil, requests have no ID and are not
	// logged.
	RequestID func() string
	// Bodies limits the bytes of request bodies in memory. If nil, New creates one.
	Bodies *Bodies
	// Authorize returns nil if the caller of a request may see Waypost's internal state:
	// its metrics, and the reasons in /readyz.
	Authorize func(r *http.Request) error
	// Internal means that only operators can reach the server. All requests are
	// authorized.
	Internal bool
	// Public means that anyone can reach the server. Without authorization, /readyz
	// reports only whether Waypost is ready.
	Public bool
	// Ready contains the readiness checks of each role of this process, by the role's
	// name.
	Ready map[string][]Check
	// ShutdownTimeout is how long shutdown waits for requests. If zero, 10 s.
	ShutdownTimeout time.Duration
	Logger          *slog.Logger
}

// Server serves HTTP until the context of Serve ends.
type Server struct {
	handler         http.Handler
	shutdownTimeout time.Duration
	logger          *slog.Logger
}

// The patterns whose requests are logged at their own levels.
const (
	graphqlPattern = "/graphql"
	webhookPattern = "/webhooks/whatsapp"
	readyPattern   = "GET /readyz"
)

// New returns a Server. It always serves /healthz and /readyz.
func New(o Options) *Server {
	mux := http.NewServeMux()
	if o.Metrics != nil && !o.Internal {
		o.Metrics = o.authorized(o.Metrics)
	}
	if o.GraphQL != nil {
		o.GraphQL = crossOrigin(o.GraphQL, o.Origins)
	}
	for path, h := range map[string]http.Handler{
		graphqlPattern: o.GraphQL, webhookPattern: o.Webhook, MediaPattern: o.Media, "GET /metrics": o.Metrics, "GET /debug/pprof/": o.Profiles,
		"/playground": o.Playground, "/": o.Page,
	} {
		if h != nil {
			mux.Handle(path, h)
		}
	}
	for pattern, h := range o.Routes {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc(readyPattern, readyz(o.Ready, o.detail))
	timeout := o.ShutdownTimeout
	if timeout == 0 {
		timeout = defaultShutdownTimeout
	}
	if o.Bodies == nil {
		o.Bodies = NewBodies()
	}
	handler := o.Bodies.bounded(secured(mux))
	if o.RequestID != nil {
		handler = observed(handler, o.RequestID, o.Logger)
	}
	return &Server{handler: handler, shutdownTimeout: timeout, logger: o.Logger}
}

// authorized rejects requests whose callers may not see Waypost's internal state.
func (o *Options) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.Authorize == nil || o.Authorize(r) != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this requires a key with the scope READ that is not limited to senders; send the header Authorization: Bearer KEY, "+
				"or set --metrics-addr to serve metrics on an internal address without a key", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// detail returns the amount of detail in the readiness that a request receives.
func (o *Options) detail(r *http.Request) detail {
	switch {
	case o.Internal, o.Authorize != nil && r.Header.Get("Authorization") != "" && o.Authorize(r) == nil:
		return showReasons
	case o.Public:
		return showReady
	}
	return showChecks
}

// Handler returns the handler for everything that the server serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve serves on l until ctx ends. Then it closes l, waits up to the shutdown timeout
// for requests to finish, and aborts the others. It returns nil if all requests finished.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn), ConnContext: boundSending,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(limited(l)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(bounded)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were aborted at shutdown: %w", err), srv.Close())
	}
	<-served
	return err
}

// sendBuffer is the size of the kernel's send buffer of one connection, in bytes. By
// default, the kernel buffers megabytes for each slow reader, and there can be thousands.
const sendBuffer = 256 << 10

func boundSending(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // if this fails, the kernel's own limit applies
	}
	return ctx
}

// secured sets the headers that restrict what browsers do with a response. A page that
// needs another policy sets its own headers.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		h.Set("Content-Security-Policy",
			"default-src 'self'; img-src 'self' data:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}
