package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// benchCommand measures the platform against the simulator. Each scenario starts
// both as processes in a new folder and drives them by their public surface.
type benchCommand struct {
	Lifecycle benchLifecycle `cmd:"" default:"withargs" help:"Queue messages and follow each until it is read: throughput, latency, CPU."`
	Rate      benchRate      `cmd:"" help:"Send a backlog and measure how exactly each sender keeps its rate."`
	Failover  benchFailover  `cmd:"" help:"Kill one of two processes that send, and measure how long its senders stand still."`
	Priority  benchPriority  `cmd:"" help:"Queue urgent messages behind a backlog and measure when they are called."`
	Throttle  benchThrottle  `cmd:"" help:"Send against a limit below the sender's rate and measure where it settles."`
	Settle    benchSettle    `cmd:"" help:"Lose answers in every way and count what is sent twice."`
	Hang      benchHang      `cmd:"" help:"Let one number's calls hang and measure what the others keep."`
	Seed      benchSeed      `cmd:"" help:"Fill the log with messages, build the read models of it, and measure queries over them."`
	Chaos     benchChaos     `cmd:"" help:"Kill the platform under load, again and again, and count what is lost or sent twice."`
}

// benchOutput is common to all scenarios.
type benchOutput struct {
	JSON bool   `help:"Print the figures as JSON." name:"json"`
	Dir  string `help:"Folder for data and logs, kept; a temporary one, removed unless something fails, if empty." type:"path"`
}

// scenario is a load and what is measured in it.
type scenario struct {
	name string
	// run drives a load in the folder and answers its figures. Findings among them
	// are what the platform did wrong; an error is of the measurement itself.
	run func(ctx context.Context, dir string) (report, error)
}

// report is what a scenario found.
type report interface {
	// print writes it for people.
	print(w *table)
	// findings are what must not be: messages lost, doubled, books unbalanced.
	findings() []string
}

// play runs a scenario in a folder, prints its report and is an error if it has
// findings. The folder stays for whoever looks into a failure.
func (o benchOutput) play(env *environment, s scenario) (err error) {
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "waypost-bench-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	start := time.Now()
	figures, err := s.run(env.ctx, dir)
	if err != nil {
		return fmt.Errorf("bench %s: %w; logs are in %s", s.name, err, dir)
	}
	found := figures.findings()
	if o.JSON {
		encoder := json.NewEncoder(env.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(map[string]any{
			"scenario": s.name, "took_s": time.Since(start).Seconds(), "figures": figures, "findings": append([]string{}, found...),
		})
	} else {
		w := newTable(env.stdout, s.name)
		figures.print(w)
		err = w.flush()
	}
	if err != nil {
		return err
	}
	if len(found) > 0 {
		problems := make([]error, len(found))
		for i, f := range found {
			problems[i] = errors.New(f)
		}
		return fmt.Errorf("bench %s: %w; logs are in %s", s.name, errors.Join(problems...), dir)
	}
	return nil
}
