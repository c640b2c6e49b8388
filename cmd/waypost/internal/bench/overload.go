package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// overloadFactor is the offered load, as a multiple of the sustained one.
	overloadFactor = 2
	// otpEvery is the time between two OTP messages, and otpSkip is the number of the first one. Other loads have fewer messages.
	otpEvery = 100 * time.Millisecond
	otpSkip  = 50_000_000
)

// Overload offers twice the load that the machine sustains.
type Overload struct {
	Observation

	Senders      int           `help:"Number of senders." default:"20"`
	Rate         int           `help:"Rate of each sender, in messages per second, and WhatsApp's limit." default:"80"`
	Offered      float64       `help:"Load to offer, in messages per second of all senders. If 0, twice the load that the machine sustains, which is measured first."`
	WarmUp       int           `help:"Number of messages that are sent as fast as possible and read before the measurement. They are not counted." default:"5000"`
	Duration     time.Duration `help:"How long the load is offered." default:"60s"`
	Latency      time.Duration `help:"Response time of the simulated WhatsApp." default:"50ms"`
	WebhookBatch int           `help:"Maximum number of statuses in one webhook." default:"10"`
	Patience     time.Duration `help:"How long to wait until the last message is read after the load has ended." default:"5m"`
}

// Validate returns an error if a parameter is out of its range.
func (b Overload) Validate() error {
	switch {
	case b.Senders < 1 || b.Senders > 1000:
		return errors.New("--senders must be from 1 to 1000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	case b.Offered < 0 || b.Offered > 100_000:
		return errors.New("--offered must be from 0 to 100000")
	case b.Duration < time.Second || b.Duration > 10*time.Minute:
		return errors.New("--duration must be from 1s to 10m")
	case b.WarmUp < 0 || b.WarmUp > 1_000_000 || (b.WarmUp == 0 && b.Offered == 0):
		return errors.New("--warm-up must be from 1 to 1000000; 0 is possible only with --offered")
	}
	return b.Observation.Validate()
}

// Name returns the name of the scenario.
func (b Overload) Name() string { return "overload" }

// overloadReport has the measurements of the scenario. All except the costs, the ledger, and the simulator's are about the time during
// which the load was offered. The costs are those until all of its messages were read.
type overloadReport struct {
	costs

	Machine   machine `json:"machine"`
	Senders   int     `json:"senders"`
	Rate      int     `json:"rate_per_sender"`
	Sustained float64 `json:"sustained_per_s"` // by the warm-up
	Offered   float64 `json:"offered_per_s"`
	WarmUp    int64   `json:"warm_up_messages"` // only the ledger and the simulator's counts include them
	Messages  int64   `json:"messages"`
	// Accepted and Throughput are the messages accepted and read per second while the load was offered.
	Accepted   float64              `json:"accepted_per_s"`
	Throughput float64              `json:"read_per_s"`
	Spans      spans                `json:"spans"`
	OTPToCall  Percentiles          `json:"otp_queued_to_call"`
	Answered   Percentiles          `json:"webhook_answered"` // by Waypost's own log
	Behind     Percentiles          `json:"read_model_behind"`
	Ledger     harness.LedgerCounts `json:"ledger"`
	WhatsApp   simulator.Stats      `json:"simulator"`
}

// Measure runs the scenario with data and logs in dir.
func (b Overload) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := overloadReport{Senders: b.Senders, Rate: b.Rate, Offered: b.Offered}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := b.start(ctx, dir, nil, map[string]any{
		"rate": b.Rate, "latency": b.Latency.String(), "webhook_batch": b.WebhookBatch,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: b.Senders, Batch: lifecycleBatch, Retry: true}
	if err := l.Register(ctx, b.Rate); err != nil {
		return nil, err
	}
	if f.Sustained, err = l.warmUp(ctx, b.WarmUp, b.Patience); err != nil {
		return nil, err
	}
	f.WarmUp = l.warm
	if f.Offered == 0 {
		f.Offered = overloadFactor * f.Sustained
	}
	used, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	profiled := b.profile(ctx, r, b.Duration)
	start := time.Now()
	lag, err := b.offer(ctx, r.TestEnv, l, &f)
	if err := errors.Join(err, <-profiled); err != nil {
		return nil, err
	}
	if f.costs, err = used.costs(ctx, f.Messages); err != nil {
		return nil, err
	}
	sample, err := l.sampleHistories(ctx)
	if err != nil {
		return nil, err
	}
	f.Spans = sample.spans()
	if b.SVG != "" {
		if err := writeChart(b.SVG, "waypost bench overload", f.conditions(), plotsOf(start, sample, lag)); err != nil {
			return nil, err
		}
	}
	f.WhatsApp, err = r.Stats(ctx)
	return f, err
}

// conditions describes the load in one line.
func (f overloadReport) conditions() string {
	return fmt.Sprintf("%.0f messages/s offered, %.0f/s sustained, %d senders at %d/s each, %d CPUs, %s",
		f.Offered, f.Sustained, f.Senders, f.Rate, f.Machine.CPUs, time.Now().UTC().Format(time.DateOnly))
}

// offer offers the load and OTP messages for the duration, and waits until all messages are read.
func (b Overload) offer(ctx context.Context, r *harness.TestEnv, l *Load, f *overloadReport) (lag Lag, err error) {
	warm, err := l.Client.Ledger(ctx)
	if err != nil {
		return lag, err
	}
	l.Rate = f.Offered
	urgent := &Load{
		Client: l.Client, Senders: b.Senders, Batch: 1, Rate: float64(time.Second / otpEvery), Retry: true, priority: "OTP", Skip: otpSkip,
	}
	start := time.Now()
	offering, stop := context.WithTimeout(ctx, b.Duration)
	defer stop()
	over := func() bool { return offering.Err() != nil }
	var loads sync.WaitGroup
	var errs [3]error
	loads.Go(func() { errs[0] = l.Queue(ctx, int(f.Offered*b.Duration.Seconds()), over) })
	loads.Go(func() { errs[1] = urgent.Queue(ctx, int(b.Duration/otpEvery), over) })
	loads.Go(func() { lag, errs[2] = l.WatchLag(offering) })
	<-offering.Done()
	end, endErr := l.Client.Ledger(ctx)
	took := time.Since(start)
	loads.Wait()
	if err := errors.Join(errs[0], errs[1], errs[2], endErr); err != nil {
		return lag, err
	}
	f.Accepted = float64(end.Accepted-warm.Accepted) / took.Seconds()
	f.Throughput = float64(end.Read-warm.Read) / took.Seconds()
	f.Behind = lag.reported.percentiles()
	answered, err := r.WebhookTimes(start, start.Add(took))
	if err != nil {
		return lag, err
	}
	times := newLatencies()
	for _, t := range answered {
		times.record(t)
	}
	f.Answered = times.percentiles()
	f.Messages = l.Queued.Add(urgent.Queued.Load()) - l.warm
	if f.Ledger, _, err = l.AwaitRead(ctx, b.Patience); err != nil {
		return lag, err
	}
	called, err := urgent.sampleHistories(ctx)
	f.OTPToCall = called.spans().QueuedToCall
	return lag, err
}

// Findings returns what Waypost did wrong.
func (f overloadReport) Findings() []string {
	var found []string
	all := f.Messages + f.WarmUp
	if f.Ledger.Accepted != all || f.Ledger.Read != all {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages were read: %v", all, f.Ledger))
	}
	return append(found, commonFindings(all, f.Ledger, f.WhatsApp)...)
}

func (f overloadReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, after a warm-up of %d", f.Messages, f.Senders, f.Rate, f.WarmUp)
	w.linef("sustained", "%.0f/s, then %.0f/s offered", f.Sustained, f.Offered)
	w.linef("accepted", "%.0f/s in calls of %d", f.Accepted, lifecycleBatch)
	w.linef("read", "%.0f/s while the load was offered", f.Throughput)
	w.linef("queued to call", "%v", f.Spans.QueuedToCall)
	w.linef("OTP to call", "%v", f.OTPToCall)
	w.linef("sent to delivered", "%v", f.Spans.SentToDelivered)
	w.linef("webhook answered", "%v", f.Answered)
	w.linef("read models behind", "%v", f.Behind)
	f.costs.print(w)
	w.linef("ledger", "%v", f.Ledger)
}
