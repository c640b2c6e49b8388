package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/waypost/waypost/app/request"
)

// requestIDHeader is the response header with the ID under which the request is logged.
const requestIDHeader = "Waypost-Request-Id"

// observed assigns an ID to every request and logs one line when the request ends.
// Frequent requests of browsers and probes are logged at the level DEBUG, and so are
// requests whose handlers log a line of their own.
func observed(next http.Handler, ids func() string, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		req := &request.Request{ID: ids()}
		ctx := request.NewContext(r.Context(), req)
		w.Header().Set(requestIDHeader, req.ID)
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(ctx)
		next.ServeHTTP(answer, r)
		level := slog.LevelDebug
		switch {
		case answer.status >= http.StatusInternalServerError && r.Pattern != readyPattern && r.Pattern != webhookPattern:
			level = slog.LevelWarn
		case r.Pattern == graphqlPattern:
			level = slog.LevelInfo
		}
		if !logger.Enabled(ctx, level) {
			return
		}
		attrs := append([]slog.Attr{
			slog.String("method", method(r)), slog.String("route", r.Pattern), slog.Int("status", answer.status),
			slog.Int64("bytes", answer.bytes), slog.Duration("took", time.Since(start)),
		}, req.Attrs()...)
		logger.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
	})
}

// method returns the request's method if it is a standard one, and "other" otherwise,
// because a caller can send any text as the method.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// answer is a ResponseWriter that records the status and the size of the response. The
// status of a hijacked connection, such as a WebSocket, is 101.
type answer struct {
	http.ResponseWriter

	status  int
	bytes   int64
	started bool
}

// Unwrap returns the server's ResponseWriter, for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush sends buffered data to the client.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// WriteHeader records the status and sends the header.
func (a *answer) WriteHeader(status int) {
	if !a.started {
		a.status, a.started = status, status >= http.StatusOK
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.started = true
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}
