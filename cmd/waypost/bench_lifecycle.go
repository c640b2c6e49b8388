package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// lifecycleBatch is how many messages one call queues.
const lifecycleBatch = 100

type benchLifecycle struct {
	benchOutput

	Senders      int           `help:"Phone numbers that messages are sent from." default:"20"`
	Rate         int           `help:"Messages a second of each sender, and WhatsApp's limit." default:"80"`
	Duration     time.Duration `help:"How long messages are queued, at the senders' full rate." default:"20s"`
	Messages     int           `help:"Queue this many instead, as fast as they are accepted."`
	Latency      time.Duration `help:"How long the simulated WhatsApp takes to answer." default:"50ms"`
	WebhookBatch int           `help:"Most statuses in one webhook." default:"10"`
	Patience     time.Duration `help:"How long to wait for the last message to be read, beyond the time that the rate allows." default:"60s"`
}

// Validate is called by kong.
func (b benchLifecycle) Validate() error {
	switch {
	case b.Senders < 1 || b.Senders > 1000:
		return errors.New("--senders must be from 1 to 1000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	case b.Messages < 0 || (b.Messages == 0 && b.Duration < time.Second):
		return errors.New("--messages must not be negative, --duration not below 1s")
	}
	return nil
}

// Run measures the whole life of messages.
func (b benchLifecycle) Run(env *environment) error {
	return b.play(env, scenario{name: "lifecycle", run: b.measure})
}

// lifecycleReport are the figures of the scenario.
type lifecycleReport struct {
	Machine     machine     `json:"machine"`
	Senders     int         `json:"senders"`
	Rate        int         `json:"rate_per_sender"`
	Messages    int64       `json:"messages"`
	AcceptedPer float64     `json:"accepted_per_s"`
	Throughput  float64     `json:"lifecycle_per_s"`
	Spans       spans       `json:"spans"`
	Behind      percentiles `json:"read_model_behind"`
	Listed      percentiles `json:"accepted_to_listed"`
	// CPU is in seconds per 1,000 messages; zeros where the system does not tell.
	CPU struct {
		Serve     float64 `json:"serve"`
		Postgres  float64 `json:"postgres"`
		Simulator float64 `json:"simulator"`
	} `json:"cpu_s_per_1000"`
	PeakMemory    int64           `json:"serve_peak_memory_bytes"`
	LargestSecond int             `json:"largest_second"`
	OverRate      int             `json:"senders_over_rate"`
	CallsOverRate int64           `json:"calls_over_rate"`
	Ledger        books           `json:"ledger"`
	WhatsApp      simulator.Stats `json:"simulator"`
}

// throttledAbove is by how much WhatsApp lets a sliding second exceed the rate.
const throttledAbove = 1.05

func (b benchLifecycle) measure(ctx context.Context, dir string) (_ report, err error) {
	var f lifecycleReport
	f.Senders, f.Rate = b.Senders, b.Rate
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := startRig(ctx, dir, nil, map[string]any{
		"rate": b.Rate, "latency": b.Latency.String(), "webhook_batch": b.WebhookBatch,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()

	total := b.Messages
	l := &load{client: r.client, senders: b.Senders, batch: lifecycleBatch}
	if total == 0 {
		l.rate = float64(b.Senders * b.Rate)
		total = int(l.rate * b.Duration.Seconds())
	}
	if err := l.register(ctx, b.Rate); err != nil {
		return nil, err
	}
	before, cpuErr := r.cpu()

	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	type watched struct {
		lag

		err error
	}
	behind := make(chan watched, 1)
	go func() {
		seen, err := l.watchLag(watching)
		behind <- watched{seen, err}
	}()

	start := time.Now()
	err = l.queue(ctx, total, func() bool { return false })
	queuedIn := time.Since(start)
	var readAt time.Time
	if err == nil {
		least := time.Duration(float64(total) / float64(b.Senders*b.Rate) * float64(time.Second))
		f.Ledger, readAt, err = l.awaitRead(ctx, least+b.Patience)
	}
	stopWatching()
	seen := <-behind
	if err := errors.Join(err, seen.err); err != nil {
		return nil, err
	}
	if after, err := r.cpu(); cpuErr == nil && err == nil {
		used, thousands := after.minus(before), float64(total)/1000
		f.CPU.Serve = used.Serve.Seconds() / thousands
		f.CPU.Postgres = used.Postgres.Seconds() / thousands
		f.CPU.Simulator = used.Simulator.Seconds() / thousands
	}
	f.PeakMemory = peakMemory(r.serve.pid())
	f.Messages = l.queued.Load()
	f.AcceptedPer = float64(f.Messages) / queuedIn.Seconds()
	f.Throughput = float64(f.Ledger.Read) / readAt.Sub(start).Seconds()
	f.Behind, f.Listed = seen.told.percentiles(), seen.listed.percentiles()
	if f.Spans, err = l.sampleSpans(ctx); err != nil {
		return nil, err
	}
	if f.WhatsApp, err = r.stats(ctx); err != nil {
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

func (f lifecycleReport) findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read != f.Messages {
		found = append(found, fmt.Sprintf("of %d acknowledged messages not all were read: %v", f.Messages, f.Ledger))
	}
	found = append(found, commonFindings(f.Messages, f.Ledger, f.WhatsApp)...)
	if f.WhatsApp.Duplicates > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent twice although nothing failed", f.WhatsApp.Duplicates))
	}
	if most := int(float64(f.Rate) * throttledAbove); f.LargestSecond > most {
		found = append(found, fmt.Sprintf("a sender made %d calls in one second; WhatsApp takes at most %d", f.LargestSecond, most))
	}
	return found
}

// commonFindings are what may not be whatever happens.
func commonFindings(messages int64, b books, s simulator.Stats) []string {
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
	w.linef("machine", "%d CPUs, load average %.1f before, %.0f fsync/s, %.0f bare HTTP calls/s", f.Machine.CPUs, f.Machine.Load, f.Machine.FsyncPerS, f.Machine.HTTPPerS)
	w.linef("messages", "%d from %d senders at %d/s each", f.Messages, f.Senders, f.Rate)
	w.linef("accepted", "%.0f/s in calls of %d", f.AcceptedPer, lifecycleBatch)
	w.linef("lifecycle", "%.0f/s from the first call to the last read", f.Throughput)
	w.linef("queued to call", "%v", f.Spans.QueuedToCall)
	w.linef("queued to sent", "%v", f.Spans.QueuedToSent)
	w.linef("sent to delivered", "%v", f.Spans.SentToDelivered)
	w.linef("queued to read", "%v", f.Spans.QueuedToRead)
	w.linef("read models behind", "%v", f.Behind)
	w.linef("accepted to listed", "%v", f.Listed)
	w.linef("CPU per 1,000", "serve %.2f s, Postgres %.2f s, simulator %.2f s", f.CPU.Serve, f.CPU.Postgres, f.CPU.Simulator)
	w.linef("memory of serve", "%.0f MiB at its peak", float64(f.PeakMemory)/(1<<20))
	w.linef("largest second", "%d of %d/s; %d of %d senders above, by %d calls", f.LargestSecond, f.Rate, f.OverRate, f.Senders, f.CallsOverRate)
	w.linef("sent twice", "%d, after an echo %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho)
	w.linef("ledger", "%v", f.Ledger)
}
