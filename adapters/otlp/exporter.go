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
	// queued bounds the spans that wait: those of a second at 1,000 messages a second, of
	// some seven spans each.
	queued = 8192
	// batch is how many leave at once, batchEvery how long one may wait for others.
	batch      = 512
	batchEvery = time.Second
	// exportTimeout bounds a batch with its retries; what is not taken by then is lost.
	exportTimeout = 10 * time.Second
	// defaultPath is where a collector takes traces, for an endpoint without a path.
	defaultPath = "/v1/traces"
)

// Options say where spans go.
type Options struct {
	// Endpoint is the collector's URL. Without a path it is that of OTLP: /v1/traces.
	Endpoint string
	// Headers are sent along, such as a vendor's key.
	Headers map[string]string
	// Ratio is which part of the traces that begin here are recorded, from 0 to 1. Traces
	// that a caller began are recorded if the caller says so.
	Ratio float64
	// Version is that of the program.
	Version string
	// Instance tells this process from others.
	Instance string
	Logger   *slog.Logger
}

// Exporter records spans and sends them. It is a trace.Recorder.
type Exporter struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
}

// Check says whether the endpoint can be one.
func Check(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("it is no http or https URL; give one like http://localhost:4318")
	}
	return nil
}

// Open makes an exporter. The collector need not be there yet.
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

// Close sends what waits, at most until ctx ends.
func (e *Exporter) Close(ctx context.Context) error {
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("traces: the last spans were not sent: %w", err)
	}
	return nil
}

// logged logs when spans stop to leave and when they leave again, not each time.
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
			l.logger.InfoContext(ctx, "traces leave again", "lost", n)
		}
	case l.lost.Add(int64(len(spans))) == int64(len(spans)):
		l.logger.WarnContext(ctx, "traces cannot leave; they are lost until the collector answers", "error", err)
	}
	return nil // the SDK would write it to its own log
}

// kinds are OpenTelemetry's.
var kinds = [...]otel.SpanKind{
	trace.Server: otel.SpanKindServer, trace.Client: otel.SpanKindClient,
	trace.Producer: otel.SpanKindProducer, trace.Consumer: otel.SpanKindConsumer,
}

// Begin begins a span and answers the context that is inside of it.
func (e *Exporter) Begin(ctx context.Context, s trace.Start) (context.Context, trace.Recording) {
	around := otel.SpanContextFromContext(ctx)
	from := around
	if parent := parse(ctx, s.Parent); parent.IsValid() {
		from = parent
		if parent.SpanID() != around.SpanID() { // else it is the span that ctx is inside of
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

// parse reads a traceparent.
func parse(ctx context.Context, traceparent string) otel.SpanContext {
	if traceparent == "" {
		return otel.SpanContext{}
	}
	outside := otel.ContextWithSpanContext(ctx, otel.SpanContext{})
	return otel.SpanContextFromContext(propagation.TraceContext{}.Extract(outside, carrier{traceparent: traceparent}))
}

// carrier carries a traceparent to and from its form.
type carrier struct{ traceparent string }

// Get answers it.
func (c carrier) Get(key string) string {
	if key == "traceparent" {
		return c.traceparent
	}
	return ""
}

// Set is not used for reading.
func (carrier) Set(string, string) {}

// Keys are those that there are.
func (carrier) Keys() []string { return []string{"traceparent"} }

// recording is a span of the SDK.
type recording struct{ span otel.Span }

// Traceparent names it.
func (r recording) Traceparent() string {
	c := r.span.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// In is ctx inside of it.
func (r recording) In(ctx context.Context) context.Context {
	return otel.ContextWithSpan(ctx, r.span)
}

// Text sets an attribute.
func (r recording) Text(key, value string) { r.span.SetAttributes(attribute.String(key, value)) }

// Number sets an attribute.
func (r recording) Number(key string, value int) { r.span.SetAttributes(attribute.Int(key, value)) }

// Fail sets the status.
func (r recording) Fail(reason string) { r.span.SetStatus(codes.Error, reason) }

// End ends it.
func (r recording) End() { r.span.End() }
