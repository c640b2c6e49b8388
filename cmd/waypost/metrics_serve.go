package main

import (
	"context"
	"fmt"
	"net"

	"github.com/waypost/waypost/ports/httpapi"
)

// serveMetrics serves /metrics with what else every port has: beside the rest, in
// shared, or on own if that is not nil.
func (p *platform) serveMetrics(ctx context.Context, e *exporter, shared *httpapi.Options, own net.Listener) error {
	handler, err := newMetricsHandler(e)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	if own == nil {
		shared.Metrics = handler
		return nil
	}
	p.serve(ctx, httpapi.New(httpapi.Options{
		Metrics: handler, ShutdownTimeout: p.settings.DrainTimeout, Logger: p.log, Ready: shared.Ready,
	}), own)
	return nil
}
