// Package request carries what is known of the request that is being served: its
// id, which stands in every line that is logged for it, and what its one canonical
// line is to say of it at the end.
//
// Nothing personal belongs in it, and no secret.
package request

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// Request is one that is being served. The zero value has no id and keeps nothing.
type Request struct {
	ID string

	mu    sync.Mutex
	attrs []slog.Attr
}

// maxAttrs bounds what the canonical line is told.
const maxAttrs = 16

type key struct{}

// With is ctx with a request.
func With(ctx context.Context, r *Request) context.Context { return context.WithValue(ctx, key{}, r) }

// ID is the id of the request that ctx belongs to; empty if it belongs to none.
func ID(ctx context.Context) string {
	if r := of(ctx); r != nil {
		return r.ID
	}
	return ""
}

// Note has the request's canonical line say something of it. Outside of a request
// it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	r := of(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.attrs)+len(attrs) <= maxAttrs {
		r.attrs = append(r.attrs, attrs...)
	}
}

// Notes are what was noted of the request.
func (r *Request) Notes() []slog.Attr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attrs)
}

func of(ctx context.Context) *Request {
	r, _ := ctx.Value(key{}).(*Request)
	return r
}

// Handler adds the id of the request to what is logged for it.
type Handler struct{ slog.Handler }

// Handle adds the id, if ctx belongs to a request.
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	if id := ID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps adding the id.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps adding the id.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Handler.WithGroup(name)} }
