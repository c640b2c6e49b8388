package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// otpGoal is how soon after its queueing an urgent message is called, a slot of its
// sender's rate beside it.
const otpGoal = 50 * time.Millisecond

type benchPriority struct {
	benchOutput

	Backlog int           `help:"BULK messages that wait." default:"100000"`
	Urgent  int           `help:"OTP messages queued behind them, one by one." default:"100"`
	Every   time.Duration `help:"Time between two of them." default:"100ms"`
	Rate    int           `help:"Messages a second of the sender." default:"80"`
}

// Validate is called by kong.
func (b benchPriority) Validate() error {
	switch {
	case b.Backlog < 0 || b.Backlog > 1_000_000:
		return errors.New("--backlog must be from 0 to 1000000")
	case b.Urgent < 1 || b.Urgent > 10_000:
		return errors.New("--urgent must be from 1 to 10000")
	case b.Rate < 1 || b.Rate > 1000:
		return errors.New("--rate must be from 1 to 1000")
	}
	return nil
}

// Run sends urgent messages behind a backlog.
func (b benchPriority) Run(env *environment) error {
	return b.play(env, scenario{name: "priority", run: b.measure})
}

// priorityReport are the figures of the scenario.
type priorityReport struct {
	paces

	Machine machine     `json:"machine"`
	Backlog int         `json:"backlog"`
	Rate    int         `json:"rate"`
	ToCall  percentiles `json:"queued_to_call"`
}

func (b benchPriority) measure(ctx context.Context, dir string) (_ report, err error) {
	f := priorityReport{Backlog: b.Backlog, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := startRig(ctx, dir, nil, map[string]any{"rate": b.Rate})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	l := &load{client: r.client, senders: 1, batch: lifecycleBatch, priority: "BULK"}
	if err := l.backlog(ctx, b.Rate, b.Backlog); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, 3*settleTime); err != nil {
		return nil, err
	}
	toCall := newLatencies()
	var ids []string
	for n := range b.Urgent {
		input := benchMessage(senderID(0), fmt.Sprintf("urgent-%d", n), b.Backlog+n)
		input["priority"] = "OTP"
		id, err := r.client.queueMessages(ctx, []map[string]any{input})
		if err != nil {
			return nil, fmt.Errorf("queue an urgent message: %w", err)
		}
		ids = append(ids, id...)
		if err := pause(ctx, b.Every); err != nil {
			return nil, err
		}
	}
	if err := pause(ctx, settleTime); err != nil {
		return nil, err
	}
	for _, id := range ids {
		_, at, err := r.client.messageLifecycle(ctx, id)
		if err != nil {
			return nil, err
		}
		if at["SendAttempted"].IsZero() {
			toCall.record(time.Hour) // it waits still
			continue
		}
		toCall.record(at["SendAttempted"].Sub(at["Queued"]))
	}
	f.ToCall = toCall.percentiles()
	f.paces, err = r.measurePaces(ctx)
	return f, err
}

func (f priorityReport) findings() []string { return f.paces.findings(f.Rate) }

func (f priorityReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("backlog", "%d BULK messages of one sender at %d/s", f.Backlog, f.Rate)
	w.linef("OTP to call", "%v; goal p99 %d ms and a slot of %.1f ms", f.ToCall, otpGoal.Milliseconds(), 1000/float64(f.Rate))
	f.paces.print(w, f.Rate)
}
