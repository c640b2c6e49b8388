package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

// logTimeout bounds the reading of the simulator's log.
const logTimeout = 30 * time.Second

// callLog is every call that the simulator remembers, in the order of arrival.
func (r *rig) callLog(ctx context.Context) ([]simulator.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.simURL+"/log", nil)
	if err != nil {
		return nil, err
	}
	body, err := roundTrip(http.DefaultClient, req)
	if err != nil {
		return nil, err
	}
	var calls []simulator.Call
	for decoder := json.NewDecoder(bytes.NewReader(body)); ; {
		var c simulator.Call
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the simulator's log: %w", err)
		}
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b simulator.Call) int { return int(a.AtNanos - b.AtNanos) })
	return calls, nil
}

// byNumber are the arrivals of each number's calls, in order.
func byNumber(calls []simulator.Call) map[string][]time.Duration {
	arrivals := make(map[string][]time.Duration)
	for _, c := range calls {
		arrivals[c.Number] = append(arrivals[c.Number], time.Duration(c.AtNanos))
	}
	return arrivals
}

// written are the times at which the lanes wrote their calls, by sender and in
// order, from the lines that the platform logs for each call.
func (r *rig) written() (map[string][]time.Duration, error) {
	logs, err := filepath.Glob(filepath.Join(r.dir, "serve*.log"))
	if err != nil {
		return nil, err
	}
	times := make(map[string][]time.Duration)
	for _, path := range logs {
		if err := readWritten(path, times); err != nil {
			return nil, err
		}
	}
	for _, list := range times {
		slices.Sort(list)
	}
	return times, nil
}

func readWritten(path string, into map[string][]time.Duration) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Msg     string    `json:"msg"`
			Sender  string    `json:"sender"`
			Written time.Time `json:"written"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "call" && !line.Written.IsZero() {
			into[line.Sender] = append(into[line.Sender], time.Duration(line.Written.UnixNano()))
		}
	}
	return lines.Err()
}

// largestSecond is the most of the times, which are in order, within a sliding
// second.
func largestSecond(times []time.Duration) int {
	most, first := 0, 0
	for i, at := range times {
		for at-times[first] >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// longestGap is the longest time between two that follow each other.
func longestGap(times []time.Duration) time.Duration {
	var gap time.Duration
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i]-times[i-1])
	}
	return gap
}

// perSecond is how many of the times there are a second, from the first to the
// last.
func perSecond(times []time.Duration) float64 {
	if len(times) < 2 || times[len(times)-1] == times[0] {
		return 0
	}
	return float64(len(times)-1) / (times[len(times)-1] - times[0]).Seconds()
}

// paces are how fast the senders of a load were served.
type paces struct {
	// Mean and Least are calls a second of a sender, of all and of the slowest.
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

// measurePaces reads what the lanes wrote and what the simulator saw.
func (r *rig) measurePaces(ctx context.Context) (paces, error) {
	var p paces
	written, err := r.written()
	if err != nil {
		return p, err
	}
	for _, times := range written {
		p.WrittenMost = max(p.WrittenMost, largestSecond(times))
	}
	calls, err := r.callLog(ctx)
	if err != nil {
		return p, err
	}
	arrivals := byNumber(calls)
	for _, times := range arrivals {
		pace := perSecond(times)
		p.Mean += pace / float64(len(arrivals))
		if p.Least == 0 || pace < p.Least {
			p.Least = pace
		}
	}
	stats, err := r.stats(ctx)
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

func (p paces) print(w *table, rate int) {
	w.linef("rate", "%.2f/s of %d on average (%.1f %%), the slowest sender %.2f/s; goal 98 %%", p.Mean, rate, 100*p.Mean/float64(rate), p.Least)
	w.linef("largest second", "%d by the lanes' own stamps, goal %d; %d at the simulator, goal %d", p.WrittenMost, rate, p.ArrivedMost, rate*105/100)
	w.linef("seconds above", "%.3f %% of those that end with a call, at the simulator; goal 0.1 %%", 100*p.OverShare)
}

func (p paces) findings(rate int) []string {
	if p.WrittenMost > rate {
		return []string{fmt.Sprintf("a lane wrote %d calls in one second at a rate of %d", p.WrittenMost, rate)}
	}
	return nil
}

// printMachine writes the limits that the figures stand beside.
func printMachine(w *table, m machine) {
	w.linef("machine", "%d CPUs, load average %.1f before, %.0f fsync/s, %.0f bare HTTP calls/s", m.CPUs, m.Load, m.FsyncPerS, m.HTTPPerS)
}
