package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// latencyAtOnce limits the messages that are followed at the same time.
	latencyAtOnce = 64
	// visiblePoll is the time between two reads of the list of messages while a status is awaited, and so the precision of that time.
	visiblePoll = 5 * time.Millisecond
)

// Latency measures how long the steps of a message take while nothing else happens.
type Latency struct {
	Observation

	Rate     float64       `help:"Messages per second." default:"5"`
	Duration time.Duration `help:"How long messages are queued." default:"1m"`
	WarmUp   int           `help:"Number of messages that are sent and read before the measurement. They are not counted." default:"100"`
	Latency  time.Duration `help:"Response time of the simulated WhatsApp." default:"50ms"`
	Patience time.Duration `help:"How long to wait until the last message is read." default:"30s"`
}

// Validate returns an error if a parameter is out of its range.
func (b Latency) Validate() error {
	switch {
	case b.Rate < 0.1 || b.Rate > 100:
		return errors.New("--rate must be from 0.1 to 100")
	case b.Duration < time.Second || b.Duration > time.Hour:
		return errors.New("--duration must be from 1s to 1h")
	case b.WarmUp < 0 || b.WarmUp > 1_000_000:
		return errors.New("--warm-up must be from 0 to 1000000")
	}
	return b.Observation.Validate()
}

// Name returns the name of the scenario.
func (b Latency) Name() string { return "latency" }

// latencyReport has the measurements of the scenario.
type latencyReport struct {
	costs

	Machine  machine `json:"machine"`
	Rate     float64 `json:"rate_per_s"`
	WarmUp   int64   `json:"warm_up_messages"`
	Messages int64   `json:"messages"`
	// WhatsApp is the response time of the simulated WhatsApp, which CallToSent includes.
	WhatsApp float64 `json:"whatsapp_response_ms"`
	// Accepted is the time of the request that queues a message. QueuedToCall ends when the call arrives at WhatsApp, and CallToSent
	// begins there. WebhookToVisible begins when the webhook with the delivery arrives, and ends when the list of messages shows it.
	Accepted         Percentiles          `json:"accepted"`
	QueuedToCall     Percentiles          `json:"queued_to_call"`
	CallToSent       Percentiles          `json:"call_to_sent"`
	WebhookToVisible Percentiles          `json:"webhook_to_visible"`
	Behind           Percentiles          `json:"read_model_behind"`
	Ledger           harness.LedgerCounts `json:"ledger"`
	Simulator        simulator.Stats      `json:"simulator"`
}

// followed is a message and when its list entry showed it as delivered.
type followed struct {
	id      string
	queueIn time.Duration // the time of the request that queued it
	visible time.Time
}

