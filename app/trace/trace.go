// Package trace follows a message from the request that queued it to the last status
// that WhatsApp reports: one trace a message, carried over the log by the traceparent in
// the metadata of its events.
//
// Its invariants: a nil *Tracer traces nothing, allocates nothing and asks no clock; what
// a span tells is never personal and never a secret.
package trace

import (
	"context"
	"strings"
)

// Kind is how a span stands to what caused it.
type Kind uint8

// The kinds of OpenTelemetry that occur here.
const (
	// Server answers a request.
	Server Kind = iota
	// Client makes one.
	Client
	// Producer hands something on that is taken up later.
	Producer
	// Consumer takes it up.
	Consumer
)

// Start says what a span is.
type Start struct {
	Kind Kind
	// Name says what is done, never to what.
	Name string
	// Parent is the traceparent of the span that this one goes on. Without it the span is
	// inside of the context's.
	Parent string
	// Root begins a trace of its own instead, linked to that span.
	Root bool
}

// Recorder is where spans go.
type Recorder interface {
	// Begin begins a span and answers the context that is inside of it.
	Begin(ctx context.Context, s Start) (context.Context, Recording)
}

// Recording is a span under way.
type Recording interface {
	// Traceparent names it as W3C Trace Context does.
	Traceparent() string
	// In is ctx inside of it.
	In(ctx context.Context) context.Context
	Text(key, value string)
	Number(key string, value int)
	// Fail says in a few words of the program's own that it failed.
	Fail(reason string)
	End()
}

// Tracer begins spans. A nil one traces nothing.
type Tracer struct{ to Recorder }

// New makes a tracer; nil for no recorder.
func New(to Recorder) *Tracer {
	if to == nil {
		return nil
	}
	return &Tracer{to}
}

// Begin begins a span and answers the context that is inside of it.
func (t *Tracer) Begin(ctx context.Context, s Start) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, r := t.to.Begin(ctx, s)
	return ctx, Span{r}
}

// Span is what a tracer began. The zero value is of one that traces nothing.
type Span struct{ recording Recording }

// On reports whether anything is traced.
func (s Span) On() bool { return s.recording != nil }

// Traceparent names the span for whoever goes on with its trace; empty if nothing is
// traced.
func (s Span) Traceparent() string {
	if s.recording == nil {
		return ""
	}
	return s.recording.Traceparent()
}

// In is ctx inside of the span.
func (s Span) In(ctx context.Context) context.Context {
	if s.recording == nil {
		return ctx
	}
	return s.recording.In(ctx)
}

// Text tells something of it.
func (s Span) Text(key, value string) {
	if s.recording != nil && value != "" {
		s.recording.Text(key, value)
	}
}

// Number tells something of it.
func (s Span) Number(key string, value int) {
	if s.recording != nil {
		s.recording.Number(key, value)
	}
}

// Fail says in a few words of the program's own that it failed.
func (s Span) Fail(reason string) {
	if s.recording != nil {
		s.recording.Fail(reason)
	}
}

// End ends it.
func (s Span) End() {
	if s.recording != nil {
		s.recording.End()
	}
}

// The form of a traceparent: version, trace, span and flags, in lower-case hexadecimal.
const (
	parentLength          = 55
	traceFrom, traceTo    = 3, 35
	spanFrom, spanTo      = 36, 52
	flagsFrom             = 53
	lowerHex              = "0123456789abcdef"
	noVersion, noID, dash = "ff", "0", '-'
)

// Parent is a caller's traceparent if it is one that may be kept, else empty: it stands
// in the metadata of events, so nothing else may hide in it.
func Parent(header string) string {
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
