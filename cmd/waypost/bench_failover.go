package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// failoverGoal is how soon the lanes of a process that was killed are served again.
const failoverGoal = 5 * time.Second

type benchFailover struct {
	benchOutput

	Senders  int           `help:"Phone numbers that messages are sent from." default:"20"`
	Rate     int           `help:"Messages a second of each sender." default:"80"`
	Duration time.Duration `help:"How long the backlog lasts at the full rate; one of two processes is killed after a third of it." default:"24s"`
	Latency  time.Duration `help:"How long the simulated WhatsApp takes to answer." default:"50ms"`
}

// Validate is called by kong.
func (b benchFailover) Validate() error {
	return benchRate{Senders: b.Senders, Rate: b.Rate, Duration: b.Duration, Processes: 2}.Validate()
}

// Run kills one of two processes that send.
func (b benchFailover) Run(env *environment) error {
	return b.play(env, scenario{name: "failover", run: b.measure})
}

// failoverReport are the figures of the scenario.
type failoverReport struct {
	paces

	Machine  machine `json:"machine"`
	Senders  int     `json:"senders"`
	Rate     int     `json:"rate_per_sender"`
	Messages int64   `json:"messages"`
	// Stood is how many senders stood still, Longest for how long at most.
	Stood   int     `json:"senders_that_stood_still"`
	Longest float64 `json:"longest_stand_s"`
	Unsent  int64   `json:"calls_cut_off"`
	Twice   int64   `json:"sent_twice"`
	Echo    int64   `json:"sent_twice_after_echo"`
}

func (b benchFailover) measure(ctx context.Context, dir string) (_ report, err error) {
	f := failoverReport{Senders: b.Senders, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	g, err := startGroup(ctx, dir, 2, map[string]any{"rate": b.Rate, "latency": b.Latency.String()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.stop(ctx)) }()
	total := int(float64(b.Senders*b.Rate) * b.Duration.Seconds())
	l := &load{client: g.client, senders: b.Senders, batch: lifecycleBatch}
	if err := l.backlog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, b.Duration/3); err != nil {
		return nil, err
	}
	g.others[0].kill()
	g.others = nil
	// Calls that were cut off wait for their echo.
	if err := g.awaitCalls(ctx, int64(total), 2*b.Duration+time.Minute); err != nil {
		return nil, err
	}
	if err := pause(ctx, settleTime); err != nil {
		return nil, err
	}
	f.Messages = l.queued.Load()
	if f.paces, err = g.measurePaces(ctx); err != nil {
		return nil, err
	}
	calls, err := g.callLog(ctx)
	if err != nil {
		return nil, err
	}
	for _, times := range byNumber(calls) {
		// What is sent after the backlog's end are the calls that were cut off.
		gap := longestGap(times[:len(times)*9/10])
		if gap > time.Second {
			f.Stood++
		}
		f.Longest = max(f.Longest, gap.Seconds())
	}
	stats, err := g.stats(ctx)
	f.Unsent = stats.Answers["cut"]
	f.Twice, f.Echo = stats.Duplicates, stats.DuplicatesAfterEcho
	return f, err
}

func (f failoverReport) findings() []string {
	found := f.paces.findings(f.Rate)
	if f.Longest > failoverGoal.Seconds() {
		found = append(found, fmt.Sprintf("a sender stood still for %.2f s", f.Longest))
	}
	if f.Stood == 0 {
		found = append(found, "no sender stood still: the process that was killed sent for none, and the figures prove nothing")
	}
	if f.Echo > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent again after their echo was recorded", f.Echo))
	}
	return found
}

func (f failoverReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, one of two processes killed", f.Messages, f.Senders, f.Rate)
	w.linef("stood still", "%d senders, at most %.2f s; goal %.0f s", f.Stood, f.Longest, failoverGoal.Seconds())
	w.linef("largest second", "%d by the lanes' own stamps, goal %d; %d at the simulator, goal %d", f.WrittenMost, f.Rate, f.ArrivedMost, f.Rate*105/100)
	w.linef("sent twice", "%d, after an echo %d", f.Twice, f.Echo)
}
