package graph

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

type graphqlSchema = graphql.ExecutableSchema

// subprotocol is the only supported protocol.
const subprotocol = "graphql-transport-ws"

// Reasons for which this side ends a stream.
var (
	errKeyEnded = &domain.Error{Code: domain.CodeUnauthenticated, Message: "the key is no longer valid"}
	errTooSlow  = domain.Unavailable("updates are read too slowly; subscribe again after the last cursor")
	errStopping = domain.Unavailable("Waypost is shutting down; subscribe again after the last cursor")
)

// socketEnd returns the code and the reason with which a socket is closed. Clients
// treat 4401 as final and reconnect after the other codes.
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
	var taken takenError
	if errors.As(cause, &taken) {
		return subscriberExists, taken.Error()
	}
	return 0, ""
}

// socket is the state of a WebSocket that gqlgen does not keep.
type socket struct {
	end  context.CancelCauseFunc
	work sync.WaitGroup // must be finished before the request is
	req  *http.Request  // that opened it

	slowAfter time.Duration
	conn      net.Conn // set once it is hijacked
	peer      *socketConn
	over      chan struct{} // closed when the request has ended

	letIn func() // called once it has authenticated
}

type socketKey struct{}

func (h *Handler) serveSocket(w http.ResponseWriter, req *http.Request) {
	if !offers(req, subprotocol) {
		h.refuse(w, req, http.StatusBadRequest, domain.Invalid("", "must offer the WebSocket protocol %s", subprotocol))
		return
	}
	letIn, leave, err := h.sockets.enter()
	if err != nil {
		h.refuse(w, req, http.StatusServiceUnavailable, err)
		return
	}
	defer leave()
	ctx, end := context.WithCancelCause(req.Context())
	s := &socket{end: end, req: req, slowAfter: h.slowAfter, over: make(chan struct{}), letIn: letIn}
	defer s.close()
	defer end(nil)
	conn, err := websocket.Accept(&hijacked{ResponseWriter: w, socket: s}, req, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, OriginPatterns: h.resolver.opts.Origins,
	})
	if err != nil { // the error response has been sent
		request.AddAttrs(ctx, slog.String("refused", err.Error()))
		return
	}
	s.peer = &socketConn{conn: conn, socket: s, ctx: ctx, present: h.resolver.errors.present}
	defer context.AfterFunc(h.ctx, func() { end(errStopping) })()
	// A write to a reader that does not read also delays the closing.
	context.AfterFunc(ctx, func() {
		select {
		case <-s.over:
		case <-time.After(2 * s.grace(ctx)):
			_ = s.conn.Close() // it may already be closed
		}
	})
	h.server.ServeHTTP(w, req.WithContext(context.WithValue(ctx, socketKey{}, s)))
}

// close waits for the socket's goroutines, and cuts its connection if it is still open.
// One of gqlgen's goroutines outlives its handler and can call WriteClose at this moment:
// it either has started its work by now, or does nothing.
func (s *socket) close() {
	if s.peer != nil {
		s.peer.closed.Do(func() {})
	}
	s.work.Wait()
	close(s.over)
	if s.conn != nil {
		_ = s.conn.Close() // it may already be closed
	}
}

// grace returns how long the closing can take: a slow reader must first read everything
// that was written before the reason.
func (s *socket) grace(ctx context.Context) time.Duration {
	if errors.Is(context.Cause(ctx), errTooSlow) {
		return max(closeGrace, s.slowAfter)
	}
	return closeGrace
}

// initSocket reads the key in connection_init.
func (h *Handler) initSocket(ctx context.Context, payload transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	s := ctx.Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	header := make(http.Header)
	if behalf := payload.GetString(onBehalfOf); behalf != "" {
		header.Set(onBehalfOf, behalf)
	}
	c, err := h.identify(s.req.WithContext(ctx), payload.Authorization(), header)
	if err != nil {
		shown := h.resolver.errors.shown(ctx, resolverError{err})
		if shown.Code == domain.CodeUnauthenticated {
			s.end(errKeyEnded)
		}
		return transport.AppendCloseReason(ctx, string(shown.Code)), nil, &gqlerror.Error{Message: shown.Message}
	}
	s.letIn()
	s.peer.conn.SetReadLimit(maxBody)
	context.AfterFunc(ctx, h.watches.add(c.Session, func() { s.end(errKeyEnded) }))
	return withCaller(ctx, c), nil, nil
}

