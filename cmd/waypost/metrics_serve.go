package main

import (
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/ports/httpapi"
)

// serveMetrics serves /metrics with what else every port has: beside the rest, in
// shared, or on own if that is not nil.
func (p *platform) serveMetrics(ctx context.Context, e *exporter, rejected func() float64, outgoing *command.Hooks, shared *httpapi.Options, own net.Listener) error {
	handler, err := newMetricsHandler(e,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "waypost_webhooks_rejected_total", Help: "Webhooks with wrong signatures that came to this process.",
		}, rejected),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "waypost_disk_used_ratio", Help: "Share of the data folder's disk that is in use; 0 if it is not known.",
		}, func() float64 { return diskUsed(p.settings.DataDir) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "waypost_outgoing_webhooks_given_up", Help: "Outgoing webhooks that the platform disabled, since their receivers failed for too long.",
		}, func() float64 { return float64(len(outgoing.GivenUp())) }))
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
