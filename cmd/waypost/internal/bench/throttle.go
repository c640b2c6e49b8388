package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Throttle sends against a limit that Waypost does not know.
type Throttle struct {
	Rate     int           `help:"Registered rate of the sender, in messages per second." default:"80"`
	Limit    int           `help:"Rate that WhatsApp accepts, in messages per second." default:"40"`
	Warmup   time.Duration `help:"Time for Waypost to find the limit." default:"15s"`
	Duration time.Duration `help:"Duration of the measurement after the warm-up." default:"60s"`
}

// Validate returns an error if a parameter is out of its range.
func (b Throttle) Validate() error {
	switch {
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	case b.Limit < 1 || b.Limit > b.Rate:
		return errors.New("--limit must be from 1 to the rate")
	case b.Warmup < time.Second || b.Duration < time.Second || b.Warmup+b.Duration > time.Hour:
		return errors.New("--warmup and --duration must be from 1s to an hour together")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Throttle) Name() string { return "throttle" }

// throttleReport has the measurements of the scenario.
type throttleReport struct {
	Machine machine `json:"machine"`
	Rate    int     `json:"rate"`
	Limit   int     `json:"limit"`
	// Settled is the rate of accepted calls after the warm-up. MostCalled is the largest number of calls within one second, including
	// throttled ones.
	Settled    float64 `json:"settled_per_s"`
	MostCalled int     `json:"most_called_in_a_second"`
	Refused    int     `json:"refused"`
	Dead       int64   `json:"dead_letters"`
}

// Measure runs the scenario with data and logs in dir.
func (b Throttle) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := throttleReport{Rate: b.Rate, Limit: b.Limit}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	r, err := harness.Start(ctx, dir, nil, map[string]any{"rate": b.Limit})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: 1, Batch: lifecycleBatch}
	total := int(float64(b.Rate) * (b.Warmup + b.Duration).Seconds())
	if err := l.sendBacklog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	if err := retry.Sleep(ctx, b.Warmup+b.Duration); err != nil {
		return nil, err
	}
	calls, err := r.CallLog(ctx)
	if err != nil {
		return nil, err
	}
	if len(calls) == 0 {
		return nil, errors.New("nothing was sent")
	}
	begun := time.Duration(calls[0].AtNanos) + b.Warmup
	var made []time.Duration
	accepted := 0
	for _, c := range calls {
		at := time.Duration(c.AtNanos)
		if !c.Accepted {
			f.Refused++
		}
		if at < begun || at >= begun+b.Duration-settleTime {
			continue
		}
		made = append(made, at)
		if c.Accepted {
			accepted++
		}
	}
	f.Settled = float64(accepted) / (b.Duration - settleTime).Seconds()
	f.MostCalled = LargestSecond(made)
	ledger, err := r.Client.Ledger(ctx)
	f.Dead = ledger.DeadLettered
	return f, err
}

// Findings returns what Waypost did wrong.
func (f throttleReport) Findings() []string {
	if f.Settled < 0.9*float64(f.Limit) {
		return []string{fmt.Sprintf("sending settled at %.1f/s; WhatsApp accepts %d", f.Settled, f.Limit)}
	}
	return nil
}

func (f throttleReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("limit", "%d/s, registered %d/s", f.Limit, f.Rate)
	w.linef("settled at", "%.1f/s (%.0f%%); goal 90%%", f.Settled, 100*f.Settled/float64(f.Limit))
	w.linef("largest second", "%d calls after the warm-up", f.MostCalled)
	w.linef("refused", "%d calls in all, %d dead letters", f.Refused, f.Dead)
}
