// Package trace follows a message from the request that queued it to the last status from
// WhatsApp. Each message has one trace. The traceparent in the metadata of its events
// carries the trace across the event log.
//
// A nil *Tracer traces nothing, allocates nothing, and reads no clock. Spans contain no
// personal data and no secrets.
package trace

import (
	"context"
	"strings"
)

// Kind is the relation of a span to what caused it.
type Kind uint8

// The kinds of OpenTelemetry that Waypost uses.
const (
	// Server handles a request.
	Server Kind = iota
	// Client sends a request.
	Client
	// Producer creates work that a Consumer handles later.
	Producer
	// Consumer handles the work of a Producer.
	Consumer
)

// Start describes a span.
type Start struct {
	Kind Kind
	// Name is what is done, without the object.
	Name string
	// Parent is the traceparent of the span's parent. If empty, the parent is the context's
	// span.
	Parent string
	// Root starts a new trace instead, linked to that span.
	Root bool
}

// Recorder records spans.
type Recorder interface {
	// Begin starts a span and returns a context that carries it.
	Begin(ctx context.Context, s Start) (context.Context, Recording)
}

// Recording is a span in progress.
type Recording interface {
	// Traceparent returns the span's traceparent as W3C Trace Context defines it.
	Traceparent() string
	// ContextWithSpan returns a copy of ctx that carries the span.
	ContextWithSpan(ctx context.Context) context.Context
	SetString(key, value string)
	SetInt(key string, value int)
	// SetError marks the span as failed, for a reason in Waypost's own words.
	SetError(reason string)
	End()
}

// Tracer starts spans. A nil Tracer traces nothing.
type Tracer struct{ to Recorder }

// New returns a tracer, or nil if to is nil.
func New(to Recorder) *Tracer {
	if to == nil {
		return nil
	}
	return &Tracer{to}
}

// Begin starts a span and returns a context that carries it.
func (t *Tracer) Begin(ctx context.Context, s Start) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, r := t.to.Begin(ctx, s)
	return ctx, Span{r}
}

// Span is a span that a tracer started. The zero value traces nothing.
type Span struct{ recording Recording }

// IsRecording reports whether the span is traced.
func (s Span) IsRecording() bool { return s.recording != nil }

// Traceparent returns the span's traceparent for what continues its trace. It is empty if
// nothing is traced.
func (s Span) Traceparent() string {
	if s.recording == nil {
		return ""
	}
	return s.recording.Traceparent()
}

// ContextWithSpan returns a copy of ctx that carries the span.
func (s Span) ContextWithSpan(ctx context.Context) context.Context {
	if s.recording == nil {
		return ctx
	}
	return s.recording.ContextWithSpan(ctx)
}

// SetString sets an attribute.
func (s Span) SetString(key, value string) {
	if s.recording != nil && value != "" {
		s.recording.SetString(key, value)
	}
}

// SetInt sets an attribute.
func (s Span) SetInt(key string, value int) {
	if s.recording != nil {
		s.recording.SetInt(key, value)
	}
}

// SetError marks the span as failed, for a reason in Waypost's own words.
func (s Span) SetError(reason string) {
	if s.recording != nil {
		s.recording.SetError(reason)
	}
}

// End ends the span.
func (s Span) End() {
	if s.recording != nil {
		s.recording.End()
	}
}

// The form of a traceparent: version, trace, span, and flags, in lowercase hexadecimal.
const (
	parentLength          = 55
	traceFrom, traceTo    = 3, 35
	spanFrom, spanTo      = 36, 52
	flagsFrom             = 53
	lowerHex              = "0123456789abcdef"
	noVersion, noID, dash = "ff", "0", '-'
)

// ParseTraceparent returns a caller's traceparent if it is well-formed, and otherwise "".
// It is recorded in the metadata of events, so nothing else must be hidden in it.
func ParseTraceparent(header string) string {
	if len(header) != parentLength || header[traceFrom-1] != dash || header[traceTo] != dash || header[spanTo] != dash {
		return ""
	}
	trace, span := header[traceFrom:traceTo], header[spanFrom:spanTo]
	for _, part := range [...]string{header[:traceFrom-1], trace, span, header[flagsFrom:]} {
		if strings.Trim(part, lowerHex) != "" {
			return ""
		}
	}
	if header[:traceFrom-1] == noVersion || strings.Trim(trace, noID) == "" || strings.Trim(span, noID) == "" {
		return ""
	}
	return header
}
