package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type benchHang struct {
	benchOutput

	Senders  int           `help:"Phone numbers that messages are sent from; the calls of one of them hang." default:"2"`
	Rate     int           `help:"Messages a second of each sender." default:"400"`
	Duration time.Duration `help:"How long the backlog lasts at the full rate." default:"20s"`
}

// Validate is called by kong.
func (b benchHang) Validate() error {
	if b.Senders < 2 {
		return errors.New("--senders must be at least 2")
	}
	return benchRate{Senders: b.Senders, Rate: b.Rate, Duration: b.Duration, Processes: 1}.Validate()
}

// Run measures what a number whose calls hang costs the others.
func (b benchHang) Run(env *environment) error {
	return b.play(env, scenario{name: "hang", run: b.measure})
}

// hangReport are the figures of the scenario.
type hangReport struct {
	Machine machine `json:"machine"`
	Senders int     `json:"senders"`
	Rate    int     `json:"rate_per_sender"`
	Least   float64 `json:"slowest_healthy_per_s"`
	Hanging int     `json:"calls_of_the_hanging_sender"`
	Written int     `json:"written_most_in_a_second"`
}

func (b benchHang) measure(ctx context.Context, dir string) (_ report, err error) {
	f := hangReport{Senders: b.Senders, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	hangs := senderNumber(0)
	r, err := startRig(ctx, dir, nil, map[string]any{"rate": b.Rate, "hang_numbers": []string{hangs}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	each := int(float64(b.Rate) * b.Duration.Seconds())
	l := &load{client: r.client, senders: b.Senders, batch: lifecycleBatch}
	if err := l.backlog(ctx, b.Rate, each*b.Senders); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := r.awaitCalls(ctx, int64(each*(b.Senders-1)), 2*b.Duration+time.Minute); err != nil {
		return nil, err
	}
	calls, err := r.callLog(ctx)
	if err != nil {
		return nil, err
	}
	for number, times := range byNumber(calls) {
		if pace := perSecond(times); number != hangs && (f.Least == 0 || pace < f.Least) {
			f.Least = pace
		}
	}
	written, err := r.written()
	for _, times := range written {
		f.Written = max(f.Written, largestSecond(times))
	}
	// Calls that hang stand in no log before they end.
	stats, statsErr := r.stats(ctx)
	f.Hanging = int(stats.Numbers[hangs].Calls)
	return f, errors.Join(err, statsErr)
}

func (f hangReport) findings() []string {
	var found []string
	if f.Least < 0.95*float64(f.Rate) {
		found = append(found, fmt.Sprintf("a healthy sender fell to %.1f/s of %d", f.Least, f.Rate))
	}
	if f.Written > f.Rate {
		found = append(found, fmt.Sprintf("a lane wrote %d calls in one second at a rate of %d", f.Written, f.Rate))
	}
	return found
}

func (f hangReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("senders", "%d at %d/s each, the calls of one hang", f.Senders, f.Rate)
	w.linef("slowest healthy", "%.2f/s (%.1f %%); goal 95 %%", f.Least, 100*f.Least/float64(f.Rate))
	w.linef("hanging", "%d calls", f.Hanging)
	w.linef("largest second", "%d by the lanes' own stamps, goal %d", f.Written, f.Rate)
}
