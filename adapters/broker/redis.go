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
	// redisGroup is the consumer group of all processes of the platform.
	redisGroup = "waypost"
	// redisPublishers is how many publish at once: each waits for one round trip a
	// message.
	redisPublishers = 8
	// redisBlock is how long a subscription waits for a message in one call, and so
	// how long it may take to end: go-redis does not interrupt a call
	// (redis/go-redis#2556).
	redisBlock = time.Second
	// redisClaims is how often each subscription looks for messages of consumers that
	// died.
	redisClaims = 2 * time.Second
	// busyGroup begins Redis's answer when a group is there already.
	busyGroup = "BUSYGROUP"
)

// redisStreams is Redis as a broker, over watermill-redisstream.
//
// What its client leaves to be done: a message that cannot be decoded ends the
// subscription, and then every one that claims it, so [lenientFields] takes
// everything; the first read blocks for ever (redis/go-redis#2556); a group that
// Redis lost is never made again; XACK deletes nothing, and its Maxlens would delete
// what is yet to be read, so upkeep trims what every group has acknowledged.
type redisStreams struct {
	client     *redis.Client
	redelivery time.Duration
	publisher  *redisstream.Publisher
	logger     watermill.LoggerAdapter
}

func newRedis(url string, o Options) (*redisStreams, error) {
	config, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the broker's URL is no valid redis:// URL; give one like redis://user:password@host:6379/0") // err may quote it
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

// prepare makes the group of the commands, and the stream with it.
func (r *redisStreams) prepare(ctx context.Context) error {
	err := r.client.XGroupCreateMkStream(ctx, Commands, redisGroup, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), busyGroup) {
		return err
	}
	return nil
}

func (r *redisStreams) subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	// One consumer for each subscription: a group hands a message to one of them. The
	// subscriber is never closed, since that closes the client of all; it ends with ctx.
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

// upkeep makes the group again if Redis lost it, and trims what all groups of a
// stream have acknowledged. A stream without groups is left alone.
func (r *redisStreams) upkeep(ctx context.Context) error {
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
	var oldest streamID // that somebody still needs
	for i, g := range groups {
		needed, err := parseStreamID(g.LastDeliveredID)
		if err != nil {
			return err
		}
		// Asked after the last delivered one was: what is delivered in between has a
		// later id than that.
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

// close ends the client, and with it whatever still waits for it.
func (r *redisStreams) close() error { return r.publisher.Close() }

// streamID is the id of an entry: milliseconds and a number within.
type streamID struct{ time, sequence uint64 }

func parseStreamID(text string) (streamID, error) {
	left, right, found := strings.Cut(text, "-")
	if !found {
		right = "0"
	}
	t, err := strconv.ParseUint(left, 10, 64)
	if err != nil {
		return streamID{}, fmt.Errorf("id of a stream's entry: %w", err)
	}
	n, err := strconv.ParseUint(right, 10, 64)
	if err != nil {
		return streamID{}, fmt.Errorf("id of a stream's entry: %w", err)
	}
	return streamID{t, n}, nil
}

func (id streamID) before(other streamID) bool {
	return id.time < other.time || id.time == other.time && id.sequence < other.sequence
}

func (id streamID) String() string {
	return strconv.FormatUint(id.time, 10) + "-" + strconv.FormatUint(id.sequence, 10)
}

// lenientFields reads what Watermill wrote, and what any other program wrote with
// XADD: the field "payload" is enough.
type lenientFields struct{}

// Unmarshal reads an entry; it never fails.
func (lenientFields) Unmarshal(values map[string]any) (*message.Message, error) {
	m, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(values)
	if err == nil {
		return m, nil
	}
	id, _ := values[redisstream.UUIDHeaderKey].(string)
	payload, _ := values["payload"].(string)
	return message.NewMessage(id, []byte(payload)), nil
}
