package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/otlp"
	"github.com/waypost/waypost/app/trace"
)

// lastSpansTimeout bounds sending the spans that wait when the process ends.
const lastSpansTimeout = 3 * time.Second

// traceSettings are the settings of serve for OpenTelemetry traces.
type traceSettings struct {
	OTLPEndpoint string  `name:"otlp-endpoint" help:"OTLP/HTTP endpoint for traces, for example http://localhost:4318. If empty, tracing is off." env:"WAYPOST_OTLP_ENDPOINT"`
	OTLPHeaders  string  `name:"otlp-headers" secret:"" help:"Headers sent with traces, comma-separated, for example authorization=Bearer KEY." env:"WAYPOST_OTLP_HEADERS"`
	OTLPRatio    float64 `name:"otlp-ratio" help:"Fraction of messages to trace, 0 to 1. A caller's traceparent overrides it for the caller's messages." default:"1" env:"WAYPOST_OTLP_RATIO"`
}

// check returns an error if a setting is invalid.
func (s *traceSettings) check() error {
	if s.OTLPRatio < 0 || s.OTLPRatio > 1 {
		return fmt.Errorf("--otlp-ratio: must be between 0 and 1, got %v", s.OTLPRatio)
	}
	if s.OTLPEndpoint == "" {
		return nil
	}
	if err := otlp.Check(s.OTLPEndpoint); err != nil {
		return fmt.Errorf("--otlp-endpoint: %w", err)
	}
	_, err := s.headers()
	return err
}

// headers parses WAYPOST_OTLP_HEADERS, which has OpenTelemetry's format.
func (s *traceSettings) headers() (map[string]string, error) {
	given, err := NewSecret("WAYPOST_OTLP_HEADERS", s.OTLPHeaders)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, part := range given.List() {
		name, value, ok := strings.Cut(part, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, errors.New("--otlp-headers: each must be NAME=VALUE")
		}
		all[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return all, nil
}

// startTraces returns a tracer that exports spans, or nil if tracing is off. stopTraces sends the spans that still wait.
func (p *Platform) startTraces(ctx context.Context) (*trace.Tracer, error) {
	s := p.settings
	if s.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // a nil tracer traces nothing
	}
	headers, err := s.headers()
	if err != nil {
		return nil, err
	}
	p.traces, err = otlp.Open(ctx, otlp.Options{
		Endpoint: s.OTLPEndpoint, Headers: headers, Ratio: s.OTLPRatio, Version: p.version, Instance: NewID().String(), Logger: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.log.InfoContext(ctx, "traces", slog.Float64("ratio", s.OTLPRatio))
	return trace.New(p.traces), nil
}

// stopTraces sends the spans that wait. If the collector is unavailable, the process ends normally all the same.
func (p *Platform) stopTraces() {
	if p.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastSpansTimeout)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.log.WarnContext(ctx, "failed to send the last spans", "error", err)
	}
}
