package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/waypost/waypost/app/request"
)

// requestIDHeader tells the caller the id under which the log has its request.
const requestIDHeader = "Waypost-Request-Id"

// observed gives every request an id and logs one line of it when it is over.
// What browsers and probes ask for all the time is logged at the level DEBUG, and
// so is what logs a line of its own.
func observed(next http.Handler, ids func() string, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		req := &request.Request{ID: ids()}
		ctx := request.With(r.Context(), req)
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
		}, req.Notes()...)
		logger.LogAttrs(context.WithoutCancel(ctx), level, "request", attrs...)
	})
}

// method is the request's, if it is one that HTTP knows: others are the caller's
// own words.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// answer counts what is answered. A connection that is taken over, as WebSockets
// do, is answered 101.
type answer struct {
	http.ResponseWriter

	status  int
	bytes   int64
	started bool
}

// Unwrap lets http.ResponseController find what the server's own writer can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush sends what was written.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// WriteHeader keeps the status.
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
