package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/otlp"
	"github.com/waypost/waypost/app/trace"
)

// lastSpans bounds the sending of what waits at the end.
const lastSpans = 3 * time.Second

// traceSettings are those of serve for OpenTelemetry traces.
type traceSettings struct {
	OTLPEndpoint string  `name:"otlp-endpoint" help:"Where OpenTelemetry traces go over OTLP/HTTP, such as http://localhost:4318. None if empty." env:"WAYPOST_OTLP_ENDPOINT"`
	OTLPHeaders  string  `name:"otlp-headers" help:"What is sent along with them, such as authorization=Bearer KEY, comma-separated." env:"WAYPOST_OTLP_HEADERS"`
	OTLPRatio    float64 `name:"otlp-ratio" help:"Which part of the messages is traced, from 0 to 1. A caller's traceparent says it for its own." default:"1" env:"WAYPOST_OTLP_RATIO"`
}

// check says which of the settings cannot be.
func (s *traceSettings) check() error {
	if s.OTLPRatio < 0 || s.OTLPRatio > 1 {
		return fmt.Errorf("--otlp-ratio: %v is not between 0 and 1", s.OTLPRatio)
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

// headers are those of WAYPOST_OTLP_HEADERS, in OpenTelemetry's form.
func (s *traceSettings) headers() (map[string]string, error) {
	given, err := newSecret("WAYPOST_OTLP_HEADERS", s.OTLPHeaders)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, part := range given.list() {
		name, value, ok := strings.Cut(part, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("--otlp-headers: one of them is not NAME=VALUE")
		}
		all[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return all, nil
}

// startTraces has spans leave, if the setting says where; a tracer that is nil otherwise.
// What waits at the end is sent by stopTraces.
func (p *platform) startTraces(ctx context.Context) (*trace.Tracer, error) {
	s := p.settings
	if s.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // a nil tracer traces nothing
	}
	headers, err := s.headers()
	if err != nil {
		return nil, err
	}
	p.traces, err = otlp.Open(ctx, otlp.Options{
		Endpoint: s.OTLPEndpoint, Headers: headers, Ratio: s.OTLPRatio, Version: version, Instance: newID().String(), Logger: p.log,
	})
	if err != nil {
		return nil, err
	}
	p.log.InfoContext(ctx, "traces", slog.Float64("ratio", s.OTLPRatio))
	return trace.New(p.traces), nil
}

// stopTraces sends the spans that wait. A collector that is away is no fault of the
// program's end.
func (p *platform) stopTraces() {
	if p.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.log.WarnContext(ctx, "the last spans were not sent", "error", err)
	}
}
