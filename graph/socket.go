package graph

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

type graphqlSchema = graphql.ExecutableSchema

const (
	// subprotocol is the only one that is spoken.
	subprotocol = "graphql-transport-ws"
	// closeUnauthorized closes a socket whose key does not count, or no more.
	closeUnauthorized = 4401
)

// socket is what is known of a WebSocket beyond what gqlgen keeps.
type socket struct {
	cancel  context.CancelFunc
	revoked atomic.Bool
	watches sync.WaitGroup
}

type socketKey struct{}

func (h *Handler) serveSocket(w http.ResponseWriter, req *http.Request) {
	if !offers(req, subprotocol) {
		h.refuse(w, req, http.StatusBadRequest, domain.Invalid("", "offer the WebSocket protocol %s", subprotocol))
		return
	}
	ctx, cancel := context.WithCancel(req.Context())
	s := &socket{cancel: cancel}
	stop := context.AfterFunc(h.ctx, cancel)
	defer s.watches.Wait()
	defer cancel()
	defer stop()
	h.server.ServeHTTP(w, req.WithContext(context.WithValue(ctx, socketKey{}, s)))
}

// initSocket takes the key of connection_init.
func (h *Handler) initSocket(ctx context.Context, payload transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	s := ctx.Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	header := make(http.Header)
	if behalf := payload.GetString(onBehalfOf); behalf != "" {
		header.Set(onBehalfOf, behalf)
	}
	c, err := identify(ctx, h.resolver.opts.Authenticator, payload.Authorization(), header)
	if err != nil {
		shown := h.resolver.errors.shown(ctx, resolverError{err})
		if shown.Code == domain.CodeUnauthenticated {
			s.revoked.Store(true)
		}
		return transport.AppendCloseReason(ctx, string(shown.Code)), nil, &gqlerror.Error{Message: shown.Message}
	}
	secret, _ := bearer(payload.Authorization())
	watching := h.watchKey(ctx, secret, func() {
		s.revoked.Store(true)
		s.cancel()
	})
	s.watches.Go(watching.Wait)
	return withCaller(ctx, c), nil, nil
}

// sockets accepts WebSockets whose close code tells of a key that does not count.
type sockets struct{ origins []string }

func (o sockets) Accept(
	w http.ResponseWriter, req *http.Request, opts transport.WebsocketAcceptOptions,
) (transport.WebsocketConn, error) {
	opts.Subprotocols = []string{subprotocol}
	conn, err := transport.CoderWebsocketImplementation{
		AcceptOptions: websocket.AcceptOptions{OriginPatterns: o.origins},
	}.Accept(w, req, opts)
	if err != nil {
		return nil, err
	}
	s := req.Context().Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	return &socketConn{coderConn: conn.(coderConn), socket: s}, nil
}

// coderConn is all that gqlgen may ask of the connection.
type coderConn interface {
	transport.WebsocketConn
	transport.WebsocketReadLimiter
	transport.WebsocketReadDeadliner
}

type socketConn struct {
	coderConn

	socket *socket
}

func (c *socketConn) WriteClose(code int, reason string) error {
	if c.socket.revoked.Load() {
		code, reason = closeUnauthorized, "Unauthorized"
	}
	return c.coderConn.WriteClose(code, reason)
}

func offers(req *http.Request, protocol string) bool {
	for _, header := range req.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}

func accepts(req *http.Request, media string) bool {
	return strings.Contains(req.Header.Get("Accept"), media)
}

// endStream tells a subscriber over a WebSocket why its stream ends. Server-Sent
// Events have no such message: they end, and the client resumes by its cursor.
func endStream(ctx context.Context, err *gqlerror.Error) {
	if ctx.Value(socketKey{}) != nil {
		transport.AddSubscriptionError(ctx, err)
	}
}
