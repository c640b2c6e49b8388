package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// sqsPublishers is how many publish at once: each waits for one request a message.
	sqsPublishers = 16
	// sqsWait is how long SQS lets a request for messages wait, at most 20 s, and
	// sqsBatch how many messages it answers, at most 10.
	sqsWait  = 20 * time.Second
	sqsBatch = 10
	// sqsMessage is how large a message may be with its attributes: 256 KiB on every
	// queue, though newer ones take 1 MiB.
	sqsMessage = 255 << 10
	// sqsTimeout bounds one request.
	sqsTimeout = sqsWait + 15*time.Second
	// fifo ends the names of queues that keep an order.
	fifo = ".fifo"
)

// GroupKey is the metadata of a message that says with which others it keeps its
// order, where the broker has a notion of that.
const GroupKey = "waypost_group"

// amazonSQS is SQS as a broker, over watermill-aws. Commands come over a standard
// queue; events leave over a FIFO queue in its high throughput mode, in order for
// each message, deduplicated by the event's id within five minutes.
//
// What its client leaves to be done: a message that cannot be decoded ends the batch
// and comes again for ever, so [lenientMessage] takes everything; it asks for one
// message a request; Close may hang while a message is being handed out, so
// subscribers here are read until they end; its publisher listens to no context,
// and logs messages.
type amazonSQS struct {
	region, endpoint string
	credentials      aws.CredentialsProvider
	prefix           string
	options          Options
	logger           watermill.LoggerAdapter

	mu        sync.Mutex
	aws       aws.Config
	client    *sqs.Client
	publisher *wsqs.Publisher
	queues    map[string]string // URL by topic
}

// newSQS reads a URL of the form sqs://[key:secret@]region[?endpoint=URL][&prefix=NAME].
// Without a key the credentials are found as AWS's own tools find them.
func newSQS(u *url.URL, o Options) (*amazonSQS, error) {
	q := u.Query()
	s := &amazonSQS{
		region: u.Hostname(), endpoint: q.Get("endpoint"), prefix: q.Get("prefix"), options: o,
		logger: newClientLogger(o.Logger, "SQS"), queues: map[string]string{},
	}
	if s.region == "" {
		return nil, errors.New("the broker's URL names no region; give one like sqs://eu-central-1")
	}
	for name := range q {
		if name != "endpoint" && name != "prefix" {
			return nil, fmt.Errorf("the broker's URL has a parameter %q; SQS has endpoint and prefix", name)
		}
	}
	if u.User != nil {
		secret, _ := u.User.Password()
		s.credentials = credentials.NewStaticCredentialsProvider(u.User.Username(), secret, "")
	}
	return s, nil
}

// queueName is the name of a topic's queue: SQS allows no dots.
func (s *amazonSQS) queueName(topic string) string {
	name := s.prefix + strings.ReplaceAll(topic, ".", "-")
	if topic == Events {
		name += fifo
	}
	return name
}

// prepare makes the queues that are missing.
func (s *amazonSQS) prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		loaded, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.region),
			config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(sqsTimeout)))
		if err != nil {
			return err
		}
		if s.credentials != nil {
			loaded.Credentials = s.credentials
		}
		if s.endpoint != "" {
			loaded.BaseEndpoint = aws.String(s.endpoint)
		}
		s.aws, s.client = loaded, sqs.NewFromConfig(loaded)
		s.publisher, err = wsqs.NewPublisher(wsqs.PublisherConfig{
			AWSConfig: s.aws, QueueUrlResolver: s, DoNotCreateQueueIfNotExists: true, GenerateSendMessageInput: sendInput,
		}, s.logger)
		if err != nil {
			return err
		}
	}
	for _, topic := range topics() {
		address, err := s.makeQueue(ctx, s.queueName(topic))
		if err != nil {
			return err
		}
		s.queues[topic] = address
	}
	return nil
}

