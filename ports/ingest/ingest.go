// Package ingest consumes commands to queue messages from a broker.
//
// # Invariants
//
//   - A command is acknowledged only after its message is recorded in the event log, or
//     after the command and the reason are on the topic of rejected commands.
//   - A repeated command finds the message by its idempotency key and adds nothing.
//   - A command that cannot be accepted doesn't block others.
//   - While the event store is unavailable or accepting is overloaded, no command is
//     rejected because of that. Commands wait in the broker.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// defaultSubscriptions is the default of Options.Subscriptions.
	defaultSubscriptions = 16
	// maxTries is the maximum number of attempts for a command that fails for a reason
	// other than its content while the event store is available.
	maxTries = 5
	// tryTimeout is the time limit for one attempt.
	tryTimeout = 20 * time.Second
	// The delay before a retry grows from shortestPause to longestPause.
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
	// endTimeout is how long Run waits for subscriptions to end.
	endTimeout = 10 * time.Second
)

// Broker delivers commands and receives rejected ones.
type Broker interface {
	// Subscribe opens another subscription. When ctx ends, the channel is closed, and
	// messages that were not acknowledged are delivered again.
	Subscribe(ctx context.Context, topic string) (<-chan *wm.Message, error)
	// Publish returns nil when the broker has confirmed the messages.
	Publish(ctx context.Context, topic string, messages ...*wm.Message) error
	// MaxMessage returns the maximum size of a message in bytes, or 0 if there is none.
	MaxMessage() int
	// Kind returns the broker's name for log output.
	Kind() string
}

// Queue accepts messages. If Handle returns nil, the message is recorded.
type Queue interface {
	Handle(ctx context.Context, r message.Request, cause event.Cause) (command.Queued, error)
}

// Options configure a Consumer. Subscriptions and Logger are optional.
type Options struct {
	Broker Broker
	// Commands and Rejected are the names of the topics.
	Commands, Rejected string
	// Parse decodes a command. Rejections contain its errors for the producer.
	Parse func(raw []byte) (message.Request, error)
	Queue Queue
	// Ping returns an error if the event store is unavailable.
	Ping func(context.Context) error
	IDs  event.IDs
	// Subscriptions is the maximum number of commands in progress. If zero, 16.
	Subscriptions int
	Logger        *slog.Logger
}

// Consumer consumes commands.
type Consumer struct{ opts Options }

// New returns a Consumer.
func New(o Options) *Consumer {
	if o.Subscriptions <= 0 {
		o.Subscriptions = defaultSubscriptions
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Consumer{opts: o}
}

// Run consumes commands until ctx ends and returns ctx's error. It retries while the
// broker is unavailable.
func (i *Consumer) Run(ctx context.Context) error {
	var subscriptions sync.WaitGroup
	for range i.opts.Subscriptions {
		subscriptions.Go(func() { i.subscribe(ctx) })
	}
	<-ctx.Done()
	ended := make(chan struct{})
	go func() {
		subscriptions.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endTimeout):
		i.opts.Logger.WarnContext(ctx, "command subscriptions did not end in time; unacknowledged commands will be delivered again")
	}
	return ctx.Err()
}

// subscribe keeps one subscription open until ctx ends.
func (i *Consumer) subscribe(ctx context.Context) {
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for ctx.Err() == nil {
		messages, err := i.opts.Broker.Subscribe(ctx, i.opts.Commands)
		if err != nil {
			if ctx.Err() == nil {
				i.opts.Logger.WarnContext(ctx, "failed to subscribe to commands", "broker", i.opts.Broker.Kind(), "error", err)
			}
			_ = retries.Sleep(ctx)
			continue
		}
		retries.Reset()
		for m := range messages {
			if ctx.Err() != nil {
				m.Nack() // the channel must be read until it is closed
				continue
			}
			i.take(m)
		}
		_ = retries.Sleep(ctx) // the subscription ended on its own
	}
}

// take records one command or rejects it, and then acknowledges it. If the context of m
// ends first, take returns the command to the broker, which delivers it again.
func (i *Consumer) take(m *wm.Message) {
	ctx := m.Context()
	request, err := i.request(m)
	var queued command.Queued
	if err == nil {
		queued, err = i.queue(ctx, request, trace.ParseTraceparent(m.Metadata.Get("traceparent")))
	}
	switch {
	case err == nil:
		m.Ack()
		i.opts.Logger.DebugContext(ctx, "command accepted", "message", queued.ID, "replayed", queued.Replayed)
	case ctx.Err() != nil:
		m.Nack()
	case i.reject(ctx, m, err):
		m.Ack()
	default:
		m.Nack()
	}
}

// request decodes the command. If it has no idempotency key, the key is derived from the
// ID that its producer gave the broker's message, so that repeating the command is safe.
func (i *Consumer) request(m *wm.Message) (message.Request, error) {
	r, err := i.opts.Parse(m.Payload)
	if err != nil {
		return r, err
	}
	if r.IdempotencyKey == "" {
		if m.UUID == "" {
			return r, domain.Invalid("idempotencyKey", "is required because the broker's message has no ID; a broker can deliver a command twice, so set one of them")
		}
		r.IdempotencyKey = "broker:" + m.UUID
	}
	return r, nil
}

// queue records the message in the trace of its producer. It retries for as long as the
// event store is unavailable or accepting is overloaded. Other failures that can be
// temporary are retried a few times.
func (i *Consumer) queue(ctx context.Context, r message.Request, traceparent string) (command.Queued, error) {
	cause := event.Cause{
		By:          domain.Actor{Kind: domain.ActorBroker, ID: i.opts.Broker.Kind()},
		CausationID: i.opts.IDs().String(),
		Traceparent: traceparent,
	}
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for tries := 1; ; {
		trying, cancel := context.WithTimeout(ctx, tryTimeout)
		queued, err := i.opts.Queue.Handle(trying, r, cause)
		cancel()
		if err == nil || final(err) || ctx.Err() != nil {
			return queued, err
		}
		if wait := domain.RetryAfterOf(err); wait > 0 { // it was not begun, so it is not a failed attempt
			i.opts.Logger.DebugContext(ctx, "command waits because accepting is overloaded", "error", err)
			if retry.Sleep(ctx, wait) != nil {
				return queued, ctx.Err()
			}
			continue
		}
		if i.answers(ctx) {
			if tries++; tries > maxTries {
				return queued, fmt.Errorf("%d attempts failed: %w", maxTries, err)
			}
		}
		i.opts.Logger.WarnContext(ctx, "failed to record command, retrying", "error", err)
		if retries.Sleep(ctx) != nil {
			return queued, ctx.Err()
		}
	}
}

func (i *Consumer) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, longestPause)
	defer cancel()
	return i.opts.Ping(ctx) == nil
}

// final reports whether a retry would fail with the same error.
func final(err error) bool {
	var told *domain.Error
	return errors.As(err, &told) && told.Code != domain.CodeUnavailable && told.Code != domain.CodeInternal
}

// reject publishes the command to the topic of rejected commands. It retries until it
// succeeds and returns true, or returns false if ctx ends first.
func (i *Consumer) reject(ctx context.Context, m *wm.Message, reason error) bool {
	rejected := i.rejection(ctx, m, reason)
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for {
		err := i.opts.Broker.Publish(ctx, i.opts.Rejected, rejected)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			i.opts.Logger.WarnContext(ctx, "failed to publish rejected command, retrying", "broker", i.opts.Broker.Kind(), "error", err)
		}
		if retries.Sleep(ctx) != nil {
			return false
		}
	}
}
