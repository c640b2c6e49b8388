// Package prometheus exports the metrics of the installation and of this process to Prometheus.
package prometheus

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// exportTimeout limits the reads of a scrape. Prometheus itself stops waiting after 10 s.
	exportTimeout = 5 * time.Second
	// scrapesAtOnce is the maximum number of concurrent scrapes.
	scrapesAtOnce = 4
)

// latencyBounds are the upper bounds of the exported histogram, in seconds.
var latencyBounds = []float64{0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 819.2, 3276.8}

// A total is a counter by sender that starts at the beginning of the event log.
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
		newTotal("messages_queued_total", "Messages accepted by Waypost.", count(func(m query.Metrics) int64 { return m.Queued })),
		newTotal("messages_sent_total", "Messages accepted by WhatsApp for the first time.", count(func(m query.Metrics) int64 { return m.Sent })),
		newTotal("messages_delivered_total", "Messages delivered, including those that were read without a delivery status.", count(func(m query.Metrics) int64 { return m.Delivered })),
		newTotal("messages_read_total", "Messages read.", count(func(m query.Metrics) int64 { return m.Read })),
		newTotal("messages_failed_total", "Messages that failed permanently.", count(func(m query.Metrics) int64 { return m.Failed })),
		newTotal("messages_dead_lettered_total", "Messages that became dead letters.", count(func(m query.Metrics) int64 { return m.DeadLettered })),
		newTotal("messages_expired_total", "Messages that expired before they were sent.", count(func(m query.Metrics) int64 { return m.Expired })),
		newTotal("messages_overdue_total", "Messages whose delivery became overdue.", count(func(m query.Metrics) int64 { return m.Overdue })),
		newTotal("messages_suppressed_total", "Marketing messages not sent because the recipient opted out.", count(func(m query.Metrics) int64 { return m.Suppressed })),
		newTotal("messages_sent_twice_total", "Messages sent again although WhatsApp had accepted the first call.", count(func(m query.Metrics) int64 { return m.SentTwice })),
		newTotal("message_faults_total", "Final failures and dead letters without policy caps: F of the error rate.", count(func(m query.Metrics) int64 { return m.Faults })),
		newTotal("retries_total", "Retries that were scheduled.", count(func(m query.Metrics) int64 { return m.Retried })),
		newTotal("throttled_calls_total", "Calls that WhatsApp throttled.", count(func(m query.Metrics) int64 { return m.Throttled })),
		newTotal("lost_answers_total", "Calls whose response was lost.", count(func(m query.Metrics) int64 { return m.Ambiguous })),
		newTotal("settled_answers_total", "Lost responses that a status settled.", count(func(m query.Metrics) int64 { return m.Settled })),
		newTotal("calls_total", "Calls whose outcome was recorded.", count(func(m query.Metrics) int64 { return m.Calls })),
		newTotal("statuses_total", "Statuses recorded.", count(func(m query.Metrics) int64 { return m.Statuses })),
		newTotal("drained_total", "Messages that left a queue.", count(func(m query.Metrics) int64 { return m.Drained })),
		newTotal("webhook_lag_seconds_total", "Sum over all statuses of the time from the status to its recording.", func(m query.Metrics) float64 { return m.LagSum.Seconds() }),
	}
}

// A Reader reads the exported metrics from the read models.
type Reader interface {
	MetricTotals(ctx context.Context, now time.Time) (map[string]query.Metrics, error)
	Senders(ctx context.Context, now time.Time) ([]query.Sender, error)
	Lanes(ctx context.Context) (map[string]query.LaneStatus, error)
	MessagingLimits(ctx context.Context, now time.Time) (map[string]query.MessagingLimit, error)
	MessageCounts(ctx context.Context, f query.MessageFilter) ([]query.StatusCount, error)
	BalanceNow(ctx context.Context) (balanced, compared bool, err error)
}

// An Exporter exports the metrics of the whole installation. They come from the read
// models, so every process exports the same values, and counters continue after restarts.
type Exporter struct {
	ctx        context.Context //nolint:containedctx // Collect receives no context
	model      Reader
	lag        *process.MeasureLag
	shorter    func() error // returns an error if the event log is shorter than it was
	categoryOf func(int) (message.Category, bool)
	now        event.Clock
	log        *slog.Logger

	totals                                                                              []total
	failures, latency, depth, scheduled, oldest                                         *prometheus.Desc
	rate, senderState, breaker, quality, restricted, messages, up, behind, parked, even *prometheus.Desc
	shortened, limitUsed, limit                                                         *prometheus.Desc
}

