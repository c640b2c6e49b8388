package graph

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

type graphqlSchema = graphql.ExecutableSchema

// subprotocol is the only one that is spoken.
const subprotocol = "graphql-transport-ws"

// Why a stream is ended by this side.
var (
	errKeyEnded = &domain.Error{Code: domain.CodeUnauthenticated, Message: "the key counts no more"}
	errTooSlow  = domain.Unavailable("updates are read too slowly; subscribe again after the last cursor")
	errStopping = domain.Unavailable("the platform is being stopped; subscribe again after the last cursor")
)

// socketEnd is the code and the reason with which a socket is closed. Clients
// take 4401 for final, and dial again after the others.
func socketEnd(cause error) (websocket.StatusCode, string) {
	const unauthorized = 4401
	switch {
	case domain.CodeOf(cause) == domain.CodeUnauthenticated:
		return unauthorized, "Unauthorized"
	case errors.Is(cause, errTooSlow):
		return websocket.StatusTryAgainLater, errTooSlow.Message
	case errors.Is(cause, errStopping):
		return websocket.StatusGoingAway, errStopping.Message
	}
	return 0, ""
}

// socket is what is known of a WebSocket beyond what gqlgen keeps.
type socket struct {
	end  context.CancelCauseFunc
	work sync.WaitGroup // what has to be over before the request is
	addr string

	slowAfter time.Duration
	conn      net.Conn // set once it is taken over
	peer      *socketConn
	over      chan struct{} // closed when the request is

	streams atomic.Int32 // subscriptions that are open
}

type socketKey struct{}

func (h *Handler) serveSocket(w http.ResponseWriter, req *http.Request) {
	if !offers(req, subprotocol) {
		h.refuse(w, req, http.StatusBadRequest, domain.Invalid("", "offer the WebSocket protocol %s", subprotocol))
		return
	}
	ctx, end := context.WithCancelCause(req.Context())
	s := &socket{end: end, addr: req.RemoteAddr, slowAfter: h.slowAfter, over: make(chan struct{})}
	defer s.close()
	defer end(nil)
	conn, err := websocket.Accept(&hijacked{ResponseWriter: w, socket: s}, req, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, OriginPatterns: h.resolver.opts.Origins,
	})
	if err != nil { // it has been answered
		request.Note(ctx, slog.String("refused", err.Error()))
		return
	}
	s.peer = &socketConn{conn: conn, socket: s, ctx: ctx}
	defer context.AfterFunc(h.ctx, func() { end(errStopping) })()
	// A write to a reader that reads nothing keeps the closing waiting, too.
	context.AfterFunc(ctx, func() {
		select {
		case <-s.over:
		case <-time.After(2 * s.grace(ctx)):
			_ = s.conn.Close() // it may be closed already
		}
	})
	h.server.ServeHTTP(w, req.WithContext(context.WithValue(ctx, socketKey{}, s)))
}

// close waits for what belongs to the socket, and cuts it if it still stands.
func (s *socket) close() {
	s.work.Wait()
	close(s.over)
	if s.conn != nil {
		_ = s.conn.Close() // it may be closed already
	}
}

// grace is how long the closing may take: a slow reader has to come to what it is
// told, through all that was written before.
func (s *socket) grace(ctx context.Context) time.Duration {
	if errors.Is(context.Cause(ctx), errTooSlow) {
		return max(closeGrace, s.slowAfter)
	}
	return closeGrace
}

// initSocket takes the key of connection_init.
func (h *Handler) initSocket(ctx context.Context, payload transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	s := ctx.Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	header := make(http.Header)
	if behalf := payload.GetString(onBehalfOf); behalf != "" {
		header.Set(onBehalfOf, behalf)
	}
	c, err := h.identify(ctx, s.addr, payload.Authorization(), header)
	if err != nil {
		shown := h.resolver.errors.shown(ctx, resolverError{err})
		if shown.Code == domain.CodeUnauthenticated {
			s.end(errKeyEnded)
		}
		return transport.AppendCloseReason(ctx, string(shown.Code)), nil, &gqlerror.Error{Message: shown.Message}
	}
	context.AfterFunc(ctx, h.watches.add(c.Session, func() { s.end(errKeyEnded) }))
	return withCaller(ctx, c), nil, nil
}

