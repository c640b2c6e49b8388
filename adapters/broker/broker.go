package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The topics of the public surface. On a broker that allows no dots in a name
// they are written with hyphens.
const (
	// Commands is where producers hand over messages to be sent.
	Commands = "waypost.commands"
	// Rejected is where commands go that cannot be accepted, with the reason.
	Rejected = "waypost.commands.rejected"
	// Events is where what becomes of the messages is told.
	Events = "waypost.events"
)

// topics are all of them.
func topics() []string { return []string{Commands, Rejected, Events} }

const (
	// defaultSubscriptions is how many messages are in flight at once: at 5 ms for an
	// append, with the load of 2,000 commands a second, ten would do.
	defaultSubscriptions = 16
	// defaultRedelivery is how long a message may be in hand before another consumer
	// gets it too, where the broker leaves that to its clients.
	defaultRedelivery = 30 * time.Second
	// prepareTimeout bounds the making of topics and groups.
	prepareTimeout = 20 * time.Second
	// publishTimeout bounds one Publish: a broker that is short of memory or disk
	// keeps its clients waiting without a word.
	publishTimeout = 30 * time.Second
	// upkeepEvery is how often what was acknowledged is cleared away, and what a
	// broker lost is made again.
	upkeepEvery = 2 * time.Second
	// closeTimeout bounds the end of a connection.
	closeTimeout = 5 * time.Second
)

// Options are the settings of a connection. The zero value is of use.
type Options struct {
	// Subscriptions is how many messages may be in hand at once, 16 if zero: the
	// number of calls of Subscribe that the connection is made for.
	Subscriptions int
	// Redelivery is how long a message may be in hand before it comes again, 30 s if
	// zero. RabbitMQ needs none: it knows when a consumer has gone.
	Redelivery time.Duration
	// Logger gets what the broker's client reports. Nothing is logged without one.
	Logger *slog.Logger
}

// driver is one kind of broker.
type driver interface {
	// prepare connects, and makes what is missing: tables, queues, groups. It is
	// called until it succeeds, and again after a failure of the others.
	prepare(ctx context.Context) error
	// subscribe opens one more subscription. It ends, and the channel is closed, soon
	// after ctx ends.
	subscribe(ctx context.Context, topic string) (<-chan *message.Message, error)
	// publish returns nil after the broker has all of the messages, in their order.
	publish(ctx context.Context, topic string, messages []*message.Message) error
	// concurrency is how many calls of publish at once are of use.
	concurrency() int
	// maxMessage is how large a message may be, in bytes; 0 if there is no limit that a
	// command could reach.
	maxMessage() int
	// upkeep clears away what was acknowledged.
	upkeep(ctx context.Context) error
	// close ends the connection; it may hang.
	close() error
}

// Broker is a connection to the user's broker. It connects when it is first used,
// and again whenever that is needed. It is safe for concurrent use.
type Broker struct {
	kind   string
	driver driver
	logger *slog.Logger

	mu       sync.Mutex
	prepared bool
	closed   bool
}

// UnsupportedError says that a URL names no broker that this program knows.
type UnsupportedError struct{ Scheme string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("no broker is known by the scheme %q; use one of %s", e.Scheme, strings.Join(schemes(), ", "))
}

// schemes are those of the supported brokers.
func schemes() []string {
	return []string{"postgres://", "amqp://", "amqps://", "redis://", "rediss://", "sqs://"}
}

// ErrClosed says that the connection was closed.
var ErrClosed = errors.New("the connection to the broker is closed")

// Open checks the URL and answers a connection to the broker that it names, which
// need not be there yet. The error is *UnsupportedError for a scheme that is not
// known. The Broker must be closed.
func Open(rawURL string, o Options) (*Broker, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the broker's URL cannot be read; give one like amqp://user:password@host:5672/") // err would quote the password
	}
	if o.Subscriptions <= 0 {
		o.Subscriptions = defaultSubscriptions
	}
	if o.Redelivery <= 0 {
		o.Redelivery = defaultRedelivery
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broker{logger: o.Logger}
	switch u.Scheme {
	case "postgres", "postgresql":
		b.kind = "Postgres"
		b.driver, err = newPostgres(rawURL, o)
	case "amqp", "amqps":
		b.kind, b.driver = "RabbitMQ", newRabbitMQ(rawURL, o)
	case "redis", "rediss":
		b.kind = "Redis"
		b.driver, err = newRedis(rawURL, o)
	case "sqs":
		b.kind = "SQS"
		b.driver, err = newSQS(u, o)
	default:
		return nil, &UnsupportedError{Scheme: u.Scheme}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Kind is the broker's name, for people.
func (b *Broker) Kind() string { return b.kind }

// Subscribe opens one more subscription to a topic: it hands out one message at a
// time and waits for its Ack. When ctx ends the channel is closed soon after; who
// reads it must read on until then. What is not acknowledged comes again.
func (b *Broker) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	c, err := b.driver.subscribe(ctx, topic)
	if err != nil {
		b.forget()
		return nil, fmt.Errorf("subscribe to %s on %s: %w", topic, b.kind, err)
	}
	return c, nil
}

// Publish hands messages over to the broker, in their order, and returns nil only
// when it has them all. After an error some of them may be there.
func (b *Broker) Publish(ctx context.Context, topic string, messages ...*message.Message) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.driver.publish(ctx, topic, messages) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done(): // not every client listens to it; the call ends with the connection
		err = ctx.Err()
	}
	if err != nil {
		b.forget()
		return fmt.Errorf("publish to %s on %s: %w", topic, b.kind, err)
	}
	return nil
}

// Concurrency is how many calls of Publish at once are of use.
func (b *Broker) Concurrency() int { return b.driver.concurrency() }

// MaxMessage is how large a message may be, in bytes; 0 if there is no limit that a
// command could reach.
func (b *Broker) MaxMessage() int { return b.driver.maxMessage() }

// Ping reports whether the broker can be used.
func (b *Broker) Ping(ctx context.Context) error { return b.prepare(ctx) }

// Run looks after the topics until ctx ends: what everybody has acknowledged is
// cleared away where the broker does not do it.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := b.keep(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			b.logger.WarnContext(ctx, "the broker cannot be looked after", "broker", b.kind, "error", err)
		}
		failed = err != nil
	}
}

func (b *Broker) keep(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	err := b.driver.upkeep(ctx)
	if err != nil {
		b.forget()
	}
	return err
}

// prepare makes the broker ready, once; anew after something failed.
func (b *Broker) prepare(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.prepared:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := b.driver.prepare(ctx); err != nil {
		return fmt.Errorf("connect to %s: %w", b.kind, err)
	}
	b.prepared = true
	return nil
}

// forget has the next use look whether all is there that should be.
func (b *Broker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prepared = false
}

// Close ends the connection. Subscriptions must have ended.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	b.mu.Unlock()
	if closed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.driver.close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s did not close in time: %w", b.kind, ctx.Err())
	}
}
