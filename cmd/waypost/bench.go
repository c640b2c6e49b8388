package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/waypost/waypost/cmd/waypost/internal/bench"
)

// benchCommand measures Waypost against the simulator. Each scenario starts both as processes in a new directory and uses
// only their public interfaces.
type benchCommand struct {
	Lifecycle benchScenario[bench.Lifecycle] `cmd:"" default:"withargs" help:"Queue messages and follow each until it is read: throughput, latency, CPU."`
	Overload  benchScenario[bench.Overload]  `cmd:"" help:"Offer twice the load that the machine sustains, and measure what still happens in time."`
	Latency   benchScenario[bench.Latency]   `cmd:"" help:"Queue a few messages per second on an idle machine, and measure the time of each step."`
	Rate      benchScenario[bench.Rate]      `cmd:"" help:"Send a backlog and measure how exactly each sender keeps its rate."`
	Failover  benchScenario[bench.Failover]  `cmd:"" help:"Kill one of two sending processes and measure how long its senders stop."`
	Priority  benchScenario[bench.Priority]  `cmd:"" help:"Queue urgent messages behind a backlog and measure when they are called."`
	Throttle  benchScenario[bench.Throttle]  `cmd:"" help:"Send against a limit below the sender's rate and measure the rate that sending settles at."`
	Settle    benchScenario[bench.Settle]    `cmd:"" help:"Lose responses in every way and count the messages that are sent twice."`
	Hang      benchScenario[bench.Hang]      `cmd:"" help:"Let the calls of one phone number hang and measure the rates of the others."`
	Seed      benchScenario[bench.Seed]      `cmd:"" help:"Fill the event log with messages, build their read models, and measure queries."`
	Chaos     benchChaosCommand              `cmd:"" help:"Kill Waypost under load repeatedly and count the messages that are lost or sent twice."`
}

// benchScenario is the command of one scenario. Its flags are the scenario's parameters.
type benchScenario[S bench.Scenario] struct {
	bench.Output

	Scenario S `embed:""`
}

// Validate checks the scenario's parameters.
func (c benchScenario[S]) Validate() error { return c.Scenario.Validate() }

// Run measures the scenario and prints its report.
func (c benchScenario[S]) Run(env *environment) error {
	return c.RunScenario(env.ctx, env.stdout, c.Scenario)
}

// benchChaosCommand is the command of the scenario chaos.
type benchChaosCommand struct{ benchScenario[bench.Chaos] }

// Run picks a seed if none is given, prints it, so that it is known even if the scenario never ends, and measures the scenario.
func (c benchChaosCommand) Run(env *environment) error {
	if c.Scenario.Seed == 0 {
		c.Scenario.Seed = rand.Uint64N(1_000_000) + 1
	}
	if !c.JSON {
		fmt.Fprintf(env.stdout, "seed %d\n", c.Scenario.Seed)
	}
	return c.benchScenario.Run(env)
}