// New returns an Exporter. The contexts of its reads derive from ctx. shorter returns an
// error if the event log is shorter than it was.
func New(
	ctx context.Context, model Reader, lag *process.MeasureLag, shorter func() error, categoryOf func(int) (message.Category, bool),
	now event.Clock, log *slog.Logger,
) *Exporter {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("waypost_"+name, help, labels, nil)
	}
	return &Exporter{
		ctx: ctx, model: model, lag: lag, shorter: shorter, categoryOf: categoryOf, now: now, log: log, totals: totals(),
		failures:    desc("failures_total", "Failed calls and failed statuses.", "sender", "class", "category", "code"),
		latency:     desc("delivery_latency_seconds", "Time from the call to the delivery.", "sender"),
		depth:       desc("queue_depth", "Messages that are due and not yet accepted by WhatsApp.", "sender", "priority"),
		scheduled:   desc("queue_scheduled", "Messages that wait for their sendAt.", "sender"),
		oldest:      desc("queue_oldest_due_age_seconds", "Age of the oldest message that is due and not accepted. 0 if there is none.", "sender"),
		rate:        desc("lane_effective_rate", "Current rate of a lane, in calls per second. 0 while no process sends for it.", "sender"),
		senderState: desc("sender_state", "1 for the current state of a sender: ACTIVE, PAUSED, or HELD.", "sender", "state"),
		breaker:     desc("sender_breaker_open", "1 while a sender's messages wait because WhatsApp does not respond.", "sender"),
		quality:     desc("sender_quality_low", "1 while WhatsApp rates a sender's number as low quality.", "sender"),
		restricted:  desc("sender_restrictions", "Number of restrictions of a sender's number or account that WhatsApp has reported.", "sender"),
		limitUsed:   desc("messaging_limit_used", "People who count toward the messaging limit of a sender's portfolio. Missing if they are not counted.", "sender"),
		limit:       desc("messaging_limit", "Messaging limit of a sender's portfolio: people in 24 hours. Missing if it is unlimited or unknown.", "sender"),
		messages:    desc("messages", "Messages by status.", "status"),
		up:          desc("read_model_up", "1 if the read models could be read for this scrape. Otherwise the other metrics are missing."),
		behind:      desc("read_model_behind_seconds", "Age of the oldest event that the read models have not projected."),
		parked:      desc("read_model_parked", "Streams that are skipped because an event could not be projected."),
		even:        desc("ledger_balanced", "1 if every accepted message is in one column and has a work item exactly while it is open."),
		shortened:   desc("log_shortened", "1 if this process has noticed that the event log is shorter than it was."),
	}
}

// Describe sends the descriptions of all metrics.
func (e *Exporter) Describe(out chan<- *prometheus.Desc) {
	for _, t := range e.totals {
		out <- t.desc
	}
	for _, d := range []*prometheus.Desc{
		e.failures, e.latency, e.depth, e.scheduled, e.oldest, e.rate, e.senderState, e.breaker, e.quality, e.restricted, e.messages, e.up, e.behind, e.parked, e.even, e.shortened,
		e.limitUsed, e.limit,
	} {
		out <- d
	}
}

// Collect reads the metrics and sends them.
func (e *Exporter) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(e.ctx, exportTimeout)
	defer cancel()
	shortened := 0.0
	if e.shorter() != nil {
		shortened = 1
	}
	out <- prometheus.MustNewConstMetric(e.shortened, prometheus.GaugeValue, shortened)
	up := 1.0
	for _, part := range []func(context.Context, chan<- prometheus.Metric) error{
		e.collectTotals, e.collectSenders, e.collectMessages, e.collectReadModel,
	} {
		if err := part(ctx, out); err != nil {
			up = 0
			e.log.WarnContext(ctx, "read model metrics missing from a scrape", "error", err)
			break
		}
	}
	out <- prometheus.MustNewConstMetric(e.up, prometheus.GaugeValue, up)
}

func (e *Exporter) collectTotals(ctx context.Context, out chan<- prometheus.Metric) error {
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
			buckets[bound] = uint64(m.Latencies.CountAtMost(time.Duration(bound * float64(time.Second))))
		}
		out <- prometheus.MustNewConstHistogram(e.latency, uint64(m.Delivered), m.LatencySum.Seconds(), buckets, id)
		e.collectFailures(id, m.Failures, out)
	}
	return nil
}

// collectFailures sends the failures by class, category, and code. A missing category is
// derived from the code.
func (e *Exporter) collectFailures(id string, failures []query.FailureCount, out chan<- prometheus.Metric) {
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

func (e *Exporter) collectSenders(ctx context.Context, out chan<- prometheus.Metric) error {
	senders, err := e.model.Senders(ctx, e.now())
	if err != nil {
		return err
	}
	limits, err := e.model.MessagingLimits(ctx, e.now())
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
		open := 0.0
		if lanes[s.ID].Breaker != nil {
			open = 1
		}
		gauge(e.breaker, open, s.ID)
		low := 0.0
		if s.Quality == sender.QualityRed {
			low = 1
		}
		gauge(e.quality, low, s.ID)
		gauge(e.restricted, float64(len(s.Restrictions)), s.ID)
		if l, counted := limits[s.ID]; counted {
			gauge(e.limitUsed, float64(l.Used), s.ID)
			gauge(e.limit, float64(l.People), s.ID)
		}
	}
	return nil
}

func (e *Exporter) collectMessages(ctx context.Context, out chan<- prometheus.Metric) error {
	counts, err := e.model.MessageCounts(ctx, query.MessageFilter{})
	if err != nil {
		return err
	}
	for _, c := range counts {
		out <- prometheus.MustNewConstMetric(e.messages, prometheus.GaugeValue, float64(c.Count), string(c.Status))
	}
	return nil
}

func (e *Exporter) collectReadModel(ctx context.Context, out chan<- prometheus.Metric) error {
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

// A Metric is a metric of this process. Its value is read at each scrape.
type Metric struct {
	Name, Help string
	Counter    bool // whether the value never decreases; if false, the metric is a gauge
	Value      func() float64
}

func (m Metric) collector() prometheus.Collector {
	if m.Counter {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Value)
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Value)
}

// NewHandler returns a handler that serves the metrics of e, the Go runtime, the process,
// and more.
func NewHandler(e *Exporter, more ...Metric) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, m := range more {
		all = append(all, m.collector())
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesAtOnce, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn),
	}), nil
}
