package broker_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/ports/egress"
	"github.com/waypost/waypost/ports/ingest"
)

const (
	// producers is the number of producers. Each publishes a command every
	// betweenCommands while servers and processes are killed.
	producers, betweenCommands = 4, 20 * time.Millisecond
	// maxBacklog is the number of commands without an event at which producers pause, so
	// that the test also ends on a slow machine. While something is down, they publish up to
	// killBacklog more, which is more than the test waits for.
	maxBacklog, killBacklog = 200, 1000
)

// kills is the number of times that the broker and the edge are killed, in turn. make brokers asks for more.
var kills = flag.Int("kills", 1, "kill each broker and its consumer this many times")

// TestNothingIsLost makes the same checks for every broker. Producers publish commands,
// some of them twice and some invalid, while the broker and the edge are killed with
// SIGKILL, one after the other. At the end, every command that the broker accepted is
// recorded exactly once or rejected with a reason, and every event is published, in order
// for each message.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		// With the race detector as well: watermill-amqp v3.1.0 reads the state of its connection without a lock.
		t.Skip("starts and kills servers")
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := openStores(t)
			server := k.serve(t)
			s.settings.Broker = server.url
			edge := s.startEdge()
			out := s.connect(producers)
			published, rejected := s.collect(broker.Events), s.collect(broker.Rejected)

			var (
				publishing sync.WaitGroup
				killed     atomic.Bool
				limit      atomic.Int32            // of the backlog
				delivered  [producers]atomic.Int32 // number of commands that the broker confirmed
			)
			limit.Store(maxBacklog)
			ctx, stop := context.WithCancel(s.ctx)
			t.Cleanup(func() { stop(); killed.Store(true); publishing.Wait() }) // if the test fails before it stops them
			backlog := func() int {
				n := -published.distinct()
				for p := range producers {
					n += int(delivered[p].Load())
				}
				return n
			}
			for p := range producers {
				publishing.Go(func() {
					pace := time.NewTicker(betweenCommands)
					defer pace.Stop()
					for n := 0; !killed.Load(); n++ {
						key := fmt.Sprintf("order-%d-%d", p, n)
						s.publish(ctx, out, commandOf(key, n))
						delivered[p].Add(1)
						switch n % 25 {
						case 5: // the producer is in doubt and repeats the command
							s.publish(ctx, out, commandOf(key, n))
						case 10: // an invalid command
							s.publish(ctx, out, fmt.Appendf(nil, "poison %d-%d", p, n))
						}
						<-pace.C
						for backlog() >= int(limit.Load()) && !killed.Load() {
							<-pace.C
						}
					}
				})
			}
			s.publish(ctx, out, largeUnless(out, "order-large"))
			flow := func(commands int) { // waits until each producer has published more commands
				for p := range producers {
					published := func() int { return int(delivered[p].Load()) }
					polltest.AtLeast(t, "commands flow", published()+commands+1, published)
				}
			}
			raise := func() { limit.Store(int32(backlog() + killBacklog)) }
			for range *kills {
				flow(20)
				raise()
				server.restart()
				flow(50)
				edge.kill()
				raise()
				flow(50)
				edge.start()
				polltest.AtLeast(t, "events are published again", published.distinct()+51, published.distinct)
				limit.Store(maxBacklog)
				polltest.AtLeast(t, "the edge catches up", 0, func() int { return maxBacklog - backlog() })
			}
			killed.Store(true)
			publishing.Wait()

			want, poison := map[string]bool{"order-large": true}, 0
			for p := range producers {
				for n := range int(delivered[p].Load()) {
					want[fmt.Sprintf("order-%d-%d", p, n)] = true
					if n%25 == 10 {
						poison++
					}
				}
			}
			var keys map[string]int
			polltest.AtLeast(t, "all commands are recorded", len(want), func() int {
				keys = s.queuedKeys()
				return len(keys)
			})
			for key, times := range keys {
				if !want[key] || times != 1 {
					t.Errorf("%q was recorded %d times; expected once: %v", key, times, want[key])
				}
			}
			polltest.AtLeast(t, "all invalid commands are rejected", poison, rejected.distinct)
			rejected.each(func(m *wm.Message) {
				var r ingest.Rejection
				must(t, json.Unmarshal(m.Payload, &r))
				if r.Error.Code != domain.CodeInvalidInput || !strings.HasPrefix(r.OriginalText, "poison ") {
					t.Errorf("got rejection %+v", r)
				}
			})
			polltest.AtLeast(t, "all events are published", len(want), published.distinct)
			next := map[string]int{}
			published.each(func(m *wm.Message) {
				var e egress.CloudEvent
				must(t, json.Unmarshal(m.Payload, &e))
				if e.Revision > next[e.Subject] {
					t.Errorf("event %d of message %s was received before event %d", e.Revision, e.Subject, next[e.Subject])
				}
				next[e.Subject] = max(next[e.Subject], e.Revision+1)
			})
			t.Logf("%d commands recorded once, %d rejected, %d events published, %d repeated, 0 lost",
				len(keys), rejected.distinct(), published.distinct(), published.len()-published.distinct())
		})
	}
}

// largeUnless returns a command of a megabyte, or of half the broker's maximum message size
// if there is one.
func largeUnless(b *broker.Broker, key string) []byte {
	large := largeCommand(key)
	if limit := b.MaxMessage(); limit > 0 {
		large = large[:limit/2]
	}
	return large
}

// publish publishes a command and retries until the broker confirms it.
func (s *stores) publish(ctx context.Context, to *broker.Broker, raw []byte) {
	var err error
	m := wm.NewMessage(newID().String(), raw)
	published := polltest.Retry(ctx, func() bool {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err = to.Publish(ctx, broker.Commands, m)
		return err == nil
	})
	if !published {
		s.tb.Errorf("a command was not published before the test ended: %v", err)
	}
}

// collected contains the messages received from a topic, in order of arrival.
type collected struct {
	mu       sync.Mutex
	messages []*wm.Message
	seen     map[string]bool
}

// collect reads a topic with one subscription until the test ends.
func (s *stores) collect(topic string) *collected {
	s.tb.Helper()
	c := &collected{seen: map[string]bool{}}
	from := s.connect(1)
	ctx, cancel := context.WithCancel(s.ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		polltest.Retry(ctx, func() bool {
			messages, err := from.Subscribe(ctx, topic)
			if err != nil {
				return false
			}
			for m := range messages {
				c.add(m)
				m.Ack()
			}
			return ctx.Err() != nil
		})
	})
	s.tb.Cleanup(func() { cancel(); reading.Wait() })
	return c
}

func (c *collected) add(m *wm.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, m)
	c.seen[m.UUID] = true
}

func (c *collected) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.messages)
}

func (c *collected) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *collected) each(do func(*wm.Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.messages {
		do(m)
	}
}
