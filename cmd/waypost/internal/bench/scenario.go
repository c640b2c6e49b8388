// Package bench measures Waypost under load, against the simulator. Each scenario is one file.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A Scenario is a load and what is measured under it.
type Scenario interface {
	// Name returns the name of the scenario, as the command line has it.
	Name() string
	// Validate returns an error if a parameter is out of its range.
	Validate() error
	// Measure drives the load and keeps data and logs in dir. The report's findings are what Waypost did wrong. An error means
	// that the measurement itself failed.
	Measure(ctx context.Context, dir string) (Report, error)
}

// A Report contains the measurements of a scenario.
type Report interface {
	// print writes the measurements for a reader.
	print(w *table)
	// findings returns what must not happen: lost or duplicated messages, a ledger that doesn't balance.
	Findings() []string
}

// Output determines where a scenario works and how its report is printed.
type Output struct {
	JSON bool   `help:"Print the measurements as JSON." name:"json"`
	Dir  string `help:"Directory for data and logs, which is kept. If empty, a temporary one, which is removed unless something fails." type:"path"`
}

// RunScenario runs s and prints its report to w. It returns an error if the measurement failed or has findings; the directory
// is kept then.
func (o Output) RunScenario(ctx context.Context, w io.Writer, s Scenario) (err error) {
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
	measured, err := s.Measure(ctx, dir)
	if err != nil {
		return fmt.Errorf("bench %s: %w; logs are in %s", s.Name(), err, dir)
	}
	found := measured.Findings()
	if o.JSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(map[string]any{
			"scenario": s.Name(), "took_s": time.Since(start).Seconds(), "figures": measured, "findings": append([]string{}, found...),
		})
	} else {
		t := newTable(w, s.Name())
		measured.print(t)
		err = t.flush()
	}
	if err != nil {
		return err
	}
	if len(found) > 0 {
		problems := make([]error, len(found))
		for i, f := range found {
			problems[i] = errors.New(f)
		}
		return fmt.Errorf("bench %s: %w; logs are in %s", s.Name(), errors.Join(problems...), dir)
	}
	return nil
}
