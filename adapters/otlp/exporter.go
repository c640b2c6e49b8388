package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/waypost/waypost/app/trace"
)

const (
	// queued limits the waiting spans: those of one second at 1,000 messages per
	// second, with about seven spans each.
	queued = 8192
	// batch is the number of spans sent at once, batchEvery how long a span can wait
	// for others.
	batch      = 512
	batchEvery = time.Second
	// exportTimeout limits a batch with its retries. Spans that are not accepted by
	// then are lost.
	exportTimeout = 10 * time.Second
	// defaultPath is the path where a collector accepts traces, for an endpoint without
	// a path.
	defaultPath = "/v1/traces"
)

// Options configure an Exporter.
type Options struct {
	// Endpoint is the collector's URL. If it has no path, OTLP's is used: /v1/traces.
	Endpoint string
	// Headers are sent with the spans, for example a vendor's key.
	Headers map[string]string
	// Ratio is the fraction of traces to record among those that begin here, from 0 to
	// 1. A trace that a caller began is recorded if the caller asks for it.
	Ratio float64
	// Version is the version of Waypost.
	Version string
	// Instance distinguishes this process from others.
	Instance string
	Logger   *slog.Logger
}

// Exporter records spans and sends them. It implements trace.Recorder.
type Exporter struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
}

// Check returns an error if the endpoint is invalid.
func Check(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("must be an http or https URL such as http://localhost:4318")
	}
	return nil
}

// Open returns an exporter. The collector need not be available yet.
func Open(ctx context.Context, o Options) (*Exporter, error) {
	if err := Check(o.Endpoint); err != nil {
		return nil, err
	}
	target, _ := url.Parse(o.Endpoint) // it was checked
	if target.Path == "" || target.Path == "/" {
		target.Path = defaultPath
	}
	sender, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(target.String()), otlptracehttp.WithHeaders(o.Headers),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: exportTimeout / 2, MaxElapsedTime: exportTimeout,
		}))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "waypost"), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", o.Instance),
		)),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithBatcher(&logged{SpanExporter: sender, logger: o.Logger},
			sdk.WithMaxQueueSize(queued), sdk.WithMaxExportBatchSize(batch), sdk.WithBatchTimeout(batchEvery), sdk.WithExportTimeout(exportTimeout)),
	)
	return &Exporter{provider: provider, tracer: provider.Tracer("github.com/waypost/waypost")}, nil
}

// Close sends the waiting spans, at most until ctx ends.
func (e *Exporter) Close(ctx context.Context) error {
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("traces: the last spans were not sent: %w", err)
	}
	return nil
}

// logged logs when sending spans begins to fail and when it works again, not each time.
type logged struct {
	sdk.SpanExporter

	logger *slog.Logger
	lost   atomic.Int64
}

// ExportSpans sends a batch.
func (l *logged) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := l.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err == nil:
		if n := l.lost.Swap(0); n > 0 {
			l.logger.InfoContext(ctx, "sending traces resumed", "lost", n)
		}
	case l.lost.Add(int64(len(spans))) == int64(len(spans)):
		l.logger.WarnContext(ctx, "failed to send traces; they are lost until the collector responds", "error", err)
	}
	return nil // the SDK would write it to its own log
}

// kinds maps to OpenTelemetry's kinds.
var kinds = [...]otel.SpanKind{
	trace.Server: otel.SpanKindServer, trace.Client: otel.SpanKindClient,
	trace.Producer: otel.SpanKindProducer, trace.Consumer: otel.SpanKindConsumer,
}

// Begin begins a span and returns a context that contains it.
func (e *Exporter) Begin(ctx context.Context, s trace.Start) (context.Context, trace.Recording) {
	around := otel.SpanContextFromContext(ctx)
	from := around
	if parent := parse(ctx, s.Parent); parent.IsValid() {
		from = parent
		if parent.SpanID() != around.SpanID() { // otherwise it is the span in ctx
			ctx = otel.ContextWithRemoteSpanContext(ctx, parent)
		}
	}
	options := make([]otel.SpanStartOption, 0, 3)
	options = append(options, otel.WithSpanKind(kinds[s.Kind]))
	link := around
	if s.Root {
		options, link = append(options, otel.WithNewRoot()), from
	}
	if link.IsValid() && (s.Root || link.TraceID() != from.TraceID()) {
		options = append(options, otel.WithLinks(otel.Link{SpanContext: link}))
	}
	ctx, span := e.tracer.Start(ctx, s.Name, options...) //nolint:spancheck // the caller ends it
	return ctx, recording{span}                          //nolint:spancheck // as above
}

// parse parses a traceparent.
func parse(ctx context.Context, traceparent string) otel.SpanContext {
	if traceparent == "" {
		return otel.SpanContext{}
	}
	outside := otel.ContextWithSpanContext(ctx, otel.SpanContext{})
	return otel.SpanContextFromContext(propagation.TraceContext{}.Extract(outside, carrier{traceparent: traceparent}))
}

// carrier passes a traceparent to and from the propagator.
type carrier struct{ traceparent string }

// Get returns the traceparent.
func (c carrier) Get(key string) string {
	if key == "traceparent" {
		return c.traceparent
	}
	return ""
}

// Set is not used for reading.
func (carrier) Set(string, string) {}

// Keys returns the available keys.
func (carrier) Keys() []string { return []string{"traceparent"} }

// recording is a span of the SDK.
type recording struct{ span otel.Span }

// Traceparent returns the traceparent of the span.
func (r recording) Traceparent() string {
	c := r.span.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// ContextWithSpan returns a copy of ctx that contains the span.
func (r recording) ContextWithSpan(ctx context.Context) context.Context {
	return otel.ContextWithSpan(ctx, r.span)
}

// SetString sets an attribute.
func (r recording) SetString(key, value string) { r.span.SetAttributes(attribute.String(key, value)) }

// SetInt sets an attribute.
func (r recording) SetInt(key string, value int) { r.span.SetAttributes(attribute.Int(key, value)) }

// SetError sets the status.
func (r recording) SetError(reason string) { r.span.SetStatus(codes.Error, reason) }

// End ends the span.
func (r recording) End() { r.span.End() }
