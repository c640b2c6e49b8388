package process

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/domain"
)

const (
	// lateFor is how long after an erasure a message can still be queued under one of its
	// keys, because another process seals under a cached key until it has read the erasure.
	// Messages are looked up again then.
	lateFor = 30 * time.Second
	// maxLate bounds the erasures that wait for the second lookup.
	maxLate = 1000
	// viewsPoll is how often the position of the read models is read while they are behind
	// an erasure.
	viewsPoll = 100 * time.Millisecond
)

// CancelErased cancels open messages to erased recipients: scheduled messages, and messages
// of paused senders, which no lane handles. The request that erases a recipient does this
// too. CancelErased follows the log, so that no message stays open after a crash in
// between, or if a read model was behind.
type CancelErased struct {
	log      event.Log
	unsent   command.UnsentReader
	messages *command.Messages
	clock    event.Clock
	after    func(time.Duration) <-chan time.Time
	logger   *slog.Logger
}

// NewCancelErased returns the process. after is time.After, or a test's.
func NewCancelErased(
	log event.Log, unsent command.UnsentReader, messages *command.Messages, clock event.Clock,
	after func(time.Duration) <-chan time.Time, logger *slog.Logger,
) *CancelErased {
	return &CancelErased{log: log, unsent: unsent, messages: messages, clock: clock, after: after, logger: logger}
}

// erasure is one event of an erasure on request.
type erasure struct {
	keys     []event.KeyID
	at       time.Time
	position event.Position
	id       string
}

// Run follows the log from its start until ctx ends or the subscription fails, and returns
// that error. It needs no position of its own, because a message is cancelled once.
func (p *CancelErased) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	found := make(chan erasure)
	var following sync.WaitGroup
	following.Go(func() { stop(p.follow(ctx, found)) })
	p.cancelAll(ctx, found)
	following.Wait()
	return fmt.Errorf("cancel messages to erased people: %w", context.Cause(ctx))
}

// follow passes on the erasures on request. Retention does not erase messages that are
// still to be sent.
func (p *CancelErased) follow(ctx context.Context, found chan<- erasure) error {
	return p.log.Subscribe(ctx, event.Subscription{
		Filter: event.Filter{StreamPrefixes: []string{event.ErasureStreams}}, Sealed: true,
	}, func(ctx context.Context, b event.Batch) error {
		for _, r := range b.Events {
			e, ok := r.Event.(event.PersonalErased)
			if !ok || len(e.Keys) == 0 || e.Cause != event.ErasedOnRequest {
				continue
			}
			select {
			case found <- erasure{keys: e.Keys, at: r.Meta.RecordedAt, position: r.Position, id: r.ID.String()}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

// cancelAll handles each erasure when it is found, and a recent one again later, until ctx
// ends.
func (p *CancelErased) cancelAll(ctx context.Context, found <-chan erasure) {
	var late []erasure // in log order
	for {
		var next <-chan time.Time
		if len(late) > 0 {
			next = p.after(late[0].at.Add(lateFor).Sub(p.clock()))
		}
		var e erasure
		select {
		case <-ctx.Done():
			return
		case e = <-found:
			if p.clock().Sub(e.at) < lateFor && len(late) < maxLate {
				late = append(late, e)
			}
		case <-next:
			e, late = late[0], late[1:]
		}
		p.cancel(ctx, e)
	}
}

// cancel waits until the read models have seen the erasure, and retries until ctx ends if a
// store is unavailable.
func (p *CancelErased) cancel(ctx context.Context, e erasure) {
	cause := event.Cause{By: domain.Platform("erasure"), CausationID: e.id}
	retries := retry.Backoff{First: firstForgetPause, Max: lastForgetPause}
	for warned := false; ; {
		at, err := p.unsent.ViewsPosition(ctx)
		pause := viewsPoll
		if err == nil && at >= e.position {
			if err = p.messages.CancelErased(ctx, p.unsent, e.keys, cause); err == nil {
				return
			}
		}
		if err != nil {
			if !warned && ctx.Err() == nil {
				warned = true
				p.logger.WarnContext(ctx, "failed to cancel messages to an erased recipient, retrying", "error", err)
			}
			pause = retries.Next()
		}
		if retry.Wait(ctx, p.after, pause) != nil {
			return
		}
	}
}