// Measure runs the scenario with data and logs in dir.
func (b Latency) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := latencyReport{Rate: b.Rate, WhatsApp: float64(b.Latency.Microseconds()) / 1000}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	const limit = 1000 // of the sender, far above the rate
	r, err := b.start(ctx, dir, nil, map[string]any{"rate": limit, "latency": b.Latency.String()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: 1, Batch: 1}
	if err := l.Register(ctx, limit); err != nil {
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
	profiled := b.profile(ctx, r, b.Duration)
	start := time.Now()
	messages, lag, err := b.drive(ctx, l)
	if err := errors.Join(err, <-profiled); err != nil {
		return nil, err
	}
	if f.Ledger, _, err = l.AwaitRead(ctx, b.Patience); err != nil {
		return nil, err
	}
	f.Messages, f.Behind = int64(len(messages)), lag.reported.percentiles()
	if f.costs, err = used.costs(ctx, f.Messages); err != nil {
		return nil, err
	}
	if err := f.evaluate(ctx, r, messages); err != nil {
		return nil, err
	}
	if b.SVG != "" {
		sample, err := l.sampleHistories(ctx)
		if err != nil {
			return nil, err
		}
		if err := writeChart(b.SVG, "waypost bench latency", f.conditions(), plotsOf(start, sample, lag)); err != nil {
			return nil, err
		}
	}
	f.Simulator, err = r.Stats(ctx)
	return f, err
}

// drive queues messages one by one, follows each until it is listed as delivered, and samples the lag of the read models.
func (b Latency) drive(ctx context.Context, l *Load) (all []followed, lag Lag, err error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var watch sync.WaitGroup
	var watchErr error
	watch.Go(func() { lag, watchErr = l.WatchLag(watching) })
	count := int(b.Rate * b.Duration.Seconds())
	all = make([]followed, count)
	group, following := errgroup.WithContext(ctx)
	group.SetLimit(latencyAtOnce)
	start := time.Now()
	for n := range count {
		due := start.Add(time.Duration(float64(n) / b.Rate * float64(time.Second)))
		if err := retry.Sleep(following, time.Until(due)); err != nil {
			break // group.Wait returns the cause
		}
		group.Go(func() (err error) {
			all[n], err = b.follow(following, l, l.Skip+n)
			return err
		})
	}
	err = group.Wait()
	stop()
	watch.Wait()
	if err = errors.Join(err, watchErr, ctx.Err()); err != nil {
		return nil, lag, err
	}
	for _, m := range all {
		l.ids = append(l.ids, m.id)
	}
	return all, lag, nil
}

// follow queues the n-th message and waits until the list shows it as delivered. It looks only once that is possible.
func (b Latency) follow(ctx context.Context, l *Load, n int) (m followed, err error) {
	begun := time.Now()
	ids, err := l.Client.QueueMessages(ctx, []map[string]any{harness.Message(SenderID(0), MessageKey(n), n)})
	if err != nil {
		return m, fmt.Errorf("queue a message: %w", err)
	}
	l.Queued.Add(1)
	m.id, m.queueIn = ids[0], time.Since(begun)
	if err := retry.Sleep(ctx, b.Latency); err != nil {
		return m, err
	}
	for giveUp := time.Now().Add(b.Patience); ; {
		status, err := l.Client.ListedStatus(ctx, SenderID(0), MessageKey(n))
		if err != nil {
			return m, err
		}
		switch {
		case status == "DELIVERED", status == "READ":
			m.visible = time.Now()
			return m, nil
		case time.Now().After(giveUp):
			return m, fmt.Errorf("message %s is still %s after %s", m.id, status, b.Patience)
		}
		if err := retry.Sleep(ctx, visiblePoll); err != nil {
			return m, err
		}
	}
}

// evaluate computes the times of the messages' steps.
func (f *latencyReport) evaluate(ctx context.Context, r *observed, messages []followed) error {
	calls, err := r.CallLog(ctx)
	if err != nil {
		return err
	}
	arrived := make(map[string]time.Time, len(calls))
	for _, c := range calls {
		if _, rest, found := strings.Cut(c.Callback, ":"); found { // format:message:call
			id, _, _ := strings.Cut(rest, ":")
			arrived[id] = c.At
		}
	}
	webhooks, err := r.WebhookStarts()
	if err != nil {
		return err
	}
	accepted, call, sent, visible := newLatencies(), newLatencies(), newLatencies(), newLatencies()
	for _, m := range messages {
		_, at, err := r.Client.MessageLifecycle(ctx, m.id)
		if err != nil {
			return err
		}
		delivery, err := r.Client.DeliveryOf(ctx, m.id)
		if err != nil {
			return err
		}
		received, found := webhooks[delivery]
		if arrived[m.id].IsZero() || at["Sent"].IsZero() || !found {
			return fmt.Errorf("the call, the acceptance, or the webhook %q of message %s is missing: %v", delivery, m.id, at)
		}
		accepted.record(m.queueIn)
		call.record(arrived[m.id].Sub(at["Queued"]))
		sent.record(at["Sent"].Sub(arrived[m.id]))
		visible.record(m.visible.Sub(received))
	}
	f.Accepted, f.QueuedToCall = accepted.percentiles(), call.percentiles()
	f.CallToSent, f.WebhookToVisible = sent.percentiles(), visible.percentiles()
	return nil
}

// conditions describes the load in one line.
func (f latencyReport) conditions() string {
	return fmt.Sprintf("%d messages at %g/s, WhatsApp responds after %g ms, %d CPUs, %s",
		f.Messages, f.Rate, f.WhatsApp, f.Machine.CPUs, time.Now().UTC().Format(time.DateOnly))
}

// Findings returns what Waypost did wrong.
func (f latencyReport) Findings() []string {
	var found []string
	all := f.Messages + f.WarmUp
	if f.Ledger.Accepted != all || f.Ledger.Read != all {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages were read: %v", all, f.Ledger))
	}
	return append(found, commonFindings(all, f.Ledger, f.Simulator)...)
}

func (f latencyReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d at %g/s, after a warm-up of %d; WhatsApp responds after %g ms", f.Messages, f.Rate, f.WarmUp, f.WhatsApp)
	w.linef("accepted in", "%v", f.Accepted)
	w.linef("queued to call", "%v; goal p99 50 ms", f.QueuedToCall)
	w.linef("call to sent", "%v, including WhatsApp's response", f.CallToSent)
	w.linef("webhook to visible", "%v, until the list shows the delivery", f.WebhookToVisible)
	w.linef("read models behind", "%v", f.Behind)
	f.costs.print(w)
	w.linef("ledger", "%v", f.Ledger)
}
