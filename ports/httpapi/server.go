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
	// readHeaderTimeout bounds how long a client may take for its headers. Bodies
	// and answers have the bounds of their handlers: subscriptions last for days.
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// defaultShutdownTimeout is Options.ShutdownTimeout if none is given.
	defaultShutdownTimeout = 10 * time.Second
)

// Options is what a server serves. A handler that is nil is not served.
type Options struct {
	// GraphQL is served at /graphql, with its subscriptions.
	GraphQL http.Handler
	// Page is served at / and below, Playground at /playground.
	Page       http.Handler
	Playground http.Handler
	// Webhook is served at /webhooks/whatsapp; see NewWebhook.
	Webhook http.Handler
	// Metrics is served at /metrics.
	Metrics http.Handler
	// Routes are served beside these, by their patterns.
	Routes map[string]http.Handler
	// Origins are the patterns of the origins whose pages may use GraphQL, such as
	// https://*.example.com. The server's own always may.
	Origins []string
	// RequestID makes the id of a request. Without it requests have none and are not
	// logged.
	RequestID func() string
	// Ready holds what each role of this process needs, by the role's name.
	Ready map[string][]Check
	// ShutdownTimeout bounds the wait for requests at shutdown, 10 s if zero.
	ShutdownTimeout time.Duration
	Logger          *slog.Logger
}

// Server serves HTTP until it is told to end.
type Server struct {
	handler         http.Handler
	shutdownTimeout time.Duration
	logger          *slog.Logger
}

// The patterns that are logged in their own way.
const (
	graphqlPattern = "/graphql"
	webhookPattern = "/webhooks/whatsapp"
	readyPattern   = "GET /readyz"
)

// New makes a server. /healthz and /readyz are always served.
func New(o Options) *Server {
	mux := http.NewServeMux()
	if o.GraphQL != nil {
		o.GraphQL = crossOrigin(o.GraphQL, o.Origins)
	}
	for path, h := range map[string]http.Handler{
		graphqlPattern: o.GraphQL, webhookPattern: o.Webhook, "GET /metrics": o.Metrics,
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
	mux.HandleFunc(readyPattern, readyz(o.Ready))
	timeout := o.ShutdownTimeout
	if timeout == 0 {
		timeout = defaultShutdownTimeout
	}
	handler := secured(mux)
	if o.RequestID != nil {
		handler = observed(handler, o.RequestID, o.Logger)
	}
	return &Server{handler: handler, shutdownTimeout: timeout, logger: o.Logger}
}

// Handler is all that the server serves.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve serves on l until ctx ends; then it takes no more connections, lets
// requests finish within the shutdown timeout, and cuts the others. It answers
// nil when all of them finished.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn), ConnContext: boundSending,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	err := srv.Shutdown(bounded)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut at shutdown: %w", err), srv.Close())
	}
	<-served
	return err
}

// sendBuffer bounds what the kernel keeps for one reader, in bytes. Left to itself
// it keeps megabytes for each that reads slowly, and there may be thousands.
const sendBuffer = 256 << 10

func boundSending(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // the kernel's own bound holds otherwise
	}
	return ctx
}

// secured sets the headers that keep a browser from doing what it is not asked
// to. A page that needs another policy sets its own.
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
