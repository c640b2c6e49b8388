package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/waypost/waypost/domain"
)

// eventStreamType is the media type of Server-Sent Events.
const eventStreamType = "text/event-stream"

type (
	streamKey struct{}
	getKey    struct{}
)

// withGetAsPost converts a GET for Server-Sent Events to the equivalent POST. Its
// parameters are in the format of GraphQL over HTTP.
func withGetAsPost(req *http.Request) *http.Request {
	body := map[string]any{}
	for name, values := range req.URL.Query() {
		switch name {
		case "query", "operationName":
			body[name] = values[0]
		case "variables", "extensions":
			body[name] = json.RawMessage(values[0])
		}
	}
	text, err := json.Marshal(body)
	if err != nil { // a parameter that is not JSON: report it as for a body
		text = []byte("{")
	}
	for _, values := range req.URL.Query() {
		if checkRequest([]byte(values[0])) != nil {
			text = []byte(values[0]) // likewise, because JSON would hide it
		}
	}
	post := req.Clone(context.WithValue(req.Context(), getKey{}, true))
	post.Method = http.MethodPost
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Content-Length", strconv.Itoa(len(text)))
	post.Body, post.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return post
}

// onlySubscribeByGet rejects mutations by GET, which a browser sends for any page when
// it follows a link.
func onlySubscribeByGet(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if ctx.Value(getKey{}) != nil && graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		return wrongTransport("GET is for subscriptions; use POST")
	}
	return next(ctx)
}

// onlySubscribeByStream rejects subscriptions whose transport is not a stream. Their one
// response would wait for an update, and neither the end of the key nor Close would end
// it.
func onlySubscribeByStream(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	streamed := ctx.Value(streamKey{}) != nil || ctx.Value(socketKey{}) != nil
	if !streamed && graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription {
		return wrongTransport("subscriptions need a WebSocket, or Server-Sent Events with the header Accept: " + eventStreamType)
	}
	return next(ctx)
}

func wrongTransport(message string) graphql.ResponseHandler {
	err := gqlerror.Errorf("%s", message)
	err.Extensions = map[string]any{"code": string(domain.CodeInvalidInput)}
	return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{err}})
}

// serveEvents serves a request whose responses are Server-Sent Events.
func (h *Handler) serveEvents(w http.ResponseWriter, req *http.Request, c caller) {
	s := &eventStream{ResponseWriter: w, control: http.NewResponseController(w), present: h.resolver.errors.present, slowAfter: h.slowAfter}
	ctx, end := context.WithCancelCause(context.WithValue(req.Context(), streamKey{}, s))
	s.ctx, s.end = ctx, end
	defer s.close()
	defer end(nil)
	defer context.AfterFunc(h.ctx, func() { end(errStopping) })()
	defer h.watches.add(c.Session, func() { end(errKeyEnded) })()
	h.server.ServeHTTP(s, req.WithContext(ctx))
}

// eventStream writes Server-Sent Events with a timeout for each write. Before it ends,
// it reports the reason as the errors of one last event.
type eventStream struct {
	http.ResponseWriter

	control *http.ResponseController
	ctx     context.Context //nolint:containedctx // of the request: contains the reason for the end of the stream
	end     context.CancelCauseFunc
	present func(context.Context, error) *gqlerror.Error

	slowAfter time.Duration

	// writing is held during each write: gqlgen's keep-alive can come late, when the
	// request is over and its writer must not be used.
	writing sync.Mutex
	over    bool

	failure atomic.Pointer[gqlerror.Error]
}

var errStreamOver = errors.New("the stream has ended")

// reason returns why the stream ends, or nil if it has simply come to its end.
func (s *eventStream) reason() *gqlerror.Error {
	if failure := s.failure.Load(); failure != nil {
		return failure
	}
	if cause := context.Cause(s.ctx); cause != nil && domain.CodeOf(cause) != domain.CodeInternal {
		return s.present(s.ctx, resolverError{cause})
	}
	return nil
}

// Write writes an event. Before the last event, it writes the reason for the end.
func (s *eventStream) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.over {
		return 0, errStreamOver
	}
	s.deadline(time.Now().Add(cutFactor * s.slowAfter))
	if bytes.HasPrefix(p, []byte("event: complete")) {
		if reason := s.reason(); reason != nil {
			text, err := json.Marshal(graphql.Response{Errors: gqlerror.List{reason}})
			if err == nil {
				fmt.Fprintf(s.ResponseWriter, "event: next\ndata: %s\n\n", text)
			}
		}
	}
	return s.timed(func() (int, error) { return s.ResponseWriter.Write(p) })
}

// Flush sends what was written.
func (s *eventStream) Flush() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.over {
		return
	}
	s.deadline(time.Now().Add(cutFactor * s.slowAfter))
	_, _ = s.timed(func() (int, error) { return 0, s.control.Flush() }) // the next write also fails
}

func (s *eventStream) timed(write func() (int, error)) (int, error) {
	start := time.Now()
	n, err := write()
	if time.Since(start) > s.slowAfter {
		s.end(errTooSlow)
	}
	return n, err
}

func (s *eventStream) deadline(t time.Time) {
	_ = s.control.SetWriteDeadline(t) // the server limits a writer that does not support it
}

// close stops further writes and lets the connection serve further requests.
func (s *eventStream) close() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.over = true
	s.deadline(time.Time{})
}
