package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// byNumber returns the times at which each number's calls arrived, in order.
func byNumber(calls []simulator.Call) map[string][]time.Duration {
	arrivals := make(map[string][]time.Duration)
	for _, c := range calls {
		arrivals[c.Number] = append(arrivals[c.Number], time.Duration(c.AtNanos))
	}
	return arrivals
}

// LargestSecond returns the largest number of times within a sliding second. The times must be in order.
func LargestSecond(times []time.Duration) int {
	most, first := 0, 0
	for i, at := range times {
		for at-times[first] >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// LongestGap returns the longest time between two consecutive times.
func LongestGap(times []time.Duration) time.Duration {
	var gap time.Duration
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i]-times[i-1])
	}
	return gap
}

// perSecond returns the rate of the times per second, from the first to the last.
func perSecond(times []time.Duration) float64 {
	if len(times) < 2 || times[len(times)-1] == times[0] {
		return 0
	}
	return float64(len(times)-1) / (times[len(times)-1] - times[0]).Seconds()
}

// Paces describes how fast the senders of a load were served.
type Paces struct {
	// Mean and Least are calls per second and sender: the mean of all senders, and the slowest.
	Mean  float64 `json:"mean_per_s"`
	Least float64 `json:"slowest_per_s"`
	// WrittenMost is the most calls that a lane wrote within a sliding second, by its
	// own stamps; ArrivedMost the same by the simulator's.
	WrittenMost int `json:"written_most_in_a_second"`
	ArrivedMost int `json:"arrived_most_in_a_second"`
	// OverShare is the share of calls with which more than the rate had arrived
	// within a second.
	OverShare float64 `json:"arrived_over_share"`
}

// measurePaces reads the times at which lanes wrote calls and at which the simulator received them. Mean and Least are about the calls
// since a time, the others about all calls.
func measurePaces(ctx context.Context, r *harness.TestEnv, since time.Time) (Paces, error) {
	var p Paces
	written, err := r.Written()
	if err != nil {
		return p, err
	}
	for _, times := range written {
		p.WrittenMost = max(p.WrittenMost, LargestSecond(times))
	}
	calls, err := r.CallLog(ctx)
	if err != nil {
		return p, err
	}
	arrivals := byNumber(slices.DeleteFunc(calls, func(c simulator.Call) bool { return c.At.Before(since) }))
	for _, times := range arrivals {
		pace := perSecond(times)
		p.Mean += pace / float64(len(arrivals))
		if p.Least == 0 || pace < p.Least {
			p.Least = pace
		}
	}
	stats, err := r.Stats(ctx)
	if err != nil {
		return p, err
	}
	var over int64
	for _, n := range stats.Numbers {
		p.ArrivedMost = max(p.ArrivedMost, n.LargestSecond)
		over += n.CallsOverRate
	}
	p.OverShare = float64(over) / float64(max(1, stats.Calls))
	return p, nil
}

func (p Paces) print(w *table, rate int) {
	w.linef("rate", "%.2f/s of %d on average (%.1f%%), the slowest sender %.2f/s; goal 98%%", p.Mean, rate, 100*p.Mean/float64(rate), p.Least)
	w.linef("largest second", "%d by the lanes' own stamps, goal %d; %d at the simulator, goal %d", p.WrittenMost, rate, p.ArrivedMost, rate*105/100)
	w.linef("seconds above", "%.3f%% of those that end with a call, at the simulator; goal 0.1%%", 100*p.OverShare)
}

// Findings returns what Waypost did wrong.
func (p Paces) Findings(rate int) []string {
	if p.WrittenMost > rate {
		return []string{fmt.Sprintf("a lane wrote %d calls in one second at a rate of %d", p.WrittenMost, rate)}
	}
	return nil
}

// printMachine prints the limits of the machine.
func printMachine(w *table, m machine) {
	w.linef("machine", "%d CPUs, load average %.1f before, %.0f fsync/s, %.0f bare HTTP calls/s", m.CPUs, m.Load, m.FsyncPerS, m.HTTPPerS)
}
