package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

const (
	// redisGroup is the consumer group of all Waypost processes.
	redisGroup = "waypost"
	// redisPublishers is the number of concurrent publishers. Each waits for one round
	// trip per message.
	redisPublishers = 8
	// redisBlock is how long a subscription waits for a message in one call. Ending a
	// subscription can take as long, because go-redis doesn't interrupt a call
	// (redis/go-redis#2556).
	redisBlock = time.Second
	// redisClaims is the interval at which each subscription claims the messages of
	// consumers that died.
	redisClaims = 2 * time.Second
	// busyGroup is the prefix of Redis's error if a group already exists.
	busyGroup = "BUSYGROUP"
)

// redisStreams uses Redis as a broker, through watermill-redisstream.
//
// The client has pitfalls:
//   - A message that cannot be decoded ends the subscription, and then every subscription
//     that claims the message. So [lenientFields] accepts everything.
//   - The first read blocks forever (redis/go-redis#2556). So that is disabled.
//   - A group that Redis lost is never created again. So maintain creates it.
//   - XACK deletes nothing, and the client's Maxlens would delete unread messages. So
//     maintain trims the messages that all groups have acknowledged.
type redisStreams struct {
	client     *redis.Client
	redelivery time.Duration
	publisher  *redisstream.Publisher
	logger     watermill.LoggerAdapter
}

func newRedis(url string, o Options) (*redisStreams, error) {
	config, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("invalid broker URL; use one like redis://user:password@host:6379/0") // err can quote the URL
	}
	config.PoolSize = 2*o.Subscriptions + redisPublishers + 4 // each subscription reads and claims
	config.ContextTimeoutEnabled = true
	client := redis.NewClient(config)
	logger := newClientLogger(o.Logger, "Redis")
	publisher, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, logger)
	if err != nil {
		return nil, err
	}
	return &redisStreams{client: client, redelivery: o.Redelivery, publisher: publisher, logger: logger}, nil
}

// prepare creates the consumer group of the commands, and with it their stream.
func (r *redisStreams) prepare(ctx context.Context) error {
	err := r.client.XGroupCreateMkStream(ctx, Commands, redisGroup, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), busyGroup) {
		return err
	}
	return nil
}

func (r *redisStreams) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	// Each subscription is a consumer, and a group delivers a message to one of them. The
	// subscriber is never closed, because that would close the shared client. It ends with
	// ctx.
	s, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client:                        r.client,
		Unmarshaller:                  lenientFields{},
		ConsumerGroup:                 redisGroup,
		NackResendSleep:               100 * time.Millisecond,
		BlockTime:                     redisBlock,
		ClaimInterval:                 min(redisClaims, r.redelivery),
		MaxIdleTime:                   r.redelivery,
		DisableIndefiniteInitialBlock: true,
	}, r.logger)
	if err != nil {
		return nil, err
	}
	return s.Subscribe(ctx, topic)
}

func (r *redisStreams) publish(ctx context.Context, topic string, messages []*message.Message) error {
	for _, m := range messages {
		m.SetContext(ctx)
	}
	return r.publisher.Publish(topic, messages...)
}

func (r *redisStreams) concurrency() int { return redisPublishers }

func (r *redisStreams) maxMessage() int { return 0 }

// maintain creates the group again if Redis lost it, and trims the messages that all
// groups of a stream have acknowledged. It doesn't trim streams without groups.
func (r *redisStreams) maintain(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	for _, topic := range topics() {
		if err := r.trim(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

func (r *redisStreams) trim(ctx context.Context, stream string) error {
	exists, err := r.client.Exists(ctx, stream).Result()
	if err != nil || exists == 0 {
		return err
	}
	groups, err := r.client.XInfoGroups(ctx, stream).Result()
	if err != nil || len(groups) == 0 {
		return err
	}
	var oldest streamID // that some group still needs
	for i, g := range groups {
		needed, err := parseStreamID(g.LastDeliveredID)
		if err != nil {
			return err
		}
		// Pending entries are read after the last delivered ID, so an entry delivered
		// between the two reads has a higher ID.
		pending, err := r.client.XPending(ctx, stream, g.Name).Result()
		if err != nil {
			return err
		}
		if pending.Count > 0 {
			lowest, err := parseStreamID(pending.Lower)
			if err != nil {
				return err
			}
			if lowest.before(needed) {
				needed = lowest
			}
		}
		if i == 0 || needed.before(oldest) {
			oldest = needed
		}
	}
	return r.client.XTrimMinIDApprox(ctx, stream, oldest.String(), 0).Err()
}

// close closes the client and ends all calls that still wait for it.
func (r *redisStreams) close() error { return r.publisher.Close() }

// A streamID is the ID of a stream entry: a time in milliseconds and a sequence number.
type streamID struct{ time, sequence uint64 }

func parseStreamID(text string) (streamID, error) {
	left, right, found := strings.Cut(text, "-")
	if !found {
		right = "0"
	}
	t, err := strconv.ParseUint(left, 10, 64)
	if err != nil {
		return streamID{}, fmt.Errorf("parse stream entry ID: %w", err)
	}
	n, err := strconv.ParseUint(right, 10, 64)
	if err != nil {
		return streamID{}, fmt.Errorf("parse stream entry ID: %w", err)
	}
	return streamID{t, n}, nil
}

func (id streamID) before(other streamID) bool {
	return id.time < other.time || id.time == other.time && id.sequence < other.sequence
}

func (id streamID) String() string {
	return strconv.FormatUint(id.time, 10) + "-" + strconv.FormatUint(id.sequence, 10)
}

// lenientFields reads entries added by Watermill, or by any other program with XADD. Only
// the field "payload" is required.
type lenientFields struct{}

// Unmarshal reads an entry. It never returns an error.
func (lenientFields) Unmarshal(values map[string]any) (*message.Message, error) {
	m, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(values)
	if err == nil {
		return m, nil
	}
	id, _ := values[redisstream.UUIDHeaderKey].(string)
	payload, _ := values["payload"].(string)
	return message.NewMessage(id, []byte(payload)), nil
}
