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
	// sqsPublishers is the number of concurrent publishers. Each waits for one request per
	// message.
	sqsPublishers = 16
	// sqsWait is how long a receive request waits for messages; SQS allows at most 20 s.
	// sqsBatch is the maximum number of messages that it returns; SQS allows at most 10.
	sqsWait  = 20 * time.Second
	sqsBatch = 10
	// sqsMessage is the maximum size of a message. Including attributes, every queue
	// accepts 256 KiB. Newer queues accept 1 MiB.
	sqsMessage = 255 << 10
	// sqsTimeout limits one request.
	sqsTimeout = sqsWait + 15*time.Second
	// fifo is the suffix of the names of FIFO queues.
	fifo = ".fifo"
)

// GroupKey is the metadata key of a message's group. Brokers that support groups keep the
// messages of a group in order.
const GroupKey = "waypost_group"

// sqsBroker uses SQS as a broker, through watermill-aws. Commands are consumed from a
// standard queue. Events are published to a FIFO queue in high throughput mode, in order
// for each message and deduplicated by event ID within five minutes.
//
// The client has pitfalls:
//   - A message that cannot be decoded ends the batch and is delivered again forever. So
//     [lenientMessage] accepts everything.
//   - It requests one message at a time. So receiveInput sets the batch size.
//   - Close can hang while a message is being delivered. So subscriptions are read until
//     they end.
//   - The publisher ignores contexts and logs messages. So [Broker] limits its calls, and
//     clientLogger drops these logs.
type sqsBroker struct {
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

// newSQS parses a URL of the form sqs://[key:secret@]region[?endpoint=URL][&prefix=NAME].
// If it has no key, credentials come from the default AWS credential chain.
func newSQS(u *url.URL, o Options) (*sqsBroker, error) {
	q := u.Query()
	s := &sqsBroker{
		region: u.Hostname(), endpoint: q.Get("endpoint"), prefix: q.Get("prefix"), options: o,
		logger: newClientLogger(o.Logger, "SQS"), queues: map[string]string{},
	}
	if s.region == "" {
		return nil, errors.New("broker URL has no region; use one like sqs://eu-central-1")
	}
	for name := range q {
		if name != "endpoint" && name != "prefix" {
			return nil, fmt.Errorf("unknown parameter %q in the broker URL; use endpoint or prefix", name)
		}
	}
	if u.User != nil {
		secret, _ := u.User.Password()
		s.credentials = credentials.NewStaticCredentialsProvider(u.User.Username(), secret, "")
	}
	return s, nil
}

// queueName returns the name of a topic's queue. SQS doesn't allow dots in names.
func (s *sqsBroker) queueName(topic string) string {
	name := s.prefix + strings.ReplaceAll(topic, ".", "-")
	if topic == Events {
		name += fifo
	}
	return name
}

// prepare creates the missing queues.
func (s *sqsBroker) prepare(ctx context.Context) error {
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

// makeQueue returns the URL of a queue and creates the queue if it is missing. An existing
// queue keeps its attributes.
func (s *sqsBroker) makeQueue(ctx context.Context, name string) (string, error) {
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

// ResolveQueueUrl returns the URL of a topic's queue.
func (s *sqsBroker) ResolveQueueUrl(_ context.Context, params wsqs.ResolveQueueUrlParams) (wsqs.QueueUrlResolverResult, error) { //nolint:revive // the name is Watermill's
	s.mu.Lock()
	defer s.mu.Unlock()
	address, known := s.queues[params.Topic]
	if !known {
		return wsqs.QueueUrlResolverResult{}, fmt.Errorf("no queue for topic %s", params.Topic)
	}
	return wsqs.QueueUrlResolverResult{
		QueueName: wsqs.QueueName(s.queueName(params.Topic)), QueueURL: (*wsqs.QueueURL)(&address), Exists: aws.Bool(true),
	}, nil
}

func (s *sqsBroker) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
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
	context.AfterFunc(ctx, func() { _ = subscriber.Close() }) // it ends a goroutine and never fails
	return messages, nil
}

func (s *sqsBroker) receiveInput(_ context.Context, queue wsqs.QueueURL) (*sqs.ReceiveMessageInput, error) {
	return &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(string(queue)), MessageAttributeNames: []string{"All"},
		WaitTimeSeconds: int32(sqsWait / time.Second), MaxNumberOfMessages: sqsBatch,
		VisibilityTimeout: int32(max(s.options.Redelivery, time.Second) / time.Second),
	}, nil
}

func (s *sqsBroker) publish(_ context.Context, topic string, messages []*message.Message) error {
	s.mu.Lock()
	p := s.publisher
	s.mu.Unlock()
	if p == nil {
		return errors.New("not connected")
	}
	return p.Publish(topic, messages...)
}

// sendInput sets the group and the deduplication ID of a message for a FIFO queue.
func sendInput(ctx context.Context, queue wsqs.QueueURL, m *types.Message) (*sqs.SendMessageInput, error) {
	in, err := wsqs.GenerateSendMessageInputDefault(ctx, queue, m)
	if err != nil || !strings.HasSuffix(string(queue), fifo) {
		return in, err
	}
	in.MessageGroupId = m.MessageAttributes[GroupKey].StringValue
	in.MessageDeduplicationId = m.MessageAttributes[wsqs.UUIDAttribute].StringValue
	return in, nil
}

func (s *sqsBroker) concurrency() int { return sqsPublishers }

func (s *sqsBroker) maxMessage() int { return sqsMessage }

// maintain does nothing because SQS deletes acknowledged messages.
func (s *sqsBroker) maintain(context.Context) error { return nil }

func (s *sqsBroker) close() error { return nil }

// lenientMessage reads messages sent by Watermill or by any other program. Only the body
// is required.
type lenientMessage struct{}

// Unmarshal reads a message. It never returns an error.
func (lenientMessage) Unmarshal(m *types.Message) (*message.Message, error) {
	id := aws.ToString(m.MessageId) // SQS's own ID, the same in every delivery
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
