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

// The public topics. Brokers that don't allow dots in names use hyphens instead.
const (
	// Commands is the topic that producers publish send requests to.
	Commands = "waypost.commands"
	// Rejected is the topic of commands that could not be accepted, with the reason.
	Rejected = "waypost.commands.rejected"
	// Events is the topic of message events.
	Events = "waypost.events"
)

// topics returns all topics.
func topics() []string { return []string{Commands, Rejected, Events} }

const (
	// defaultSubscriptions is the default number of messages in progress at a time. If
	// an append takes 5 ms, 10 are enough for 2,000 commands per second.
	defaultSubscriptions = 16
	// defaultRedelivery is the default time after which an unacknowledged message is
	// delivered to another consumer, for brokers whose clients set this time.
	defaultRedelivery = 30 * time.Second
	// prepareTimeout limits how long creating topics and groups can take.
	prepareTimeout = 20 * time.Second
	// publishTimeout limits one Publish call. A broker that runs out of memory or disk
	// space blocks its clients without an error.
	publishTimeout = 30 * time.Second
	// upkeepEvery is the interval at which acknowledged messages are deleted and
	// whatever the broker lost is created again.
	upkeepEvery = 2 * time.Second
	// closeTimeout limits how long closing a connection can take.
	closeTimeout = 5 * time.Second
)

// Options are the settings of a connection. The zero value is valid.
type Options struct {
	// Subscriptions is the maximum number of messages in progress, and so the number
	// of Subscribe calls that the connection is sized for. If zero, it is 16.
	Subscriptions int
	// Redelivery is the time after which an unacknowledged message is delivered again.
	// If zero, it is 30 s. RabbitMQ ignores it because it notices when a consumer
	// disconnects.
	Redelivery time.Duration
	// Logger receives the messages of the broker's client. If nil, nothing is logged.
	Logger *slog.Logger
}

// A driver implements one kind of broker.
type driver interface {
	// prepare connects and creates missing tables, queues, and groups. It is called
	// until it succeeds, and again after another method fails.
	prepare(ctx context.Context) error
	// subscribe opens another subscription. Soon after ctx ends, the subscription ends
	// and the channel is closed.
	subscribe(ctx context.Context, topic string) (<-chan *message.Message, error)
	// publish returns nil only after the broker has stored all messages, in order.
	publish(ctx context.Context, topic string, messages []*message.Message) error
	// concurrency returns the number of concurrent publish calls that is useful.
	concurrency() int
	// maxMessage returns the maximum size of a message in bytes, or 0 if no command
	// can reach the limit.
	maxMessage() int
	// maintain deletes acknowledged messages.
	maintain(ctx context.Context) error
	// close closes the connection. It can hang.
	close() error
}

// A Broker is a connection to the user's broker. It connects on first use and
// reconnects whenever necessary. It is safe for concurrent use.
type Broker struct {
	kind   string
	driver driver
	logger *slog.Logger

	mu       sync.Mutex
	prepared bool
	closed   bool
}

// An UnsupportedError reports that Waypost doesn't support the scheme of a broker URL.
type UnsupportedError struct{ Scheme string }

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("unsupported broker scheme %q; use one of %s", e.Scheme, strings.Join(schemes(), ", "))
}

// schemes returns the URL schemes of the supported brokers.
func schemes() []string {
	return []string{"postgres://", "amqp://", "amqps://", "redis://", "rediss://", "sqs://"}
}

// ErrClosed is returned after the connection was closed.
var ErrClosed = errors.New("broker connection closed")

// Open checks the URL and returns a connection to its broker, which doesn't have to be
// reachable yet. If the scheme is unknown, the error is an *UnsupportedError. The
// caller must close the Broker.
func Open(rawURL string, o Options) (*Broker, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("invalid broker URL; use one like amqp://user:password@host:5672/") // err would quote the password
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

// Kind returns the broker's display name.
func (b *Broker) Kind() string { return b.kind }

// Subscribe opens another subscription to a topic. It delivers one message at a time
// and waits for its Ack. Soon after ctx ends, the channel is closed. The caller must
// read from the channel until then. Unacknowledged messages are delivered again.
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

// Publish publishes messages in order. It returns nil only after the broker has stored
// all of them. After an error, the broker may have stored some of them.
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
	case <-ctx.Done(): // some clients ignore ctx; their call ends with the connection
		err = ctx.Err()
	}
	if err != nil {
		b.forget()
		return fmt.Errorf("publish to %s on %s: %w", topic, b.kind, err)
	}
	return nil
}

// Concurrency returns the number of concurrent Publish calls that is useful.
func (b *Broker) Concurrency() int { return b.driver.concurrency() }

// MaxMessage returns the maximum size of a message in bytes, or 0 if no command or
// event can reach the limit.
func (b *Broker) MaxMessage() int { return b.driver.maxMessage() }

// Ping returns an error if the broker cannot be used.
func (b *Broker) Ping(ctx context.Context) error { return b.prepare(ctx) }

// Run maintains the topics until ctx ends. It deletes messages that all consumers have
// acknowledged, unless the broker does so itself.
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
			b.logger.WarnContext(ctx, "broker maintenance failed", "broker", b.kind, "error", err)
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
	err := b.driver.maintain(ctx)
	if err != nil {
		b.forget()
	}
	return err
}

// prepare prepares the driver on first use, and again after a failure.
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

// forget makes the next use prepare the driver again.
func (b *Broker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prepared = false
}

// Close closes the connection. All subscriptions must have ended.
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
		return fmt.Errorf("%s connection did not close in time: %w", b.kind, ctx.Err())
	}
}
