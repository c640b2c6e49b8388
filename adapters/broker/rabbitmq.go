package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// rabbitPublishers is the number of concurrent publishers. Each waits for the
	// confirmation of every message.
	rabbitPublishers = 16
	// rabbitPrefetch is the number of messages that RabbitMQ sends to a subscription in
	// advance. They are handled one at a time, so a higher number would only keep
	// messages from other subscriptions.
	rabbitPrefetch = 4
	// rabbitReconnect is the longest pause between two attempts to connect, apart from half
	// of it at random. The client's default of a minute would last that long after RabbitMQ
	// is back.
	rabbitReconnect = 2 * time.Second
)

// rabbitMQ uses RabbitMQ as a broker, through watermill-amqp. Each topic is a durable
// fanout exchange with a durable queue of the same name bound to it. Producers publish to
// either, and other consumers of events bind their own queues.
//
// The client has pitfalls:
//   - It declares a queue only when a subscriber needs it, and RabbitMQ drops messages
//     published to an exchange without a bound queue. So all queues are declared first.
//   - Its channel pool loses a channel each time it fails to reopen one, and blocks when
//     none is left. So each call opens a channel.
//   - When a connection breaks, a subscription reads an empty delivery from the closed
//     channel. So [lenientDelivery] rejects empty deliveries.
//   - A header that isn't text fails the message and requeues it immediately, forever. So
//     [lenientDelivery] formats such headers.
//   - A nack requeues immediately. So consumers don't nack.
type rabbitMQ struct {
	config wamqp.Config
	logger watermill.LoggerAdapter

	mu         sync.Mutex
	subscriber *wamqp.Subscriber
	publisher  *wamqp.Publisher
}

func newRabbitMQ(url string, o Options) *rabbitMQ {
	config := wamqp.NewDurablePubSubConfig(url, wamqp.GenerateQueueNameTopicName)
	config.Marshaler = lenientDelivery{}
	config.Publish.ConfirmDelivery = true
	config.Connection.Reconnect = wamqp.DefaultReconnectConfig()
	config.Connection.Reconnect.BackoffMaxInterval = rabbitReconnect
	config.Consume.Qos.PrefetchCount = rabbitPrefetch
	return &rabbitMQ{config: config, logger: newClientLogger(o.Logger, "RabbitMQ")}
}

// prepare connects on the first call and declares all exchanges and queues. The client
// then reconnects automatically, but declares only what it subscribes to.
func (r *rabbitMQ) prepare(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.subscriber == nil {
		if r.subscriber, err = wamqp.NewSubscriber(r.config, r.logger); err != nil {
			r.subscriber = nil
			return withoutURL(err)
		}
	}
	if r.publisher == nil {
		if r.publisher, err = wamqp.NewPublisher(r.config, r.logger); err != nil {
			r.publisher = nil
			return withoutURL(err)
		}
	}
	for _, topic := range topics() {
		if err := r.subscriber.SubscribeInitialize(topic); err != nil {
			return err
		}
	}
	return nil
}

// withoutURL returns err, or a general error if err might quote the URL, which can contain
// a password.
func withoutURL(err error) error {
	var malformed interface{ Timeout() bool }
	if errors.As(err, &malformed) || errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrVhost) || errors.Is(err, amqp.ErrSASL) {
		return err
	}
	var refused *amqp.Error
	if errors.As(err, &refused) {
		return err
	}
	return errors.New("connection failed; check the broker URL")
}

func (r *rabbitMQ) clients() (*wamqp.Subscriber, *wamqp.Publisher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.subscriber == nil || r.publisher == nil {
		return nil, nil, errors.New("not connected")
	}
	return r.subscriber, r.publisher, nil
}

func (r *rabbitMQ) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s, _, err := r.clients()
	if err != nil {
		return nil, err
	}
	return s.Subscribe(ctx, topic)
}

func (r *rabbitMQ) publish(ctx context.Context, topic string, messages []*message.Message) error {
	_, p, err := r.clients()
	if err != nil {
		return err
	}
	for _, m := range messages {
		m.SetContext(ctx)
	}
	return p.Publish(topic, messages...)
}

func (r *rabbitMQ) concurrency() int { return rabbitPublishers }

func (r *rabbitMQ) maxMessage() int { return 0 } // 128 MiB since 3.8

// maintain does nothing because RabbitMQ deletes acknowledged messages.
func (r *rabbitMQ) maintain(context.Context) error { return nil }

// close closes both connections. The client first waits for its own calls, which hang
// while the broker doesn't respond, so the caller must limit the time.
func (r *rabbitMQ) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.subscriber != nil {
		errs = append(errs, r.subscriber.Close())
	}
	if r.publisher != nil {
		errs = append(errs, r.publisher.Close())
	}
	return errors.Join(errs...)
}

// lenientDelivery reads messages published by Watermill or by any other program. Only
// the body is required.
type lenientDelivery struct{ wamqp.DefaultMarshaler }

// errPhantom is the error for an empty delivery from a closed channel.
var errPhantom = errors.New("channel closed")

// Unmarshal reads a delivery. It returns an error only for the empty delivery from a
// closed channel.
func (lenientDelivery) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		return nil, errPhantom
	}
	id, _ := d.Headers[wamqp.DefaultMessageUUIDHeaderKey].(string)
	if id == "" {
		id = d.MessageId
	}
	m := message.NewMessage(id, d.Body)
	for key, value := range d.Headers {
		if key != wamqp.DefaultMessageUUIDHeaderKey {
			m.Metadata[key] = fmt.Sprint(value)
		}
	}
	return m, nil
}
