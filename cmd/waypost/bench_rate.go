package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// settleTime is given to what was begun before a measurement.
const settleTime = time.Second

type benchRate struct {
	benchOutput

	Senders   int           `help:"Phone numbers that messages are sent from." default:"20"`
	Rate      int           `help:"Messages a second of each sender." default:"80"`
	Duration  time.Duration `help:"How long the backlog lasts at the full rate." default:"20s"`
	Latency   time.Duration `help:"How long the simulated WhatsApp takes to answer." default:"50ms"`
	Webhooks  bool          `help:"Have the simulator report on each message." default:"true" negatable:""`
	Processes int           `help:"Processes that share the lanes." default:"1"`
}

// Validate is called by kong.
func (b benchRate) Validate() error {
	switch {
	case b.Senders < 1 || b.Senders > 1000:
		return errors.New("--senders must be from 1 to 1000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	case b.Duration < 2*time.Second || b.Duration > 10*time.Minute:
		return errors.New("--duration must be from 2s to 10m")
	case b.Processes < 1 || b.Processes > 8:
		return errors.New("--processes must be from 1 to 8")
	}
	return nil
}

// Run measures how exactly the lanes keep their rates.
func (b benchRate) Run(env *environment) error {
	return b.play(env, scenario{name: "rate", run: b.measure})
}

// rateReport are the figures of the scenario.
type rateReport struct {
	paces

	Machine   machine `json:"machine"`
	Senders   int     `json:"senders"`
	Rate      int     `json:"rate_per_sender"`
	Messages  int64   `json:"messages"`
	Processes int     `json:"processes"`
	Throttled int64   `json:"throttled"`
	Twice     int64   `json:"sent_twice"`
	Sent      int64   `json:"sent"`
}

func (b benchRate) measure(ctx context.Context, dir string) (_ report, err error) {
	f := rateReport{Senders: b.Senders, Rate: b.Rate, Processes: b.Processes}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	control := map[string]any{"rate": b.Rate, "latency": b.Latency.String()}
	if !b.Webhooks {
		control["webhook_url"] = ""
	}
	g, err := startGroup(ctx, dir, b.Processes, control)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.stop(ctx)) }()

	total := int(math.Ceil(float64(b.Senders*b.Rate) * b.Duration.Seconds()))
	l := &load{client: g.client, senders: b.Senders, batch: lifecycleBatch}
	if err := l.backlog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := g.awaitCalls(ctx, int64(total), b.Duration+b.Duration/2+time.Minute); err != nil {
		return nil, err
	}
	if err := pause(ctx, settleTime); err != nil { // the last answers are logged
		return nil, err
	}
	f.Messages = l.queued.Load()
	if f.paces, err = g.measurePaces(ctx); err != nil {
		return nil, err
	}
	stats, err := g.stats(ctx)
	f.Throttled, f.Twice, f.Sent = stats.Answers["130429"], stats.Duplicates, stats.Messages
	return f, err
}

func (f rateReport) findings() []string {
	found := f.paces.findings(f.Rate)
	if f.Sent != f.Messages || f.Twice > 0 {
		found = append(found, fmt.Sprintf("%d messages were queued, WhatsApp has %d of them, %d twice", f.Messages, f.Sent, f.Twice))
	}
	return found
}

func (f rateReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, %d processes", f.Messages, f.Senders, f.Rate, f.Processes)
	f.paces.print(w, f.Rate)
	w.linef("throttled", "%d calls", f.Throttled)
	w.linef("sent twice", "%d", f.Twice)
}
