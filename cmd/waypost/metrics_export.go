package main

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
)

const (
	// exportTimeout bounds what a scrape reads; Prometheus itself gives up after 10 s.
	exportTimeout = 5 * time.Second
	// scrapesAtOnce bounds the scrapes that are answered side by side.
	scrapesAtOnce = 4
)

// latencyBounds are the upper bounds of the exported histogram, in seconds.
var latencyBounds = []float64{0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 819.2, 3276.8}

// total is a counter since the beginning of the log, by sender.
type total struct {
	desc  *prometheus.Desc
	value func(query.Metrics) float64
}

func newTotal(name, help string, value func(query.Metrics) float64) total {
	return total{prometheus.NewDesc("waypost_"+name, help, []string{"sender"}, nil), value}
}

func totals() []total {
	count := func(n func(query.Metrics) int64) func(query.Metrics) float64 {
		return func(m query.Metrics) float64 { return float64(n(m)) }
	}
	return []total{
		newTotal("messages_queued_total", "Messages accepted here.", count(func(m query.Metrics) int64 { return m.Queued })),
		newTotal("messages_sent_total", "Messages accepted by WhatsApp for the first time.", count(func(m query.Metrics) int64 { return m.Sent })),
		newTotal("messages_delivered_total", "Messages delivered, a read without a delivered among them.", count(func(m query.Metrics) int64 { return m.Delivered })),
		newTotal("messages_read_total", "Messages read.", count(func(m query.Metrics) int64 { return m.Read })),
		newTotal("messages_failed_total", "Messages that failed for good.", count(func(m query.Metrics) int64 { return m.Failed })),
		newTotal("messages_dead_lettered_total", "Messages that became dead letters.", count(func(m query.Metrics) int64 { return m.DeadLettered })),
		newTotal("messages_expired_total", "Messages that expired before they were sent.", count(func(m query.Metrics) int64 { return m.Expired })),
		newTotal("messages_sent_twice_total", "Messages sent again although the first call had been accepted.", count(func(m query.Metrics) int64 { return m.SentTwice })),
		newTotal("message_faults_total", "Final failures and dead letters without policy caps: F of the error rate.", count(func(m query.Metrics) int64 { return m.Faults })),
		newTotal("retries_total", "Retries that were scheduled.", count(func(m query.Metrics) int64 { return m.Retried })),
		newTotal("throttled_calls_total", "Calls that WhatsApp refused as too many.", count(func(m query.Metrics) int64 { return m.Throttled })),
		newTotal("lost_answers_total", "Calls whose answer was lost.", count(func(m query.Metrics) int64 { return m.Ambiguous })),
		newTotal("settled_answers_total", "Lost answers that a status settled.", count(func(m query.Metrics) int64 { return m.Settled })),
		newTotal("calls_total", "Calls whose outcome was recorded.", count(func(m query.Metrics) int64 { return m.Calls })),
		newTotal("statuses_total", "Statuses recorded.", count(func(m query.Metrics) int64 { return m.Statuses })),
		newTotal("drained_total", "Messages that ended waiting in a queue.", count(func(m query.Metrics) int64 { return m.Drained })),
		newTotal("webhook_lag_seconds_total", "Sum over the statuses, from their time to their recording.", func(m query.Metrics) float64 { return m.LagSum.Seconds() }),
	}
}

// exporter answers the figures of the whole installation, whichever process is asked:
// they come from the read model. Counters go on over restarts.
type exporter struct {
	ctx        context.Context //nolint:containedctx // a collector is given none
	model      *postgres.ReadModel
	lag        *process.MeasureLag
	categoryOf func(int) (message.Category, bool)
	now        command.Clock
	log        *slog.Logger

	totals                                                []total
	failures, latency, depth, scheduled, oldest           *prometheus.Desc
	rate, senderState, messages, up, behind, parked, even *prometheus.Desc
}

func newExporter(
	ctx context.Context, model *postgres.ReadModel, lag *process.MeasureLag, categoryOf func(int) (message.Category, bool),
	now command.Clock, log *slog.Logger,
) *exporter {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("waypost_"+name, help, labels, nil)
	}
	return &exporter{
		ctx: ctx, model: model, lag: lag, categoryOf: categoryOf, now: now, log: log, totals: totals(),
		failures:    desc("failures_total", "Failed calls and failed statuses.", "sender", "class", "category", "code"),
		latency:     desc("delivery_latency_seconds", "From the call to the delivery.", "sender"),
		depth:       desc("queue_depth", "Due and not yet accepted.", "sender", "priority"),
		scheduled:   desc("queue_scheduled", "Waiting for their sendAt.", "sender"),
		oldest:      desc("queue_oldest_due_age_seconds", "Age of the oldest message that is due and not accepted; 0 if nothing is.", "sender"),
		rate:        desc("lane_effective_rate", "Calls a second that a lane may make now; 0 while no process sends for it.", "sender"),
		senderState: desc("sender_state", "1 for the state that a sender is in: ACTIVE, PAUSED or HELD.", "sender", "state"),
		messages:    desc("messages", "Messages by status.", "status"),
		up:          desc("read_model_up", "1 if the read model answered this scrape; the other figures are missing otherwise."),
		behind:      desc("read_model_behind_seconds", "Age of the oldest event that the read models lack."),
		parked:      desc("read_model_parked", "Streams left out since an event could not be projected."),
		even:        desc("ledger_balanced", "1 if every accepted message is in one column and has a work item exactly while it is open."),
	}
}

