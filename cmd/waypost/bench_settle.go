package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp/simulator"
)

type benchSettle struct {
	benchOutput

	Messages int           `help:"Messages to send." default:"4000"`
	Senders  int           `help:"Phone numbers that messages are sent from." default:"5"`
	Lost     float64       `help:"Share of the calls of each kind whose answer is lost: cut, garbled, 502 without a body, never answered." default:"0.03"`
	Settle   time.Duration `help:"How long the platform waits for a status." default:"5s"`
	Patience time.Duration `help:"How long to wait for the last message to end." default:"2m"`
}

// Validate is called by kong.
func (b benchSettle) Validate() error {
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

// Run sends while answers are lost in every way.
func (b benchSettle) Run(env *environment) error {
	return b.play(env, scenario{name: "settle", run: b.measure})
}

// settleReport are the figures of the scenario.
type settleReport struct {
	Machine  machine         `json:"machine"`
	Messages int64           `json:"messages"`
	Lost     int64           `json:"answers_lost"`
	Ledger   books           `json:"ledger"`
	WhatsApp simulator.Stats `json:"simulator"`
}

func (b benchSettle) measure(ctx context.Context, dir string) (_ report, err error) {
	var f settleReport
	if f.Machine, err = measureMachine(ctx, dir); err != nil {
		return nil, fmt.Errorf("measure the machine: %w", err)
	}
	r, err := startRig(ctx, dir, []string{
		"WAYPOST_SETTLE_AFTER=" + b.Settle.String(), "WAYPOST_SETTLE_AFTER_OUTAGE=" + b.Settle.String(), "WAYPOST_CALL_TIMEOUT=2s",
	}, map[string]any{
		"rate": chaosSenderRate, "drop_response_rate": b.Lost, "garbled_200_rate": b.Lost, "empty_5xx_rate": b.Lost,
		"timeout_rate": b.Lost, "lost_accept_rate": 0.5, "webhook_duplicate_rate": 0.02, "webhook_reorder": 0.05,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	l := &load{client: r.client, senders: b.Senders, batch: lifecycleBatch}
	if err := l.register(ctx, chaosSenderRate); err != nil {
		return nil, err
	}
	if err := l.queue(ctx, b.Messages, func() bool { return false }); err != nil {
		return nil, err
	}
	least := time.Duration(float64(b.Messages) / float64(b.Senders*chaosSenderRate) * float64(time.Second))
	if f.Ledger, _, err = l.awaitRead(ctx, least+b.Patience); err != nil {
		return nil, err
	}
	f.Messages = l.queued.Load()
	f.WhatsApp, err = r.stats(ctx)
	for _, kind := range []string{"cut", "garbled", "empty5xx", "timeout"} {
		f.Lost += f.WhatsApp.Answers[kind]
	}
	return f, err
}

func (f settleReport) findings() []string {
	var found []string
	if f.Ledger.Accepted != f.Messages || f.Ledger.Read+f.Ledger.DeadLettered != f.Messages {
		found = append(found, fmt.Sprintf("of %d acknowledged messages not all ended: %v", f.Messages, f.Ledger))
	}
	if !f.Ledger.Balanced {
		found = append(found, fmt.Sprintf("the ledger is unbalanced: %v", f.Ledger))
	}
	if f.WhatsApp.DuplicatesAfterEcho > 0 {
		found = append(found, fmt.Sprintf("%d messages were sent again after their echo was recorded", f.WhatsApp.DuplicatesAfterEcho))
	}
	if f.WhatsApp.Duplicates != f.Ledger.SentTwice {
		found = append(found, fmt.Sprintf("WhatsApp has %d messages twice, the ledger knows of %d", f.WhatsApp.Duplicates, f.Ledger.SentTwice))
	}
	return found
}

func (f settleReport) print(w *table) {
	printMachine(w, f.Machine)
	w.linef("messages", "%d, %d answers lost", f.Messages, f.Lost)
	w.linef("sent twice", "%d, after an echo %d, goal 0; the ledger knows of %d", f.WhatsApp.Duplicates, f.WhatsApp.DuplicatesAfterEcho, f.Ledger.SentTwice)
	w.linef("ledger", "%v", f.Ledger)
}
