package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// lifecycleBatch is the number of messages that one request queues.
const lifecycleBatch = 100

// Lifecycle measures the whole life of messages, from queueing to reading.
type Lifecycle struct {
	Observation

	Senders      int           `help:"Number of senders." default:"20"`
	Rate         int           `help:"Rate of each sender, in messages per second, and WhatsApp's limit." default:"80"`
	Duration     time.Duration `help:"How long messages are queued, at the senders' full rate." default:"20s"`
	Messages     int           `help:"Number of messages to queue instead, as fast as they are accepted."`
	WarmUp       int           `help:"Number of messages that are sent and read before the measurement. They are not counted." default:"2000"`
	Latency      time.Duration `help:"Response time of the simulated WhatsApp." default:"50ms"`
	WebhookBatch int           `help:"Maximum number of statuses in one webhook." default:"10"`
	LiveBuffer   int           `help:"Make the embedded event store drop live subscriptions that more events than this wait for, as EventStoreDB does at 32. 0 never drops one."`
	Patience     time.Duration `help:"How long to wait until the last message is read, in addition to the time that the rate needs." default:"60s"`
}

// Validate returns an error if a parameter is out of its range.
func (b Lifecycle) Validate() error {
	switch {
	case b.Senders < 1 || b.Senders > 1000:
		return errors.New("--senders must be from 1 to 1000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	case b.Messages < 0 || (b.Messages == 0 && b.Duration < time.Second):
		return errors.New("--messages must not be negative, --duration not below 1s")
	case b.WarmUp < 0 || b.WarmUp > 1_000_000:
		return errors.New("--warm-up must be from 0 to 1000000")
	}
	return b.Observation.Validate()
}

// Name returns the name of the scenario.
func (b Lifecycle) Name() string { return "lifecycle" }

// lifecycleReport has the measurements of the scenario.
type lifecycleReport struct {
	costs

	Machine       machine              `json:"machine"`
	Senders       int                  `json:"senders"`
	Rate          int                  `json:"rate_per_sender"`
	WarmUp        int64                `json:"warm_up_messages"` // only the ledger and the simulator's counts include them
	Messages      int64                `json:"messages"`
	AcceptedPer   float64              `json:"accepted_per_s"`
	Throughput    float64              `json:"lifecycle_per_s"`
	Spans         spans                `json:"spans"`
	Behind        Percentiles          `json:"read_model_behind"`
	Listed        Percentiles          `json:"accepted_to_listed"`
	PeakMemory    int64                `json:"serve_peak_memory_bytes"`
	LargestSecond int                  `json:"largest_second"`
	OverRate      int                  `json:"senders_over_rate"`
	CallsOverRate int64                `json:"calls_over_rate"`
	Ledger        harness.LedgerCounts `json:"ledger"`
	WhatsApp      simulator.Stats      `json:"simulator"`
}

// throttledAbove is the factor by which WhatsApp lets a sliding second exceed the rate.
const throttledAbove = 1.05

// Measure runs the scenario with data and logs in dir.
func (b Lifecycle) Measure(ctx context.Context, dir string) (_ Report, err error) {
	var f lifecycleReport
	f.Senders, f.Rate = b.Senders, b.Rate
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	r, err := b.start(ctx, dir, []string{fmt.Sprintf("WAYPOST_EVENTSTORE_LIVE_BUFFER=%d", b.LiveBuffer)}, map[string]any{
		"rate": b.Rate, "latency": b.Latency.String(), "webhook_batch": b.WebhookBatch,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()

	total := b.Messages
	l := &Load{Client: r.Client, Senders: b.Senders, Batch: lifecycleBatch}
	if total == 0 {
		l.Rate = float64(b.Senders * b.Rate)
		total = int(l.Rate * b.Duration.Seconds())
	}
	if err := l.Register(ctx, b.Rate); err != nil {
		return nil, err
	}
	if _, err := l.warmUp(ctx, b.WarmUp, b.Patience); err != nil {
		return nil, err
	}
	f.WarmUp = l.warm
	used, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	profiled := b.profile(ctx, r, b.least(total))
	start := time.Now()
	lag, err := b.drive(ctx, l, total, &f)
	if err := errors.Join(err, <-profiled); err != nil {
		return nil, err
	}
	if f.costs, err = used.costs(ctx, f.Messages); err != nil {
		return nil, err
	}
	f.PeakMemory = harness.PeakMemory(r.Serve.PID())
	sample, err := l.sampleHistories(ctx)
	if err != nil {
		return nil, err
	}
	f.Spans = sample.spans()
	if b.SVG != "" {
		if err := writeChart(b.SVG, "waypost bench lifecycle", f.conditions(), plotsOf(start, sample, lag)); err != nil {
			return nil, err
		}
	}
	if f.WhatsApp, err = r.Stats(ctx); err != nil {
		return nil, err
	}
	for _, n := range f.WhatsApp.Numbers {
		f.LargestSecond = max(f.LargestSecond, n.LargestSecond)
		f.CallsOverRate += n.CallsOverRate
		if n.LargestSecond > b.Rate {
			f.OverRate++
		}
	}
	return f, nil
}

// least returns the time that total messages need at the senders' rate.
func (b Lifecycle) least(total int) time.Duration {
	return time.Duration(float64(total) / float64(b.Senders*b.Rate) * float64(time.Second))
}

// drive queues total messages, waits until all are read, and measures throughput and lag in the meantime.
func (b Lifecycle) drive(ctx context.Context, l *Load, total int, f *lifecycleReport) (Lag, error) {
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	type watched struct {
		Lag

		err error
	}
	lag := make(chan watched, 1)
	go func() {
		seen, err := l.WatchLag(watching)
		lag <- watched{seen, err}
	}()
	start := time.Now()
	err := l.Queue(ctx, total, func() bool { return false })
	queuedIn := time.Since(start)
	var readAt time.Time
	if err == nil {
		f.Ledger, readAt, err = l.AwaitRead(ctx, b.least(total)+b.Patience)
	}
	stopWatching()
	seen := <-lag
	if err := errors.Join(err, seen.err); err != nil {
		return seen.Lag, err
	}
	f.Messages = l.Queued.Load() - l.warm
	f.AcceptedPer = float64(f.Messages) / queuedIn.Seconds()
	f.Throughput = float64(f.Ledger.Read-l.warm) / readAt.Sub(start).Seconds()
	f.Behind, f.Listed = seen.reported.percentiles(), seen.listed.percentiles()
	return seen.Lag, nil
}

// conditions describes the load in one line.
func (f lifecycleReport) conditions() string {
	return fmt.Sprintf("%d messages from %d senders at %d/s each, %d CPUs, %s", f.Messages, f.Senders, f.Rate, f.Machine.CPUs, time.Now().UTC().Format(time.DateOnly))
}

// Findings returns what Waypost did wrong.
func (f lifecycleReport) Findings() []string {
	var found []string
	all := f.Messages + f.WarmUp
	if f.Ledger.Accepted != all || f.Ledger.Read != all {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages were read: %v", all, f.Ledger))
	}
	found = append(found, commonFindings(all, f.Ledger, f.WhatsApp)...)
	if f.WhatsApp.Duplicates > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent twice although nothing failed", f.WhatsApp.Duplicates))
	}
	if most := int(float64(f.Rate) * throttledAbove); f.LargestSecond > most {
		found = append(found, fmt.Sprintf("a sender made %d calls in one second; WhatsApp accepts at most %d", f.LargestSecond, most))
	}
	return found
}

// commonFindings returns the findings that apply to every scenario.
func commonFindings(messages int64, b harness.LedgerCounts, s simulator.Stats) []string {
	var found []string
	if !b.Balanced {
		found = append(found, fmt.Sprintf("the ledger is unbalanced: %v", b))
	}
	if s.Messages != messages {
		found = append(found, fmt.Sprintf("%d messages were acknowledged, WhatsApp has %d", messages, s.Messages))
	}
	if s.DuplicatesAfterEcho > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent again after their echo was recorded", s.DuplicatesAfterEcho))
	}
	return found
}

func (f lifecycleReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, after a warm-up of %d", f.Messages, f.Senders, f.Rate, f.WarmUp)
	w.linef("accepted", "%.0f/s in calls of %d", f.AcceptedPer, lifecycleBatch)
	w.linef("lifecycle", "%.0f/s from the first call to the last read", f.Throughput)
	w.linef("queued to call", "%v", f.Spans.QueuedToCall)
	w.linef("queued to sent", "%v", f.Spans.QueuedToSent)
	w.linef("sent to delivered", "%v", f.Spans.SentToDelivered)
	w.linef("queued to read", "%v", f.Spans.QueuedToRead)
	w.linef("read models behind", "%v", f.Behind)
	w.linef("accepted to listed", "%v", f.Listed)
	f.costs.print(w)
	w.linef("memory of serve", "%.0f MiB at its peak", float64(f.PeakMemory)/(1<<20))
	w.linef("largest second", "%d of %d/s; %d of %d senders above, by %d calls", f.LargestSecond, f.Rate, f.OverRate, f.Senders, f.CallsOverRate)
	w.linef("sent twice", "%d, after an echo %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho)
	w.linef("ledger", "%v", f.Ledger)
}
