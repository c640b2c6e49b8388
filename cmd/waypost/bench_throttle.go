package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type benchThrottle struct {
	benchOutput

	Rate     int           `help:"Messages a second that the sender is registered with." default:"80"`
	Limit    int           `help:"Messages a second that WhatsApp takes." default:"40"`
	Warmup   time.Duration `help:"Time to find the limit." default:"15s"`
	Duration time.Duration `help:"Time that is measured after it." default:"60s"`
}

// Validate is called by kong.
func (b benchThrottle) Validate() error {
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

// Run sends against a limit that nobody told the platform of.
func (b benchThrottle) Run(env *environment) error {
	return b.play(env, scenario{name: "throttle", run: b.measure})
}

// throttleReport are the figures of the scenario.
type throttleReport struct {
	Machine machine `json:"machine"`
	Rate    int     `json:"rate"`
	Limit   int     `json:"limit"`
	// Settled is what was accepted a second after the warm-up, MostAccepted the most
	// within a second, MostCalled the most calls, refused ones too.
	Settled    float64 `json:"settled_per_s"`
	MostCalled int     `json:"most_called_in_a_second"`
	Refused    int     `json:"refused"`
	Dead       int64   `json:"dead_letters"`
}

func (b benchThrottle) measure(ctx context.Context, dir string) (_ report, err error) {
	f := throttleReport{Rate: b.Rate, Limit: b.Limit}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := startRig(ctx, dir, nil, map[string]any{"rate": b.Limit})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	l := &load{client: r.client, senders: 1, batch: lifecycleBatch}
	total := int(float64(b.Rate) * (b.Warmup + b.Duration).Seconds())
	if err := l.backlog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, b.Warmup+b.Duration); err != nil {
		return nil, err
	}
	calls, err := r.callLog(ctx)
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
	f.MostCalled = largestSecond(made)
	ledger, err := r.client.ledger(ctx)
	f.Dead = ledger.DeadLettered
	return f, err
}

func (f throttleReport) findings() []string {
	if f.Settled < 0.9*float64(f.Limit) {
		return []string{fmt.Sprintf("it settled at %.1f/s where WhatsApp takes %d", f.Settled, f.Limit)}
	}
	return nil
}

func (f throttleReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("limit", "%d/s, registered %d/s", f.Limit, f.Rate)
	w.linef("settled at", "%.1f/s (%.0f %%); goal 90 %%", f.Settled, 100*f.Settled/float64(f.Limit))
	w.linef("largest second", "%d calls after the warm-up", f.MostCalled)
	w.linef("refused", "%d calls in all, %d dead letters", f.Refused, f.Dead)
}
