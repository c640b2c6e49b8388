package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/cmd/waypost/internal/harness"
)

// Settle sends while responses are lost in every way.
type Settle struct {
	Messages int           `help:"Number of messages to send." default:"4000"`
	Senders  int           `help:"Number of senders." default:"5"`
	Lost     float64       `help:"Fraction of calls whose response is lost in each way: cut, garbled, 502 without a body, and none at all." default:"0.03"`
	Settle   time.Duration `help:"How long Waypost waits for a status." default:"5s"`
	Patience time.Duration `help:"How long to wait until the last message ends." default:"2m"`
}

// Validate returns an error if a parameter is out of its range.
func (b Settle) Validate() error {
	switch {
	case b.Messages < 1 || b.Messages > 1_000_000:
		return errors.New("--messages must be from 1 to 1000000")
	case b.Senders < 1 || b.Senders > 1000:
		return errors.New("--senders must be from 1 to 1000")
	case b.Lost < 0 || b.Lost > 0.2:
		return errors.New("--lost must be from 0 to 0.2")
	}
	return nil
}

// Name returns the name of the scenario.
func (b Settle) Name() string { return "settle" }

// settleReport has the measurements of the scenario.
type settleReport struct {
	Machine  machine              `json:"machine"`
	Messages int64                `json:"messages"`
	Lost     int64                `json:"answers_lost"`
	Ledger   harness.LedgerCounts `json:"ledger"`
	WhatsApp simulator.Stats      `json:"simulator"`
}

// Measure runs the scenario with data and logs in dir.
func (b Settle) Measure(ctx context.Context, dir string) (_ Report, err error) {
	var f settleReport
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, err
	}
	r, err := harness.Start(ctx, dir, []string{
		"WAYPOST_SETTLE_AFTER=" + b.Settle.String(), "WAYPOST_SETTLE_AFTER_OUTAGE=" + b.Settle.String(), "WAYPOST_CALL_TIMEOUT=2s",
	}, map[string]any{
		"rate": chaosSenderRate, "drop_response_rate": b.Lost, "garbled_200_rate": b.Lost, "empty_5xx_rate": b.Lost,
		"timeout_rate": b.Lost, "lost_accept_rate": 0.5, "webhook_duplicate_rate": 0.02, "webhook_reorder": 0.05,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	l := &Load{Client: r.Client, Senders: b.Senders, Batch: lifecycleBatch}
	if err := l.Register(ctx, chaosSenderRate); err != nil {
		return nil, err
	}
	if err := l.Queue(ctx, b.Messages, func() bool { return false }); err != nil {
		return nil, err
	}
	least := time.Duration(float64(b.Messages) / float64(b.Senders*chaosSenderRate) * float64(time.Second))
	if f.Ledger, _, err = l.AwaitRead(ctx, least+b.Patience); err != nil {
		return nil, err
	}
	f.Messages = l.Queued.Load()
	f.WhatsApp, err = r.Stats(ctx)
	for _, kind := range []string{"cut", "garbled", "empty5xx", "timeout"} {
		f.Lost += f.WhatsApp.Answers[kind]
	}
	return f, err
}

// Findings returns what Waypost did wrong.
func (f settleReport) Findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read+f.Ledger.DeadLettered != f.Messages {
		found = append(found, fmt.Sprintf("not all of %d acknowledged messages ended: %v", f.Messages, f.Ledger))
	}
	if !f.Ledger.Balanced {
		found = append(found, fmt.Sprintf("the ledger is unbalanced: %v", f.Ledger))
	}
	if f.WhatsApp.DuplicatesAfterEcho > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent again after their echo was recorded", f.WhatsApp.DuplicatesAfterEcho))
	}
	if f.WhatsApp.Duplicates != f.Ledger.SentTwice {
		found = append(found, fmt.Sprintf("WhatsApp has %d messages twice, the ledger counts %d", f.WhatsApp.Duplicates, f.Ledger.SentTwice))
	}
	return found
}

func (f settleReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d, %d responses lost", f.Messages, f.Lost)
	w.linef("sent twice", "%d, after an echo %d, goal 0; the ledger counts %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho, f.Ledger.SentTwice)
	w.linef("ledger", "%v", f.Ledger)
}
