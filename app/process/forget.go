package process

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
)

const (
	firstForgetPause = 100 * time.Millisecond
	lastForgetPause  = 10 * time.Second
)

// DataKeys are the keys that erasures destroy.
type DataKeys interface {
	// Forget drops keys from this process's memory.
	Forget(keys []event.KeyID, at time.Time)
	// Alive are those that are not destroyed.
	Alive(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error)
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	Scrub(ctx context.Context) error
}

// Forget follows the erasures of the log: each process drops from its memory what
// another one erased, and what a crash left undone, or a vault that was restored
// brought back, is destroyed.
type Forget struct {
	log      event.Log
	keys     DataKeys
	messages *command.Messages
	after    func(time.Duration) <-chan time.Time
	logger   *slog.Logger
}

// NewForget makes the process. after is time.After or its like.
func NewForget(
	log event.Log, keys DataKeys, messages *command.Messages, after func(time.Duration) <-chan time.Time, logger *slog.Logger,
) *Forget {
	return &Forget{log: log, keys: keys, messages: messages, after: after, logger: logger}
}

// Run follows the log from its start until ctx ends or the subscription fails, and
// answers that error. It needs no position of its own: what is destroyed stays so.
func (p *Forget) Run(ctx context.Context) error {
	err := p.log.Subscribe(ctx, event.Subscription{
		Filter: event.Filter{StreamPrefixes: []string{event.ErasureStreams}}, Sealed: true,
	}, func(ctx context.Context, b event.Batch) error {
		for _, r := range b.Events {
			e, ok := r.Event.(event.PersonalErased)
			if !ok || len(e.Keys) == 0 {
				continue
			}
			if err := p.forget(ctx, e.Keys, r.Meta.RecordedAt); err != nil {
				return err
			}
		}
		return nil
	})
	return fmt.Errorf("follow erasures: %w", err)
}

// forget tries for as long as ctx lasts: the vault may be away.
func (p *Forget) forget(ctx context.Context, keys []event.KeyID, at time.Time) error {
	p.messages.Forget(keys)
	p.keys.Forget(keys, at)
	for wait := firstForgetPause; ; wait = min(2*wait, lastForgetPause) {
		err := p.destroy(ctx, keys, at)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		p.logger.WarnContext(ctx, "an erasure is not complete and is tried again", "keys", len(keys), "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.after(wait):
		}
	}
}

func (p *Forget) destroy(ctx context.Context, keys []event.KeyID, at time.Time) error {
	alive, err := p.keys.Alive(ctx, keys)
	if err != nil || len(alive) == 0 {
		return err
	}
	return p.keys.Destroy(ctx, alive, at)
}
