package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// FailoverGoal is the time within which other processes must serve the lanes of a killed one.
const FailoverGoal = 5 * time.Second

// Failover kills one of two sending processes.
type Failover struct {
	Senders  int           `help:"Phone numbers that messages are sent from." default:"20"`
	Rate     int           `help:"Rate of each sender, in messages per second." default:"80"`
	Duration time.Duration `help:"How long the backlog lasts at the full rate. One of two processes is killed after a third of it." default:"24s"`
	Latency  time.Duration `help:"Response time of the simulated WhatsApp." default:"50ms"`
}

// Validate returns an error if a parameter is out of its range.
func (b Failover) Validate() error {
	return Rate{Senders: b.Senders, Rate: b.Rate, Duration: b.Duration, Processes: 2}.Validate()
}

// Name returns the name of the scenario.
func (b Failover) Name() string { return "failover" }

// FailoverReport has the measurements of the scenario.
type FailoverReport struct {
	Paces

	Machine  machine `json:"machine"`
	Senders  int     `json:"senders"`
	Rate     int     `json:"rate_per_sender"`
	Messages int64   `json:"messages"`
	// Stopped is the number of senders that stopped, and Longest the longest stop.
	Stopped int     `json:"senders_that_stood_still"`
	Longest float64 `json:"longest_stand_s"`
	Unsent  int64   `json:"calls_cut_off"`
	Twice   int64   `json:"sent_twice"`
	Echo    int64   `json:"sent_twice_after_echo"`
}

// Measure runs the scenario with data and logs in dir.
func (b Failover) Measure(ctx context.Context, dir string) (_ Report, err error) {
	f := FailoverReport{Senders: b.Senders, Rate: b.Rate}
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	g, err := harness.StartGroup(ctx, dir, 2, map[string]any{"rate": b.Rate, "latency": b.Latency.String()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Stop(ctx)) }()
	total := int(float64(b.Senders*b.Rate) * b.Duration.Seconds())
	l := &Load{Client: g.Client, Senders: b.Senders, Batch: lifecycleBatch}
	if err := l.sendBacklog(ctx, b.Rate, total); err != nil {
		return nil, err
	}
	if err := retry.Sleep(ctx, b.Duration/3); err != nil {
		return nil, err
	}
	g.Others[0].Kill()
	g.Others = nil
	// Calls that were cut off wait for their echo.
	if err := g.AwaitCalls(ctx, int64(total), 2*b.Duration+time.Minute); err != nil {
		return nil, err
	}
	if err := retry.Sleep(ctx, settleTime); err != nil {
		return nil, err
	}
	f.Messages = l.Queued.Load()
	if f.Paces, err = measurePaces(ctx, g.TestEnv, time.Time{}); err != nil {
		return nil, err
	}
	calls, err := g.CallLog(ctx)
	if err != nil {
		return nil, err
	}
	for _, times := range byNumber(calls) {
		// Calls that were cut off are sent after the backlog's end.
		gap := LongestGap(times[:len(times)*9/10])
		if gap > time.Second {
			f.Stopped++
		}
		f.Longest = max(f.Longest, gap.Seconds())
	}
	stats, err := g.Stats(ctx)
	f.Unsent = stats.Answers["cut"]
	f.Twice, f.Echo = stats.Duplicates, stats.DuplicatesAfterEcho
	return f, err
}

// Findings returns what Waypost did wrong.
func (f FailoverReport) Findings() []string {
	found := f.Paces.Findings(f.Rate)
	if f.Longest > FailoverGoal.Seconds() {
		found = append(found, fmt.Sprintf("a sender stopped for %.2f s", f.Longest))
	}
	if f.Stopped == 0 {
		found = append(found, "no sender stopped: the killed process sent for none, so the measurement proves nothing")
	}
	if f.Echo > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent again after their echo was recorded", f.Echo))
	}
	return found
}

func (f FailoverReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d from %d senders at %d/s each, one of two processes killed", f.Messages, f.Senders, f.Rate)
	w.linef("stopped", "%d senders, at most %.2f s; goal %.0f s", f.Stopped, f.Longest, FailoverGoal.Seconds())
	w.linef("largest second", "%d by the lanes' own stamps, goal %d; %d at the simulator, goal %d", f.WrittenMost, f.Rate, f.ArrivedMost, f.Rate*105/100)
	w.linef("sent twice", "%d, after an echo %d", f.Twice, f.Echo)
}