// sockets passes the WebSockets that serveSocket accepted to gqlgen.
type sockets struct{}

// Accept returns the request's WebSocket.
func (sockets) Accept(_ http.ResponseWriter, req *http.Request, _ transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	s := req.Context().Value(socketKey{}).(*socket) //nolint:forcetypeassert // serveSocket put it there
	return s.peer, nil
}

const (
	// defaultSlowAfter is how long an update can wait for its reader. A reader that
	// takes longer is notified and must resume after its last cursor.
	defaultSlowAfter = 10 * time.Second
	// cutFactor is the factor after which a reader that has still read nothing is
	// disconnected instead: it cannot be notified while earlier data is unread.
	cutFactor = 3
	// closeGrace is how long the closing of a socket can take before it is cut.
	closeGrace = time.Second
	// sendBuffer limits the kernel's buffer for one reader, in bytes. By default, the
	// kernel keeps megabytes for a reader that reads nothing.
	sendBuffer = 128 << 10
	// initLimit limits connection_init, which comes before the key was checked, in
	// bytes.
	initLimit = 16 << 10
)

// hijacked returns the connection of a request with bounded writes.
type hijacked struct {
	http.ResponseWriter

	socket *socket
}

// Hijack hijacks the connection.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // otherwise the kernel's own limit applies
	}
	h.socket.conn = &boundedConn{conn, cutFactor * h.socket.slowAfter}
	// The server's own buffer would bypass the limit on writes.
	return h.socket.conn, bufio.NewReadWriter(buffered.Reader, bufio.NewWriter(h.socket.conn)), nil
}

// boundedConn limits the time of every write.
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

// socketConn is a WebSocket with gqlgen's interface. Whatever the peer does or does not
// do, every method returns within a time limit.
type socketConn struct {
	conn   *websocket.Conn
	socket *socket
	ctx    context.Context //nolint:containedctx // of the request: contains the reason for the end of the socket
	closed sync.Once

	operations socketOperations
	present    func(context.Context, error) *gqlerror.Error
}

func (c *socketConn) Subprotocol() string { return c.conn.Subprotocol() }

// SetReadLimit limits the size of a message, to initLimit until the caller is known.
func (c *socketConn) SetReadLimit(limit int64) { c.conn.SetReadLimit(min(limit, initLimit)) }

func (c *socketConn) SetReadDeadline(t time.Time) error { return c.socket.conn.SetReadDeadline(t) }

// Close does nothing: gqlgen calls it after WriteClose, which ends the socket in time,
// and serveSocket closes it finally.
func (c *socketConn) Close() error { return nil }

func (c *socketConn) NextReader() (kind int, r io.Reader, err error) {
	for {
		// The read ends with the connection. A context would cut it before the peer
		// receives the reason.
		t, data, err := c.conn.Read(context.WithoutCancel(c.ctx))
		switch websocket.CloseStatus(err) {
		case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
			err = transport.ErrWebsocketClosed
		default: // an error, if it is one
		}
		if err != nil {
			return int(t), nil, err
		}
		if checkRequest(data) != nil {
			return int(t), nil, errors.Join(transport.ErrWebsocketClosed,
				c.WriteClose(int(websocket.StatusInvalidFramePayloadData), "send text as UTF-8, and both halves of a character"))
		}
		data, err = c.incoming(data)
		if err != nil {
			c.socket.end(err)
			return int(t), nil, errors.Join(transport.ErrWebsocketClosed, c.WriteClose(0, "")) // it closes for this reason
		}
		if data != nil {
			return int(t), bytes.NewReader(data), nil
		}
	}
}

// WriteJSON writes a message of gqlgen.
func (c *socketConn) WriteJSON(v any) error {
	m, ok := outgoingFrame(v)
	if !ok {
		return fmt.Errorf("write a message of type %T: it has no ID, Type, and Payload", v)
	}
	if m.ID != "" {
		if m.ID, ok = c.operations.outgoing(m.ID, m.Type); !ok {
			return nil
		}
	}
	return c.write(m)
}

func (c *socketConn) write(m frame) error {
	data, err := json.Marshal(m)
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