// Describe lists what is exported.
func (e *exporter) Describe(out chan<- *prometheus.Desc) {
	for _, t := range e.totals {
		out <- t.desc
	}
	for _, d := range []*prometheus.Desc{
		e.failures, e.latency, e.depth, e.scheduled, e.oldest, e.rate, e.senderState, e.messages, e.up, e.behind, e.parked, e.even,
	} {
		out <- d
	}
}

// Collect reads and answers the figures.
func (e *exporter) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(e.ctx, exportTimeout)
	defer cancel()
	up := 1.0
	for _, part := range []func(context.Context, chan<- prometheus.Metric) error{
		e.collectTotals, e.collectSenders, e.collectMessages, e.collectReadModel,
	} {
		if err := part(ctx, out); err != nil {
			up = 0
			e.log.WarnContext(ctx, "a scrape lacks figures of the read model", "error", err)
			break
		}
	}
	out <- prometheus.MustNewConstMetric(e.up, prometheus.GaugeValue, up)
}

func (e *exporter) collectTotals(ctx context.Context, out chan<- prometheus.Metric) error {
	bySender, err := e.model.MetricTotals(ctx, e.now())
	if err != nil {
		return err
	}
	for id, m := range bySender {
		for _, t := range e.totals {
			out <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, t.value(m), id)
		}
		buckets := make(map[float64]uint64, len(latencyBounds))
		for _, bound := range latencyBounds {
			buckets[bound] = uint64(m.Latencies.Below(time.Duration(bound * float64(time.Second))))
		}
		out <- prometheus.MustNewConstHistogram(e.latency, uint64(m.Delivered), m.LatencySum.Seconds(), buckets, id)
		e.collectFailures(id, m.Failures, out)
	}
	return nil
}

// collectFailures completes the categories that only codes tell.
func (e *exporter) collectFailures(id string, failures []query.FailureCount, out chan<- prometheus.Metric) {
	type labels struct{ class, category, code string }
	sums := make(map[labels]int64)
	for _, f := range failures {
		l := labels{class: string(f.Class), category: string(f.Category)}
		if f.Code != nil {
			l.code = strconv.Itoa(*f.Code)
			if c, known := e.categoryOf(*f.Code); f.Category == "" && known {
				l.category = string(c)
			}
		}
		sums[l] += f.Count
	}
	for l, n := range sums {
		out <- prometheus.MustNewConstMetric(e.failures, prometheus.CounterValue, float64(n), id, l.class, l.category, l.code)
	}
}

func (e *exporter) collectSenders(ctx context.Context, out chan<- prometheus.Metric) error {
	senders, err := e.model.Senders(ctx, e.now())
	if err != nil {
		return err
	}
	lanes, err := e.model.Lanes(ctx)
	if err != nil {
		return err
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range senders {
		for _, l := range s.Queue.Lanes {
			gauge(e.depth, float64(l.Depth), s.ID, string(l.Priority))
		}
		var oldest time.Duration
		if s.Queue.OldestDueAge != nil {
			oldest = *s.Queue.OldestDueAge
		}
		gauge(e.oldest, oldest.Seconds(), s.ID)
		gauge(e.scheduled, float64(s.Queue.Scheduled), s.ID)
		gauge(e.rate, lanes[s.ID].EffectiveRate, s.ID)
		gauge(e.senderState, 1, s.ID, string(s.State()))
	}
	return nil
}

func (e *exporter) collectMessages(ctx context.Context, out chan<- prometheus.Metric) error {
	counts, err := e.model.MessageCounts(ctx, query.MessageFilter{})
	if err != nil {
		return err
	}
	for _, c := range counts {
		out <- prometheus.MustNewConstMetric(e.messages, prometheus.GaugeValue, float64(c.Count), string(c.Status))
	}
	return nil
}

func (e *exporter) collectReadModel(ctx context.Context, out chan<- prometheus.Metric) error {
	m, err := e.lag.ReadModel(ctx, e.now())
	if err != nil {
		return err
	}
	balanced, _, err := e.model.BalanceNow(ctx)
	if err != nil {
		return err
	}
	even := 0.0
	if balanced {
		even = 1
	}
	out <- prometheus.MustNewConstMetric(e.behind, prometheus.GaugeValue, m.Behind.Seconds())
	out <- prometheus.MustNewConstMetric(e.parked, prometheus.GaugeValue, float64(m.Parked))
	out <- prometheus.MustNewConstMetric(e.even, prometheus.GaugeValue, even)
	return nil
}

// newMetricsHandler serves the exporter's figures and those of the process.
func newMetricsHandler(e *exporter, more ...prometheus.Collector) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range append([]prometheus.Collector{
		e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, more...) {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesAtOnce, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
	}), nil
}
