package main

import (
	"context"
	"fmt"
	"net"

	"github.com/waypost/waypost/ports/httpapi"
)

// serveMetrics serves /metrics with what else every port has: beside the rest, in
// shared, or on a port of its own if one is set.
func (p *platform) serveMetrics(ctx context.Context, e *exporter, shared *httpapi.Options) error {
	handler, err := newMetricsHandler(e)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	if p.settings.MetricsAddr == "" {
		shared.Metrics = handler
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.settings.MetricsAddr)
	if err != nil {
		return fmt.Errorf("--metrics-addr: %w; end what listens there or choose another address", err)
	}
	p.serve(ctx, httpapi.New(httpapi.Options{
		Metrics: handler, ShutdownTimeout: p.settings.DrainTimeout, Logger: p.log, Ready: shared.Ready,
	}), l)
	return nil
}
