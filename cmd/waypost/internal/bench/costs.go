package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost/waypost/adapters/loopback"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Where the event store of a scenario runs, apart from a URL.
const (
	storeEmbedded = "embedded"
	storeProcess  = "process"
)

// longestProfile is the longest profile that Waypost records.
const longestProfile = 5 * time.Minute

// Observation has the flags of scenarios that measure what a load costs.
type Observation struct {
	SVG        string `name:"svg" help:"File for a chart of throughput, lag of the read models, and latency over time. If empty, none is drawn." type:"path"`
	Profile    string `help:"File for a CPU profile of serve during the load, for go tool pprof. If empty, none is recorded." type:"path"`
	Eventstore string `help:"Event store: embedded, process (the embedded store as a process of its own), or the URL of an empty EventStoreDB." default:"embedded"`
}

// Validate returns an error if a parameter is out of its range.
func (o Observation) Validate() error {
	if o.Eventstore != storeEmbedded && o.Eventstore != storeProcess && !strings.HasPrefix(o.Eventstore, "esdb") {
		return fmt.Errorf("--eventstore must be %s, %s, or a URL that begins with esdb, got %q", storeEmbedded, storeProcess, o.Eventstore)
	}
	return nil
}

// observed is a TestEnv whose costs can be read.
type observed struct {
	*harness.TestEnv

	internal string // address of the metrics and profiles
}

// start starts a TestEnv with the event store of the flags, and with metrics and profiles on an internal address.
func (o Observation) start(ctx context.Context, dir string, env []string, control map[string]any) (_ *observed, err error) {
	var store *harness.Child
	defer func() {
		if err != nil && store != nil {
			err = errors.Join(err, store.Stop())
		}
	}()
	url := o.Eventstore
	switch url {
	case storeEmbedded:
		url = ""
	case storeProcess:
		if store, url, err = harness.StartStore(ctx, dir); err != nil {
			return nil, err
		}
	}
	if url != "" {
		// The data is thrown away, so the key need not be secret.
		key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("waypost.", 4)))
		env = append(env, "WAYPOST_EVENTSTORE_URL="+url, "WAYPOST_SECRET_KEY="+key)
	}
	internal, err := loopback.FreeAddr()
	if err != nil {
		return nil, err
	}
	env = append(env, "WAYPOST_METRICS_ADDR="+internal, "WAYPOST_PPROF=true")
	r, err := harness.Start(ctx, dir, env, control)
	if err != nil {
		return nil, err
	}
	r.Store = store
	return &observed{r, internal}, nil
}

// costs is what a load cost.
type costs struct {
	// CPU is in seconds per 1,000 messages. It is 0 if the system does not report it. Store is a process only with --eventstore process.
	CPU struct {
		Serve     float64 `json:"serve"`
		Postgres  float64 `json:"postgres"`
		Store     float64 `json:"eventstore,omitempty"`
		Simulator float64 `json:"simulator"`
		Load      float64 `json:"load"`
	} `json:"cpu_s_per_1000"`
	// Serve is what serve allocated for a message.
	Serve struct {
		Allocations float64 `json:"allocations"`
		Bytes       float64 `json:"allocated_bytes"`
	} `json:"serve_per_message"`
	// Store is what serve asked of the event store for a message.
	Store struct {
		Appends    float64 `json:"appends"`
		Appended   float64 `json:"appended_events"`
		Reads      float64 `json:"reads"`
		ReadEvents float64 `json:"read_events"`
		Delivered  float64 `json:"delivered_events"`
		Decoded    float64 `json:"decoded_events"` // by all consumers in serve
	} `json:"eventstore_per_message"`
}

// A meter reads the counters of an observed TestEnv.
type meter struct {
	of      *observed
	cpu     harness.CPUTimes
	noCPU   error
	metrics map[string]float64
}

func (r *observed) read(ctx context.Context) (m meter, err error) {
	m.of = r
	if m.metrics, err = harness.Metrics(ctx, r.internal); err != nil {
		return m, fmt.Errorf("read the metrics of serve: %w", err)
	}
	m.cpu, m.noCPU = r.CPU()
	return m, nil
}

// costs returns what messages have cost since m was read.
func (m meter) costs(ctx context.Context, messages int64) (c costs, err error) {
	now, err := m.of.read(ctx)
	if err != nil {
		return c, err
	}
	if m.noCPU == nil && now.noCPU == nil {
		used, thousands := now.cpu.Minus(m.cpu), float64(messages)/1000
		c.CPU.Serve = used.Serve.Seconds() / thousands
		c.CPU.Postgres = used.Postgres.Seconds() / thousands
		c.CPU.Store = used.Store.Seconds() / thousands
		c.CPU.Simulator = used.Simulator.Seconds() / thousands
		c.CPU.Load = used.Load.Seconds() / thousands
	}
	each := func(name string) float64 { return (now.metrics[name] - m.metrics[name]) / float64(messages) }
	c.Serve.Allocations, c.Serve.Bytes = each("go_memstats_mallocs_total"), each("go_memstats_alloc_bytes_total")
	c.Store.Appends, c.Store.Appended = each("waypost_eventstore_appends_total"), each("waypost_eventstore_appended_events_total")
	c.Store.Reads, c.Store.ReadEvents = each("waypost_eventstore_reads_total"), each("waypost_eventstore_read_events_total")
	c.Store.Delivered, c.Store.Decoded = each("waypost_eventstore_delivered_events_total"), each("waypost_eventstore_decoded_events_total")
	return c, nil
}

func (c costs) print(w *table) {
	store := ""
	if c.CPU.Store > 0 {
		store = fmt.Sprintf("event store %.2f s, ", c.CPU.Store)
	}
	w.linef("CPU per 1,000", "serve %.2f s, Postgres %.2f s, %ssimulator %.2f s, load %.2f s", c.CPU.Serve, c.CPU.Postgres, store, c.CPU.Simulator, c.CPU.Load)
	w.linef("serve per message", "%.0f allocations, %.0f KB", c.Serve.Allocations, c.Serve.Bytes/1000)
	w.linef("event store per message", "%.2f appends (%.2f events), %.2f reads (%.2f events), %.2f events delivered, %.2f decoded",
		c.Store.Appends, c.Store.Appended, c.Store.Reads, c.Store.ReadEvents, c.Store.Delivered, c.Store.Decoded)
}

// profile records a CPU profile while the load runs, at most for length. The caller must receive from the result.
func (o Observation) profile(ctx context.Context, r *observed, length time.Duration) <-chan error {
	done := make(chan error, 1)
	if o.Profile == "" {
		done <- nil
		return done
	}
	go func() { done <- harness.RecordProfile(ctx, r.internal, o.Profile, min(length, longestProfile)) }()
	return done
}
