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
	// overloadWarmUp is the number of messages that are sent before the measurement, to find the load that the machine sustains.
	overloadWarmUp = 5000
	// overloadFactor is the offered load, as a multiple of the sustained one.
	overloadFactor = 2
	// otpEvery is the time between two OTP messages, and otpSkip is the number of the first one. Other loads have fewer messages.
	otpEvery = 100 * time.Millisecond
	otpSkip  = 50_000_000
)

// Overload offers twice the load that the machine sustains.
type Overload struct {
	Senders      int           `help:"Number of senders." default:"20"`
	Rate         int           `help:"Rate of each sender, in messages per second, and WhatsApp's limit." default:"80"`
	Offered      float64       `help:"Load to offer, in messages per second of all senders. If 0, twice the load that the machine sustains, which is measured first."`
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
	}
	return nil
}

// Name returns the name of the scenario.
func (b Overload) Name() string { return "overload" }

// overloadReport has the measurements of the scenario. All except CPU, the ledger, and the simulator's are about the time during
// which the load was offered, and about its messages.
type overloadReport struct {
	Machine   machine `json:"machine"`
	Senders   int     `json:"senders"`
	Rate      int     `json:"rate_per_sender"`
	Sustained float64 `json:"sustained_per_s"` // 0 if the offered load was given
	Offered   float64 `json:"offered_per_s"`
	Messages  int64   `json:"messages"` // including those of the warm-up
	// Accepted and Throughput are the messages accepted and read per second while the load was offered.
	Accepted   float64     `json:"accepted_per_s"`
	Throughput float64     `json:"read_per_s"`
	Spans      spans       `json:"spans"`
	OTPToCall  Percentiles `json:"otp_queued_to_call"`
	Answered   Percentiles `json:"webhook_answered"` // by Waypost's own log
	Behind     Percentiles `json:"read_model_behind"`
	// CPU is in seconds per 1,000 messages. It is 0 if the system does not report it.
	CPU struct {
		Serve     float64 `json:"serve"`
		Postgres  float64 `json:"postgres"`
		Simulator float64 `json:"simulator"`
	} `json:"cpu_s_per_1000"`
	Ledger   harness.LedgerCounts `json:"ledger"`
	WhatsApp simulator.Stats      `json:"simulator"`
}

// Measure runs the scenario with data and logs in dir.
func (b Overload) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := overloadReport{Senders: b.Senders, Rate: b.Rate, Offered: b.Offered}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := harness.Start(ctx, dir, nil, map[string]any{
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
	before, cpuErr := r.CPU()
	if b.Offered == 0 {
		if f.Sustained, err = b.warmUp(ctx, l); err != nil {
			return nil, err
		}
		f.Offered = overloadFactor * f.Sustained
	}
	if err := b.offer(ctx, r, l, &f); err != nil {
		return nil, err
	}
	if after, err := r.CPU(); cpuErr == nil && err == nil {
		used, thousands := after.Minus(before), float64(f.Messages)/1000
		f.CPU.Serve = used.Serve.Seconds() / thousands
		f.CPU.Postgres = used.Postgres.Seconds() / thousands
		f.CPU.Simulator = used.Simulator.Seconds() / thousands
	}
	if f.Spans, err = l.sampleSpans(ctx); err != nil {
		return nil, err
	}
	f.WhatsApp, err = r.Stats(ctx)
	return f, err
}

// warmUp sends messages as fast as possible and returns the number per second.
func (b Overload) warmUp(ctx context.Context, l *Load) (perSecond float64, err error) {
	start := time.Now()
	if err := l.Queue(ctx, overloadWarmUp, func() bool { return false }); err != nil {
		return 0, err
	}
	ledger, readAt, err := l.AwaitRead(ctx, b.Patience)
	if err != nil {
		return 0, err
	}
	if ledger.Read != overloadWarmUp {
		return 0, fmt.Errorf("not all messages of the warm-up were read within %s: %v", b.Patience, ledger)
	}
	l.Skip, l.ids = overloadWarmUp, nil
	return float64(overloadWarmUp) / readAt.Sub(start).Seconds(), nil
}

// offer offers the load and OTP messages for the duration, and waits until all messages are read.
func (b Overload) offer(ctx context.Context, r *harness.TestEnv, l *Load, f *overloadReport) error {
	warm, err := l.Client.Ledger(ctx)
	if err != nil {
		return err
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
	var lag Lag
	loads.Go(func() { errs[0] = l.Queue(ctx, int(f.Offered*b.Duration.Seconds()), over) })
	loads.Go(func() { errs[1] = urgent.Queue(ctx, int(b.Duration/otpEvery), over) })
	loads.Go(func() { lag, errs[2] = l.WatchLag(offering) })
	<-offering.Done()
	end, endErr := l.Client.Ledger(ctx)
	took := time.Since(start)
	loads.Wait()
	if err := errors.Join(errs[0], errs[1], errs[2], endErr); err != nil {
		return err
	}
	f.Accepted = float64(end.Accepted-warm.Accepted) / took.Seconds()
	f.Throughput = float64(end.Read-warm.Read) / took.Seconds()
	f.Behind = lag.reported.percentiles()
	answered, err := r.WebhookTimes(start, start.Add(took))
	if err != nil {
		return err
	}
	times := newLatencies()
	for _, t := range answered {
		times.record(t)
	}
	f.Answered = times.percentiles()
	f.Messages = l.Queued.Add(urgent.Queued.Load())
	if f.Ledger, _, err = l.AwaitRead(ctx, b.Patience); err != nil {
		return err
	}
	called, err := urgent.sampleSpans(ctx)
	f.OTPToCall = called.QueuedToCall
	return err
}

// Findings returns what Waypost did wrong.
func (f overloadReport) Findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read != f.Messages {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages were read: %v", f.Messages, f.Ledger))
	}
	return append(found, commonFindings(f.Messages, f.Ledger, f.WhatsApp)...)
}

func (f overloadReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each", f.Messages, f.Senders, f.Rate)
	w.linef("sustained", "%.0f/s, then %.0f/s offered", f.Sustained, f.Offered)
	w.linef("accepted", "%.0f/s in calls of %d", f.Accepted, lifecycleBatch)
	w.linef("read", "%.0f/s while the load was offered", f.Throughput)
	w.linef("queued to call", "%v", f.Spans.QueuedToCall)
	w.linef("OTP to call", "%v", f.OTPToCall)
	w.linef("sent to delivered", "%v", f.Spans.SentToDelivered)
	w.linef("webhook answered", "%v", f.Answered)
	w.linef("read models behind", "%v", f.Behind)
	w.linef("CPU per 1,000", "serve %.2f s, Postgres %.2f s, simulator %.2f s", f.CPU.Serve, f.CPU.Postgres, f.CPU.Simulator)
	w.linef("ledger", "%v", f.Ledger)
}
