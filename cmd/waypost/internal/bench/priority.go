package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// otpGoal is the time within which an urgent message must be called after it is queued, in addition to one slot of its sender's rate.
const otpGoal = 50 * time.Millisecond

// Priority sends urgent messages behind a backlog.
type Priority struct {
	Backlog int           `help:"Number of BULK messages that wait." default:"100000"`
	Urgent  int           `help:"Number of OTP messages that are queued after them, one by one." default:"100"`
	Every   time.Duration `help:"Time between two OTP messages." default:"100ms"`
	Rate    int           `help:"Rate of the sender, in messages per second." default:"80"`
	WarmUp  int           `help:"Number of messages that are sent and read before the backlog. They are not counted." default:"200"`
}

// Validate returns an error if a parameter is out of its range.
func (b Priority) Validate() error {
	switch {
	case b.Backlog < 0 || b.Backlog > 1_000_000:
		return errors.New("--backlog must be from 0 to 1000000")
	case b.Urgent < 1 || b.Urgent > 10_000:
		return errors.New("--urgent must be from 1 to 10000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	}
	if b.WarmUp < 0 || b.WarmUp > 100_000 {
		return errors.New("--warm-up must be from 0 to 100000")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Priority) Name() string { return "priority" }

// priorityReport has the measurements of the scenario.
type priorityReport struct {
	Paces

	Machine machine     `json:"machine"`
	Backlog int         `json:"backlog"`
	Rate    int         `json:"rate"`
	ToCall  Percentiles `json:"queued_to_call"`
}

// Measure runs the scenario with data and logs in dir.
func (b Priority) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := priorityReport{Backlog: b.Backlog, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	r, err := harness.Start(ctx, dir, nil, map[string]any{"rate": b.Rate})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: 1, Batch: lifecycleBatch, priority: "BULK", warmFirst: b.WarmUp}
	if err := l.backlog(ctx, b.Rate, b.Backlog); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := retry.Sleep(ctx, 3*settleTime); err != nil {
		return nil, err
	}
	toCall := newLatencies()
	var ids []string
	for n := range b.Urgent {
		input := harness.Message(SenderID(0), fmt.Sprintf("urgent-%d", n), b.WarmUp+b.Backlog+n)
		input["priority"] = "OTP"
		id, err := r.Client.QueueMessages(ctx, []map[string]any{input})
		if err != nil {
			return nil, fmt.Errorf("queue an urgent message: %w", err)
		}
		ids = append(ids, id...)
		if err := retry.Sleep(ctx, b.Every); err != nil {
			return nil, err
		}
	}
	if err := retry.Sleep(ctx, settleTime); err != nil {
		return nil, err
	}
	for _, id := range ids {
		_, at, err := r.Client.MessageLifecycle(ctx, id)
		if err != nil {
			return nil, err
		}
		if at["SendAttempted"].IsZero() {
			toCall.record(time.Hour) // it still waits
			continue
		}
		toCall.record(at["SendAttempted"].Sub(at["Queued"]))
	}
	f.ToCall = toCall.percentiles()
	f.Paces, err = measurePaces(ctx, r, begun)
	return f, err
}

// Findings returns what Waypost did wrong.
func (f priorityReport) Findings() []string { return f.Paces.Findings(f.Rate) }

func (f priorityReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("backlog", "%d BULK messages of one sender at %d/s", f.Backlog, f.Rate)
	w.linef("OTP to call", "%v; goal p99 %d ms and a slot of %.1f ms", f.ToCall, otpGoal.Milliseconds(), 1000/float64(f.Rate))
	f.Paces.print(w, f.Rate)
}
