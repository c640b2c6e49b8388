// Package ingest takes in commands to queue messages from a broker.
//
// Its invariants: a command is acknowledged only after its message is recorded in
// the log, or after it stands on the topic of rejected commands with the reason. A
// repeat finds the message by its idempotency key and adds nothing. A command that
// cannot be accepted stands in no other's way. While the event store is away nothing
// is rejected: commands wait in the broker.
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
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

const (
	// defaultSubscriptions is how many commands are in hand at once.
	defaultSubscriptions = 16
	// maxTries is how often a command is tried that fails for a reason which is not
	// its own, while the event store answers.
	maxTries = 5
	// tryTimeout bounds one try.
	tryTimeout = 20 * time.Second
	// A pause grows from shortestPause to longestPause.
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
	// endTimeout bounds how long subscriptions may take to end.
	endTimeout = 10 * time.Second
)

// Broker is where commands come from and rejected ones go.
type Broker interface {
	// Subscribe opens one more subscription. When ctx ends the channel is closed, and
	// what was not acknowledged comes again.
	Subscribe(ctx context.Context, topic string) (<-chan *wm.Message, error)
	// Publish returns nil when the broker has the messages.
	Publish(ctx context.Context, topic string, messages ...*wm.Message) error
	// MaxMessage is how large a message may be, in bytes; 0 for any size.
	MaxMessage() int
	// Kind is the broker's name, for the log.
	Kind() string
}

// Queue accepts messages; nil means recorded.
type Queue interface {
	Handle(ctx context.Context, r message.Request, cause command.Cause) (command.Queued, error)
}

// Options are what the intake is built of. Subscriptions and Logger have defaults.
type Options struct {
	Broker Broker
	// Commands and Rejected are the topics' names.
	Commands, Rejected string
	// Parse reads a command. Its errors are told to the producer.
	Parse func(raw []byte) (message.Request, error)
	Queue Queue
	// Ping reports whether the event store answers.
	Ping func(context.Context) error
	IDs  command.IDs
	// Subscriptions is how many commands are in hand at once, 16 if zero.
	Subscriptions int
	Logger        *slog.Logger
}

// Intake takes in commands.
type Intake struct{ opts Options }

// New makes an intake.
func New(o Options) *Intake {
	if o.Subscriptions <= 0 {
		o.Subscriptions = defaultSubscriptions
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Intake{opts: o}
}

// Run takes in commands until ctx ends, and answers ctx's error. A broker that is
// away is waited for.
func (i *Intake) Run(ctx context.Context) error {
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
		i.opts.Logger.WarnContext(ctx, "subscriptions to commands did not end in time; what they have in hand comes again")
	}
	return ctx.Err()
}

// subscribe keeps one subscription going until ctx ends.
func (i *Intake) subscribe(ctx context.Context) {
	pause := pauses{}
	for ctx.Err() == nil {
		messages, err := i.opts.Broker.Subscribe(ctx, i.opts.Commands)
		if err != nil {
			if ctx.Err() == nil {
				i.opts.Logger.WarnContext(ctx, "commands cannot be taken in", "broker", i.opts.Broker.Kind(), "error", err)
			}
			pause.wait(ctx)
			continue
		}
		pause = pauses{}
		for m := range messages {
			if ctx.Err() != nil {
				m.Nack() // the channel must be read until it is closed
				continue
			}
			i.take(m)
		}
		pause.wait(ctx) // a subscription that ended by itself
	}
}

// take settles one command. It gives up, and leaves the command to come again,
// when the subscription takes it back.
func (i *Intake) take(m *wm.Message) {
	ctx := m.Context()
	request, err := i.request(m)
	var queued command.Queued
	if err == nil {
		queued, err = i.queue(ctx, request, trace.Parent(m.Metadata.Get("traceparent")))
	}
	switch {
	case err == nil:
		m.Ack()
		i.opts.Logger.DebugContext(ctx, "command", "message", queued.ID, "replayed", queued.Replayed)
	case ctx.Err() != nil:
		m.Nack()
	case i.reject(ctx, m, err):
		m.Ack()
	default:
		m.Nack()
	}
}

// request reads the command. One without an idempotency key is known by the id that
// its producer gave the broker's message, so that it can come again unharmed.
func (i *Intake) request(m *wm.Message) (message.Request, error) {
	r, err := i.opts.Parse(m.Payload)
	if err != nil {
		return r, err
	}
	if r.IdempotencyKey == "" {
		if m.UUID == "" {
			return r, domain.Invalid("idempotencyKey", "is missing, and the broker's message has no id to go by; a broker may deliver a command twice, so give one of the two")
		}
		r.IdempotencyKey = "broker:" + m.UUID
	}
	return r, nil
}

// queue records the message, in the trace of its producer. It tries again for as long as the event store is away,
// and else a few times.
func (i *Intake) queue(ctx context.Context, r message.Request, traceparent string) (command.Queued, error) {
	cause := command.Cause{
		By:          domain.Actor{Kind: domain.ActorBroker, ID: i.opts.Broker.Kind()},
		CausationID: i.opts.IDs().String(),
		Traceparent: traceparent,
	}
	pause := pauses{}
	for tries := 1; ; {
		trying, cancel := context.WithTimeout(ctx, tryTimeout)
		queued, err := i.opts.Queue.Handle(trying, r, cause)
		cancel()
		if err == nil || final(err) || ctx.Err() != nil {
			return queued, err
		}
		if i.answers(ctx) {
			if tries++; tries > maxTries {
				return queued, fmt.Errorf("tried %d times: %w", maxTries, err)
			}
		}
		i.opts.Logger.WarnContext(ctx, "a command waits", "error", err)
		if !pause.wait(ctx) {
			return queued, ctx.Err()
		}
	}
}

func (i *Intake) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, longestPause)
	defer cancel()
	return i.opts.Ping(ctx) == nil
}

// final reports whether trying again would end the same.
func final(err error) bool {
	var told *domain.Error
	return errors.As(err, &told) && told.Code != domain.CodeUnavailable && told.Code != domain.CodeInternal
}

// reject puts the command onto the topic of rejected ones; false if the subscription
// took it back before.
func (i *Intake) reject(ctx context.Context, m *wm.Message, reason error) bool {
	rejected := i.rejection(ctx, m, reason)
	pause := pauses{}
	for {
		err := i.opts.Broker.Publish(ctx, i.opts.Rejected, rejected)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			i.opts.Logger.WarnContext(ctx, "a rejected command cannot be put aside", "broker", i.opts.Broker.Kind(), "error", err)
		}
		if !pause.wait(ctx) {
			return false
		}
	}
}

// pauses grow with each one.
type pauses struct{ last time.Duration }

// wait waits for the next pause; false if ctx ended before.
func (p *pauses) wait(ctx context.Context) bool {
	p.last = min(max(2*p.last, shortestPause), longestPause)
	t := time.NewTimer(p.last)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
