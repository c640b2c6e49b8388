package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// rabbitPublishers is how many publish at once: each waits for the confirmation of
	// every message.
	rabbitPublishers = 16
	// rabbitPrefetch is how many messages RabbitMQ sends a subscription ahead. They
	// are handled one after the other, so more would only keep them from others.
	rabbitPrefetch = 4
)

// rabbitMQ is RabbitMQ as a broker, over watermill-amqp. Each topic is a durable
// fanout exchange, with a durable queue of the same name bound to it: producers
// publish to either, and further consumers of events bind queues of their own.
//
// What its client leaves to be done: it declares a queue only for who subscribes, and
// RabbitMQ drops what is published where no queue is bound, so all are declared first;
// its pool of channels loses one with each failure to open it again, and blocks when
// none is left, so a channel is opened for each call; when a connection breaks, a
// subscription reads an empty delivery from the closed channel, which
// [lenientDelivery] refuses; headers that are no text fail the message and requeue it
// at once, for ever; a nack requeues at once, so consumers do not.
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
	config.Consume.Qos.PrefetchCount = rabbitPrefetch
	return &rabbitMQ{config: config, logger: newClientLogger(o.Logger, "RabbitMQ")}
}

// prepare connects, once, and declares all exchanges and queues. Later the client
// connects again by itself, but declares only what it subscribes to.
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

// withoutURL keeps a password out of the log that the parser of URLs would quote.
func withoutURL(err error) error {
	var malformed interface{ Timeout() bool }
	if errors.As(err, &malformed) || errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrVhost) || errors.Is(err, amqp.ErrSASL) {
		return err
	}
	var refused *amqp.Error
	if errors.As(err, &refused) {
		return err
	}
	return errors.New("cannot connect; check the broker's URL")
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

// upkeep has nothing to do: RabbitMQ deletes what is acknowledged.
func (r *rabbitMQ) upkeep(context.Context) error { return nil }

// close ends both connections. The client waits for its own calls first, which a
// broker that says nothing would keep: the caller's bound holds then.
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

// lenientDelivery reads what Watermill wrote, and what any other program published:
// the body is enough.
type lenientDelivery struct{ wamqp.DefaultMarshaler }

// errPhantom is of a delivery that nobody sent.
var errPhantom = errors.New("the channel was closed")

// Unmarshal reads a delivery. It fails for the empty one that a closed channel gives,
// and for no other.
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
