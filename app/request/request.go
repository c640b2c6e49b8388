// Package request carries the request that is being served: its ID, which is in every log
// record of the request, and the attributes of its one canonical log record.
//
// It must contain no personal data and no secrets.
package request

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// Request is a request that is being served. The zero value has no ID and no attributes.
type Request struct {
	ID string

	mu    sync.Mutex
	attrs []slog.Attr
}

// maxAttrs bounds the attributes of the canonical log record.
const maxAttrs = 16

type key struct{}

// NewContext returns a copy of ctx that carries r.
func NewContext(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, key{}, r)
}

// ID returns the ID of ctx's request, or "" if ctx has no request.
func ID(ctx context.Context) string {
	if r := fromContext(ctx); r != nil {
		return r.ID
	}
	return ""
}

type callerKey struct{}

// WithCaller returns a copy of ctx for work that a caller requested. All work with the same
// id shares one share of the stores' capacity. For example, a key and its access tokens
// have the same id.
func WithCaller(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, callerKey{}, id)
}

// Caller returns the caller of the work, or "" if it is Waypost's own.
func Caller(ctx context.Context) string {
	id, _ := ctx.Value(callerKey{}).(string)
	return id
}

// AddAttrs adds attributes to the canonical log record of ctx's request. Without a request,
// it does nothing.
func AddAttrs(ctx context.Context, attrs ...slog.Attr) {
	r := fromContext(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.attrs)+len(attrs) <= maxAttrs {
		r.attrs = append(r.attrs, attrs...)
	}
}

// Attrs returns the added attributes.
func (r *Request) Attrs() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attrs)
}

func fromContext(ctx context.Context) *Request {
	r, _ := ctx.Value(key{}).(*Request)
	return r
}

// Handler adds the request's ID to log records.
type Handler struct{ slog.Handler }

// Handle adds the ID if ctx has a request.
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	if id := ID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a Handler that also adds the ID.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup returns a Handler that also adds the ID.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Handler.WithGroup(name)} }
