package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// settleTime is the time for earlier work to finish before a measurement.
const settleTime = time.Second

// Rate measures how exactly lanes keep their rates.
type Rate struct {
	Senders   int           `help:"Number of senders." default:"20"`
	Rate      int           `help:"Rate of each sender, in messages per second." default:"80"`
	Duration  time.Duration `help:"How long the backlog lasts at the full rate." default:"20s"`
	Latency   time.Duration `help:"Response time of the simulated WhatsApp." default:"50ms"`
	Webhooks  bool          `help:"Make the simulator send statuses." default:"true" negatable:""`
	Processes int           `help:"Number of processes that share the lanes." default:"1"`
	WarmUp    int           `help:"Number of messages that are sent and read before the backlog. The rates do not include them. Without statuses, there is no warm-up." default:"1000"`
}

// Validate returns an error if a parameter is out of its range.
func (b Rate) Validate() error {
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
	if b.WarmUp < 0 || b.WarmUp > 1_000_000 {
		return errors.New("--warm-up must be from 0 to 1000000")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Rate) Name() string { return "rate" }

// rateReport has the measurements of the scenario.
type rateReport struct {
	Paces

	Machine   machine `json:"machine"`
	Senders   int     `json:"senders"`
	Rate      int     `json:"rate_per_sender"`
	Messages  int64   `json:"messages"`
	Processes int     `json:"processes"`
	Throttled int64   `json:"throttled"`
	Twice     int64   `json:"sent_twice"`
	Sent      int64   `json:"sent"`
}

// Measure runs the scenario with data and logs in dir.
func (b Rate) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := rateReport{Senders: b.Senders, Rate: b.Rate, Processes: b.Processes}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	control := map[string]any{"rate": b.Rate, "latency": b.Latency.String()}
	if !b.Webhooks {
		control["webhook_url"] = ""
	}
	g, err := harness.StartGroup(ctx, dir, b.Processes, control)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Stop(ctx)) }()

	total := int(math.Ceil(float64(b.Senders*b.Rate) * b.Duration.Seconds()))
	l := &Load{Client: g.Client, Senders: b.Senders, Batch: lifecycleBatch}
	if b.Webhooks { // otherwise nothing is ever read
		l.warmFirst = b.WarmUp
	}
	if err := l.backlog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := g.AwaitCalls(ctx, l.Queued.Load(), b.Duration+b.Duration/2+time.Minute); err != nil {
		return nil, err
	}
	if err := retry.Sleep(ctx, settleTime); err != nil { // the last responses are logged
		return nil, err
	}
	f.Messages = l.Queued.Load()
	if f.Paces, err = measurePaces(ctx, g.TestEnv, begun); err != nil {
		return nil, err
	}
	stats, err := g.Stats(ctx)
	f.Throttled, f.Twice, f.Sent = stats.Answers["130429"], stats.Duplicates, stats.Messages
	return f, err
}

// Findings returns what Waypost did wrong.
func (f rateReport) Findings() []string {
	found := f.Paces.Findings(f.Rate)
	if f.Sent != f.Messages || f.Twice > 0 {
		found = append(found, fmt.Sprintf("%d messages were queued, WhatsApp has %d of them, %d twice", f.Messages, f.Sent, f.Twice))
	}
	return found
}

func (f rateReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, %d processes", f.Messages, f.Senders, f.Rate, f.Processes)
	f.Paces.print(w, f.Rate)
	w.linef("throttled", "%d calls", f.Throttled)
	w.linef("sent twice", "%d", f.Twice)
}
