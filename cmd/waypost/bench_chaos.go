package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

const (
	// chaosSenderRate is the rate of each sender, Meta's usual one.
	chaosSenderRate = 80
	// chaosSpare is how much faster the senders are than the load, so that what
	// waited during a restart is caught up with.
	chaosSpare = 3
	// chaosBatch is how many messages one call queues: small, so that a kill finds
	// calls in every state.
	chaosBatch = 10
	// chaosEnd is how much longer the platform runs under load after the last kill.
	chaosEnd = 2 * time.Second
)

type benchChaos struct {
	benchOutput

	Kills             int           `help:"How often the platform is killed." default:"10"`
	Rate              int           `help:"Messages queued a second." default:"200"`
	Drop              float64       `help:"Share of WhatsApp's answers that are lost although the message was accepted." default:"0.05"`
	Every             time.Duration `help:"Mean time from ready to the next kill." default:"3s"`
	Seed              uint64        `help:"Seed of the moments of the kills and of the simulator; chosen if 0."`
	SettleAfterOutage time.Duration `help:"How long the platform waits for a status of a call that it lost in a kill." default:"10s"`
	Patience          time.Duration `help:"How long to wait for the last message to be read." default:"2m"`
}

// Validate is called by kong.
func (b benchChaos) Validate() error {
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

// Run kills the platform under load.
func (b benchChaos) Run(env *environment) error {
	if b.Seed == 0 {
		b.Seed = rand.Uint64N(1_000_000) + 1
	}
	if !b.JSON {
		fmt.Fprintf(env.stdout, "seed %d\n", b.Seed) // known also when it never ends well
	}
	return b.play(env, scenario{name: "chaos", run: b.measure})
}

// chaosReport are the figures of the scenario.
type chaosReport struct {
	Seed     uint64          `json:"seed"`
	Kills    int             `json:"kills"`
	Messages int64           `json:"messages"`
	Retries  int64           `json:"queue_calls_retried"`
	Restart  percentiles     `json:"restart_to_ready"`
	Settled  float64         `json:"last_read_after_load_s"`
	Ledger   books           `json:"ledger"`
	WhatsApp simulator.Stats `json:"simulator"`
}

func (b benchChaos) measure(ctx context.Context, dir string) (_ report, err error) {
	senders := (b.Rate*chaosSpare + chaosSenderRate - 1) / chaosSenderRate
	r, err := startRig(ctx, dir, []string{
		"WAYPOST_SETTLE_AFTER=5s",
		"WAYPOST_SETTLE_AFTER_OUTAGE=" + b.SettleAfterOutage.String(),
	}, map[string]any{
		"rate": chaosSenderRate, "drop_response_rate": b.Drop, "seed": b.Seed,
		"webhook_duplicate_rate": 0.02, "webhook_reorder": 0.05,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()

	l := &load{client: r.client, senders: senders, batch: chaosBatch, rate: float64(b.Rate), retry: true}
	if err := l.register(ctx, chaosSenderRate); err != nil {
		return nil, err
	}
	var enough atomic.Bool
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loaded := make(chan error, 1)
	go func() {
		err := l.queue(ctx, 0, enough.Load)
		if err != nil {
			cancel() // kills without a load prove nothing
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

	f := chaosReport{Seed: b.Seed, Kills: b.Kills, Messages: l.queued.Load(), Retries: l.retries.Load(), Restart: restarts.percentiles()}
	var readAt time.Time
	if f.Ledger, readAt, err = l.awaitRead(ctx, b.Patience); err != nil {
		return nil, err
	}
	f.Settled = readAt.Sub(end).Seconds()
	f.WhatsApp, err = r.stats(ctx)
	return f, err
}

// kill kills the platform at random moments and starts it again at once. It
// answers how long the starts took.
func (b benchChaos) kill(ctx context.Context, r *rig) (latencies, error) {
	restarts := newLatencies()
	random := rand.New(rand.NewPCG(b.Seed, 0))
	for range b.Kills {
		moment := time.Duration((0.5 + random.Float64()) * float64(b.Every)) // b.Every on average
		if err := pause(ctx, moment); err != nil {
			return restarts, err
		}
		r.serve.kill()
		start := time.Now()
		if err := r.startServe(ctx); err != nil {
			return restarts, err
		}
		restarts.record(time.Since(start))
	}
	return restarts, pause(ctx, chaosEnd)
}

func (f chaosReport) findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read != f.Messages {
		found = append(found, fmt.Sprintf("of %d acknowledged messages not all were read: %v", f.Messages, f.Ledger))
	}
	return append(found, commonFindings(f.Messages, f.Ledger, f.WhatsApp)...)
}

func (f chaosReport) print(w *table) {
	w.linef("kills", "%d, seed %d", f.Kills, f.Seed)
	w.linef("messages", "%d, %d calls of their queueing repeated", f.Messages, f.Retries)
	w.linef("restart to ready", "%v", f.Restart)
	w.linef("all read", "%.1f s after the load", f.Settled)
	w.linef("WhatsApp", "%d calls, %d answers cut, %d webhooks sent, %d refused", f.WhatsApp.Calls, f.WhatsApp.Answers["cut"], f.WhatsApp.WebhooksSent, f.WhatsApp.WebhooksRefused)
	w.linef("sent twice", "%d, after an echo %d; the ledger knows of %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho, f.Ledger.SentTwice)
	w.linef("ledger", "%v", f.Ledger)
}