// sockets hands gqlgen the WebSockets that serveSocket accepted.
type sockets struct{}

// Accept answers the request's WebSocket.
func (sockets) Accept(_ http.ResponseWriter, req *http.Request, _ transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	s := req.Context().Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	return s.peer, nil
}

const (
	// defaultSlowAfter is how long an update may wait for its reader to take it. A
	// reader that takes longer is told, and has to resume after its last cursor.
	defaultSlowAfter = 10 * time.Second
	// cutFactor says how much later a reader that has still taken nothing is cut
	// instead: it cannot be told while what was written before is in the way.
	cutFactor = 3
	// closeGrace is how long the closing of a socket may take before it is cut.
	closeGrace = time.Second
	// sendBuffer bounds what the kernel keeps for one reader, in bytes. Left to
	// itself it keeps megabytes for one that reads nothing.
	sendBuffer = 128 << 10
)

// hijacked hands the connection of a request over with bounded writes.
type hijacked struct {
	http.ResponseWriter

	socket *socket
}

// Hijack takes the connection over.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // the kernel's own bound holds otherwise
	}
	h.socket.conn = &boundedConn{conn, cutFactor * h.socket.slowAfter}
	// The server's own buffer writes past what bounds the writes.
	return h.socket.conn, bufio.NewReadWriter(buffered.Reader, bufio.NewWriter(h.socket.conn)), nil
}

// boundedConn bounds every write.
type boundedConn struct {
	net.Conn

	bound time.Duration
}

func (c *boundedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.bound)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// socketConn is a WebSocket as gqlgen wants it. Whatever the peer does or leaves
// undone, every method returns within a bound.
type socketConn struct {
	conn   *websocket.Conn
	socket *socket
	ctx    context.Context //nolint:containedctx // of the request: says why the socket ends
	closed sync.Once
}

func (c *socketConn) Subprotocol() string               { return c.conn.Subprotocol() }
func (c *socketConn) SetReadLimit(limit int64)          { c.conn.SetReadLimit(limit) }
func (c *socketConn) SetReadDeadline(t time.Time) error { return c.socket.conn.SetReadDeadline(t) }

// Close does nothing: gqlgen calls it after WriteClose, which ends the socket in
// time, and serveSocket has the last word.
func (c *socketConn) Close() error { return nil }

func (c *socketConn) NextReader() (kind int, r io.Reader, err error) {
	// The read ends with the connection; a context would cut it before the peer is told why.
	t, data, err := c.conn.Read(context.WithoutCancel(c.ctx))
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		err = transport.ErrWebsocketClosed
	default: // an error, if it is one
	}
	return int(t), bytes.NewReader(data), err
}

func (c *socketConn) WriteJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	start := time.Now()
	err = c.conn.Write(context.WithoutCancel(c.ctx), websocket.MessageText, data)
	if time.Since(start) > c.socket.slowAfter {
		c.socket.end(errTooSlow)
	}
	return err
}

// WriteClose closes the socket in the background, within closeGrace.
func (c *socketConn) WriteClose(code int, reason string) error {
	if ours, why := socketEnd(context.Cause(c.ctx)); ours != 0 {
		code, reason = int(ours), why
	}
	c.closed.Do(func() {
		c.socket.work.Go(func() {
			defer time.AfterFunc(c.socket.grace(c.ctx), func() { _ = c.socket.conn.Close() }).Stop()
			_ = c.conn.Close(websocket.StatusCode(code), reason) // the peer may have gone
		})
	})
	return nil
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

// endStream tells a subscriber over a WebSocket why its stream ends. Over
// Server-Sent Events eventStream tells it.
func endStream(ctx context.Context, err *gqlerror.Error) {
	if ctx.Value(socketKey{}) != nil {
		transport.AddSubscriptionError(ctx, err)
		return
	}
	if s, ok := ctx.Value(streamKey{}).(*eventStream); ok {
		s.fail(err)
	}
}