// makeQueue answers the address of a queue, which it makes if it is missing. One
// that is there keeps its attributes.
func (s *amazonSQS) makeQueue(ctx context.Context, name string) (string, error) {
	found, err := s.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err == nil {
		return aws.ToString(found.QueueUrl), nil
	}
	var missing *types.QueueDoesNotExist
	if !errors.As(err, &missing) {
		return "", err
	}
	var attributes map[string]string
	if strings.HasSuffix(name, fifo) {
		attributes = map[string]string{
			"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
		}
	}
	made, err := s.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return "", err
	}
	return aws.ToString(made.QueueUrl), nil
}

// ResolveQueueUrl tells Watermill the address of a topic's queue.
func (s *amazonSQS) ResolveQueueUrl(_ context.Context, params wsqs.ResolveQueueUrlParams) (wsqs.QueueUrlResolverResult, error) { //nolint:revive // the name is Watermill's
	s.mu.Lock()
	defer s.mu.Unlock()
	address, known := s.queues[params.Topic]
	if !known {
		return wsqs.QueueUrlResolverResult{}, fmt.Errorf("no queue is known for %s", params.Topic)
	}
	return wsqs.QueueUrlResolverResult{
		QueueName: wsqs.QueueName(s.queueName(params.Topic)), QueueURL: (*wsqs.QueueURL)(&address), Exists: aws.Bool(true),
	}, nil
}

func (s *amazonSQS) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	settings := s.aws
	s.mu.Unlock()
	subscriber, err := wsqs.NewSubscriber(wsqs.SubscriberConfig{
		AWSConfig: settings, QueueUrlResolver: s, DoNotCreateQueueIfNotExists: true,
		GenerateReceiveMessageInput: s.receiveInput, Unmarshaler: lenientMessage{},
	}, s.logger)
	if err != nil {
		return nil, err
	}
	messages, err := subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = subscriber.Close() }) // it frees a goroutine, and fails never
	return messages, nil
}

func (s *amazonSQS) receiveInput(_ context.Context, queue wsqs.QueueURL) (*sqs.ReceiveMessageInput, error) {
	return &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(string(queue)), MessageAttributeNames: []string{"All"},
		WaitTimeSeconds: int32(sqsWait / time.Second), MaxNumberOfMessages: sqsBatch,
		VisibilityTimeout: int32(max(s.options.Redelivery, time.Second) / time.Second),
	}, nil
}

func (s *amazonSQS) publish(_ context.Context, topic string, messages []*message.Message) error {
	s.mu.Lock()
	p := s.publisher
	s.mu.Unlock()
	if p == nil {
		return errors.New("not connected")
	}
	return p.Publish(topic, messages...)
}

// sendInput gives a message its place in the order of a FIFO queue.
func sendInput(ctx context.Context, queue wsqs.QueueURL, m *types.Message) (*sqs.SendMessageInput, error) {
	in, err := wsqs.GenerateSendMessageInputDefault(ctx, queue, m)
	if err != nil || !strings.HasSuffix(string(queue), fifo) {
		return in, err
	}
	in.MessageGroupId = m.MessageAttributes[GroupKey].StringValue
	in.MessageDeduplicationId = m.MessageAttributes[wsqs.UUIDAttribute].StringValue
	return in, nil
}

func (s *amazonSQS) concurrency() int { return sqsPublishers }

func (s *amazonSQS) maxMessage() int { return sqsMessage }

// upkeep has nothing to do: SQS deletes what is acknowledged.
func (s *amazonSQS) upkeep(context.Context) error { return nil }

func (s *amazonSQS) close() error { return nil }

// lenientMessage reads what Watermill wrote, and what any other program sent: the
// body is enough.
type lenientMessage struct{}

// Unmarshal reads a message; it never fails.
func (lenientMessage) Unmarshal(m *types.Message) (*message.Message, error) {
	id := aws.ToString(m.MessageId) // SQS's own, the same in every delivery
	if a, ok := m.MessageAttributes[wsqs.UUIDAttribute]; ok {
		id = aws.ToString(a.StringValue)
	}
	out := message.NewMessage(id, []byte(aws.ToString(m.Body)))
	for name, value := range m.MessageAttributes {
		if name != wsqs.UUIDAttribute {
			out.Metadata[name] = aws.ToString(value.StringValue)
		}
	}
	return out, nil
}
