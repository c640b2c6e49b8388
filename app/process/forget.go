package process

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
)

const (
	firstForgetPause = 100 * time.Millisecond
	lastForgetPause  = 10 * time.Second
)

// DataKeys are the keys that erasures destroy.
type DataKeys interface {
	// Forget drops keys from this process's memory.
	Forget(keys []event.KeyID, at time.Time)
	// Alive returns the keys that are not destroyed.
	Alive(ctx context.Context, keys []event.KeyID) ([]event.KeyID, error)
	Destroy(ctx context.Context, keys []event.KeyID, at time.Time) error
	PurgeFiles(ctx context.Context) error
}

// Forget follows the erasures in the log. Each process drops the erased keys from its
// memory. Keys that were not destroyed because of a crash, or that came back with a
// restored vault, are destroyed.
type Forget struct {
	log      event.Log
	keys     DataKeys
	messages *command.Messages
	after    func(time.Duration) <-chan time.Time
	logger   *slog.Logger
}

// NewForget returns the process. after is time.After, or a test's.
func NewForget(
	log event.Log, keys DataKeys, messages *command.Messages, after func(time.Duration) <-chan time.Time, logger *slog.Logger,
) *Forget {
	return &Forget{log: log, keys: keys, messages: messages, after: after, logger: logger}
}

// Run follows the log from its start until ctx ends or the subscription fails, and returns
// that error. It needs no position of its own, because destroyed keys stay destroyed.
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

// forget retries until ctx ends, because the vault can be unavailable.
func (p *Forget) forget(ctx context.Context, keys []event.KeyID, at time.Time) error {
	p.messages.Forget(keys)
	p.keys.Forget(keys, at)
	retries := retry.Backoff{First: firstForgetPause, Max: lastForgetPause}
	for {
		err := p.destroy(ctx, keys, at)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		p.logger.WarnContext(ctx, "erasure is incomplete, retrying", "keys", len(keys), "error", err)
		if err := retries.Wait(ctx, p.after); err != nil {
			return err
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
