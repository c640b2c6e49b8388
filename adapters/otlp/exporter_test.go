package otlp_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost/adapters/otlp"
	"github.com/waypost/waypost/app/trace"
)

const (
	sampled   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
)

// receiver is a collector over HTTP.
type receiver struct {
	*httptest.Server

	mu      sync.Mutex
	spans   []*traces.Span
	headers http.Header
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v1/traces" {
			http.NotFound(w, req)
			return
		}
		unzipped, err := gzip.NewReader(req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(unzipped)
		var got collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		if err != nil {
			t.Error(err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers = req.Header
		for _, rs := range got.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				r.spans = append(r.spans, ss.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func open(t *testing.T, endpoint string, ratio float64) *otlp.Exporter {
	t.Helper()
	e, err := otlp.Open(t.Context(), otlp.Options{
		Endpoint: endpoint, Ratio: ratio, Headers: map[string]string{"X-Key": "k"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shut(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

func named(r *receiver) map[string]*traces.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]*traces.Span, len(r.spans))
	for _, s := range r.spans {
		all[s.GetName()] = s
	}
	return all
}

func TestSpansGoOnWithTheirTraces(t *testing.T) {
	t.Parallel()
	r := receive(t)
	e := open(t, r.URL, 1)
	tracer := trace.New(e)
	ctx, request := tracer.Begin(t.Context(), trace.Start{Kind: trace.Server, Name: "request", Parent: sampled})
	_, one := tracer.Begin(ctx, trace.Start{Kind: trace.Producer, Name: "one", Parent: request.Traceparent()})
	_, many := tracer.Begin(ctx, trace.Start{Kind: trace.Producer, Name: "one of many", Parent: request.Traceparent(), Root: true})
	_, later := tracer.Begin(ctx, trace.Start{Kind: trace.Consumer, Name: "later", Parent: many.Traceparent()})
	later.SetInt("n", 3)
	later.SetError("lost")
	for _, s := range []trace.Span{later, many, one, request} {
		s.End()
	}
	shut(t, e)
	spans := named(r)
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	id := hex.EncodeToString
	req := spans["request"]
	if id(req.GetTraceId()) != sampled[3:35] || id(req.GetParentSpanId()) != sampled[36:52] || req.GetKind() != traces.Span_SPAN_KIND_SERVER {
		t.Errorf("the request: %v", req)
	}
	if s := spans["one"]; id(s.GetTraceId()) != sampled[3:35] || id(s.GetParentSpanId()) != id(req.GetSpanId()) || len(s.GetLinks()) != 0 {
		t.Errorf("inside of the request: %v", s)
	}
	own := spans["one of many"]
	if id(own.GetTraceId()) == sampled[3:35] || len(own.GetParentSpanId()) != 0 || len(own.GetLinks()) != 1 ||
		id(own.GetLinks()[0].GetSpanId()) != id(req.GetSpanId()) {
		t.Errorf("a trace of its own: %v", own)
	}
	s := spans["later"]
	if id(s.GetTraceId()) != id(own.GetTraceId()) || id(s.GetParentSpanId()) != id(own.GetSpanId()) ||
		len(s.GetLinks()) != 1 || id(s.GetLinks()[0].GetSpanId()) != id(req.GetSpanId()) {
		t.Errorf("in another trace, linked to where it was found: %v", s)
	}
	if s.GetStatus().GetCode() != traces.Status_STATUS_CODE_ERROR || s.GetAttributes()[0].GetValue().GetIntValue() != 3 {
		t.Errorf("its attributes: %v", s)
	}
	if r.headers.Get("X-Key") != "k" {
		t.Errorf("headers %v", r.headers)
	}
}

func TestWhetherItIsRecordedIsDecidedAtTheBeginning(t *testing.T) {
	t.Parallel()
	r := receive(t)
	e := open(t, r.URL, 0)
	tracer := trace.New(e)
	_, own := tracer.Begin(t.Context(), trace.Start{Name: "own"})
	_, wanted := tracer.Begin(t.Context(), trace.Start{Name: "wanted", Parent: sampled})
	_, unwanted := tracer.Begin(t.Context(), trace.Start{Name: "unwanted", Parent: unsampled})
	if trace.ParseTraceparent(own.Traceparent()) == "" || !strings.HasSuffix(own.Traceparent(), "-00") {
		t.Errorf("propagated %q; want a traceparent that reports it", own.Traceparent())
	}
	for _, s := range []trace.Span{own, wanted, unwanted} {
		s.End()
	}
	shut(t, e)
	if spans := named(r); len(spans) != 1 || spans["wanted"] == nil {
		t.Errorf("recorded: %v; want the one whose caller asked for it", spans)
	}
}

// A collector that hangs delays nothing: spans that find the queue full are dropped.
func TestACollectorThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer server.Close()
	defer close(hung)
	e := open(t, server.URL, 1)
	tracer := trace.New(e)
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		for range 30_000 {
			_, s := tracer.Begin(context.Background(), trace.Start{Name: "span"})
			s.End()
		}
	}()
	select {
	case <-begun:
	case <-time.After(time.Minute):
		t.Fatal("spans wait for the collector")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("it reports that everything was sent")
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for endpoint, good := range map[string]bool{
		"http://localhost:4318": true, "https://api.example.com/otlp/v1/traces": true, "localhost:4318": false, "grpc://localhost:4317": false, "": false,
	} {
		if err := otlp.Check(endpoint); (err == nil) != good {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// BenchmarkOn measures the cost of a recorded span.
func BenchmarkOn(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	e, err := otlp.Open(b.Context(), otlp.Options{Endpoint: server.URL, Ratio: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	tracer := trace.New(e)
	b.ReportAllocs()
	for b.Loop() {
		_, s := tracer.Begin(b.Context(), trace.Start{Kind: trace.Consumer, Name: "send message", Parent: sampled})
		s.SetString("waypost.message.id", "0193")
		s.SetInt("waypost.call", 1)
		_ = s.Traceparent()
		s.End()
	}
	b.StopTimer()
	_ = e.Close(b.Context())
}
