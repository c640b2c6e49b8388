package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Hang measures how much a phone number whose calls hang slows the others.
type Hang struct {
	Senders  int           `help:"Number of senders. The calls of one of them hang." default:"2"`
	Rate     int           `help:"Rate of each sender, in messages per second." default:"400"`
	Duration time.Duration `help:"How long the backlog lasts at the full rate." default:"20s"`
}

// Validate returns an error if a parameter is out of its range.
func (b Hang) Validate() error {
	if b.Senders < 2 {
		return errors.New("--senders must be at least 2")
	}
	return Rate{Senders: b.Senders, Rate: b.Rate, Duration: b.Duration, Processes: 1}.Validate()
}

// Name returns the name of the scenario.
func (b Hang) Name() string { return "hang" }

// hangReport has the measurements of the scenario.
type hangReport struct {
	Machine machine `json:"machine"`
	Senders int     `json:"senders"`
	Rate    int     `json:"rate_per_sender"`
	Least   float64 `json:"slowest_healthy_per_s"`
	Hanging int     `json:"calls_of_the_hanging_sender"`
	Written int     `json:"written_most_in_a_second"`
}

// Measure runs the scenario with data and logs in dir.
func (b Hang) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := hangReport{Senders: b.Senders, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	hangs := SenderNumber(0)
	r, err := harness.Start(ctx, dir, nil, map[string]any{"rate": b.Rate, "hang_numbers": []string{hangs}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	each := int(float64(b.Rate) * b.Duration.Seconds())
	l := &Load{Client: r.Client, Senders: b.Senders, Batch: lifecycleBatch}
	if err := l.sendBacklog(ctx, b.Rate, each*b.Senders); err != nil {
		return nil, err
	}
	if err := r.AwaitCalls(ctx, int64(each*(b.Senders-1)), 2*b.Duration+time.Minute); err != nil {
		return nil, err
	}
	calls, err := r.CallLog(ctx)
	if err != nil {
		return nil, err
	}
	for number, times := range byNumber(calls) {
		if pace := perSecond(times); number != hangs && (f.Least == 0 || pace < f.Least) {
			f.Least = pace
		}
	}
	written, err := r.Written()
	for _, times := range written {
		f.Written = max(f.Written, LargestSecond(times))
	}
	// Calls that hang are in no log before they end.
	stats, statsErr := r.Stats(ctx)
	f.Hanging = int(stats.Numbers[hangs].Calls)
	return f, errors.Join(err, statsErr)
}

// Findings returns what Waypost did wrong.
func (f hangReport) Findings() []string {
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
	w.linef("slowest healthy", "%.2f/s (%.1f%%); goal 95%%", f.Least, 100*f.Least/float64(f.Rate))
	w.linef("hanging", "%d calls", f.Hanging)
	w.linef("largest second", "%d by the lanes' own stamps, goal %d", f.Written, f.Rate)
}
