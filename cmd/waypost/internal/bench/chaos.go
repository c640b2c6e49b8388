package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

const (
	// chaosSenderRate is the rate of each sender, Meta's default.
	chaosSenderRate = 80
	// chaosSpare is the factor by which the senders are faster than the load, so that they catch up after a restart.
	chaosSpare = 3
	// chaosBatch is the number of messages that one request queues. It is small, so that a kill hits calls in every state.
	chaosBatch = 10
	// chaosEnd is the time that Waypost runs under load after the last kill.
	chaosEnd = 2 * time.Second
)

// Chaos kills Waypost under load repeatedly.
type Chaos struct {
	Kills             int           `help:"Number of kills." default:"10"`
	Rate              int           `help:"Messages queued per second." default:"200"`
	Drop              float64       `help:"Fraction of responses that are lost although WhatsApp accepted the message." default:"0.05"`
	Every             time.Duration `help:"Mean time from ready to the next kill." default:"3s"`
	Seed              uint64        `help:"Seed of the times of the kills and of the simulator. If 0, it is chosen at random."`
	SettleAfterOutage time.Duration `help:"How long Waypost waits for the status of a call that it lost in a kill." default:"10s"`
	Patience          time.Duration `help:"How long to wait until the last message is read." default:"2m"`
}

// Validate returns an error if a parameter is out of its range.
func (b Chaos) Validate() error {
	switch {
	case b.Kills < 1 || b.Kills > 10_000:
		return errors.New("--kills must be from 1 to 10000")
	case b.Rate < 1 || b.Rate > 5000:
		return errors.New("--rate must be from 1 to 5000")
	case b.Drop < 0 || b.Drop > 0.5:
		return errors.New("--drop must be from 0 to 0.5")
	case b.Every < 100*time.Millisecond:
		return errors.New("--every must not be below 100ms")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Chaos) Name() string { return "chaos" }

// ChaosReport has the measurements of the scenario.
type ChaosReport struct {
	Seed     uint64               `json:"seed"`
	Kills    int                  `json:"kills"`
	Messages int64                `json:"messages"`
	Retries  int64                `json:"queue_calls_retried"`
	Restart  Percentiles          `json:"restart_to_ready"`
	Settled  float64              `json:"last_read_after_load_s"`
	Ledger   harness.LedgerCounts `json:"ledger"`
	WhatsApp simulator.Stats      `json:"simulator"`
}

// Measure runs the scenario with data and logs in dir.
func (b Chaos) Measure(ctx context.Context, dir string) (_ Report, err error) {
	senders := (b.Rate*chaosSpare + chaosSenderRate - 1) / chaosSenderRate
	r, err := harness.Start(ctx, dir, []string{
		"WAYPOST_SETTLE_AFTER=5s",
		"WAYPOST_SETTLE_AFTER_OUTAGE=" + b.SettleAfterOutage.String(),
	}, map[string]any{
		"rate": chaosSenderRate, "drop_response_rate": b.Drop, "seed": b.Seed,
		"webhook_duplicate_rate": 0.02, "webhook_reorder": 0.05,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()

	l := &Load{Client: r.Client, Senders: senders, Batch: chaosBatch, Rate: float64(b.Rate), Retry: true}
	if err := l.Register(ctx, chaosSenderRate); err != nil {
		return nil, err
	}
	var enough atomic.Bool
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan error, 1)
	go func() {
		err := l.Queue(ctx, 0, enough.Load)
		if err != nil {
			cancel() // kills without load prove nothing
		}
		loaded <- err
	}()
	restarts, err := b.kill(ctx, r)
	enough.Store(true)
	if err != nil {
		cancel()
	}
	if err := errors.Join(<-loaded, err); err != nil {
		return nil, err
	}
	end := time.Now()

	f := ChaosReport{Seed: b.Seed, Kills: b.Kills, Messages: l.Queued.Load(), Retries: l.retries.Load(), Restart: restarts.percentiles()}
	var readAt time.Time
	if f.Ledger, readAt, err = l.AwaitRead(ctx, b.Patience); err != nil {
		return nil, err
	}
	f.Settled = readAt.Sub(end).Seconds()
	f.WhatsApp, err = r.Stats(ctx)
	return f, err
}

// kill kills Waypost at random times and restarts it immediately. It returns the times that the restarts took.
func (b Chaos) kill(ctx context.Context, r *harness.TestEnv) (Latencies, error) {
	restarts := newLatencies()
	random := rand.New(rand.NewPCG(b.Seed, 0))
	for range b.Kills {
		moment := time.Duration((0.5 + random.Float64()) * float64(b.Every)) // b.Every on average
		if err := retry.Sleep(ctx, moment); err != nil {
			return restarts, err
		}
		r.Serve.Kill()
		start := time.Now()
		if err := r.StartServe(ctx); err != nil {
			return restarts, err
		}
		restarts.record(time.Since(start))
	}
	return restarts, retry.Sleep(ctx, chaosEnd)
}

// Findings returns what Waypost did wrong.
func (f ChaosReport) Findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read != f.Messages {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages were read: %v", f.Messages, f.Ledger))
	}
	return append(found, commonFindings(f.Messages, f.Ledger, f.WhatsApp)...)
}

func (f ChaosReport) print(w *table) {
	w.linef("kills", "%d, seed %d", f.Kills, f.Seed)
	w.linef("messages", "%d, %d requests to queue them repeated", f.Messages, f.Retries)
	w.linef("restart to ready", "%v", f.Restart)
	w.linef("all read", "%.1f s after the load", f.Settled)
	w.linef("WhatsApp", "%d calls, %d responses cut, %d webhooks sent, %d rejected", f.WhatsApp.Calls, f.WhatsApp.Answers["cut"], f.WhatsApp.WebhooksSent, f.WhatsApp.WebhooksRefused)
	w.linef("sent twice", "%d, after an echo %d; the ledger counts %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho, f.Ledger.SentTwice)
	w.linef("ledger", "%v", f.Ledger)
}
