package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/ports/egress"
	"github.com/waypost/waypost/ports/ingest"
)

const (
	// producers hand over a command each betweenCommands, for as long as servers and
	// processes are killed.
	producers, betweenCommands = 4, 10 * time.Millisecond
	// killings is how often the broker and the platform are killed, in turns.
	killings = 2
	// betweenKillings is long enough for work to be under way again.
	betweenKillings = time.Second
)

// TestNothingIsLost holds every broker to the same: producers hand over commands,
// some twice and some that are none, while the broker and the platform are killed
// as kill -9 does, one after the other. In the end every command that a broker took
// is recorded exactly once or rejected with its reason, and every event has left, in
// the order of its message.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts and kills servers")
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := openStores(t)
			server := k.serve(t)
			s.settings.Broker = server.url
			edge := s.startEdge()
			out := s.connect(producers)
			told, rejected := s.collect(broker.Events), s.collect(broker.Rejected)

			var (
				handing   sync.WaitGroup
				killed    atomic.Bool
				delivered [producers]atomic.Int32 // commands that the broker confirmed
			)
			for p := range producers {
				handing.Go(func() {
					for n := 0; !killed.Load(); n++ {
						key := fmt.Sprintf("order-%d-%d", p, n)
						s.handOver(out, commandOf(key, n))
						delivered[p].Add(1)
						switch n % 25 {
						case 5: // a producer that was in doubt
							s.handOver(out, commandOf(key, n))
						case 10: // what is no command
							s.handOver(out, fmt.Appendf(nil, "poison %d-%d", p, n))
						}
						time.Sleep(betweenCommands)
					}
				})
			}
			s.handOver(out, largeUnless(out, "order-large"))
			for range killings {
				for p := range producers {
					mark := delivered[p].Load()
					eventually(t, "commands flow", func() bool { return delivered[p].Load() > mark+20 })
				}
				server.restart()
				time.Sleep(betweenKillings)
				edge.kill()
				time.Sleep(betweenKillings)
				edge.start()
				time.Sleep(betweenKillings)
			}
			killed.Store(true)
			handing.Wait()

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
			eventually(t, "all commands are recorded", func() bool {
				keys = s.queuedKeys()
				return len(keys) >= len(want)
			})
			for key, times := range keys {
				if !want[key] || times != 1 {
					t.Errorf("%q is recorded %d times, wanted at all: %v", key, times, want[key])
				}
			}
			eventually(t, "all poison is rejected", func() bool { return rejected.distinct() >= poison })
			rejected.each(func(m *wm.Message) {
				var r ingest.Rejection
				must(t, json.Unmarshal(m.Payload, &r))
				if r.Error.Code != domain.CodeInvalidInput || !strings.HasPrefix(r.OriginalText, "poison ") {
					t.Errorf("rejected with %+v", r)
				}
			})
			eventually(t, "all events have left", func() bool { return told.distinct() >= len(want) })
			next := map[string]int{}
			told.each(func(m *wm.Message) {
				var e egress.CloudEvent
				must(t, json.Unmarshal(m.Payload, &e))
				if e.Revision > next[e.Subject] {
					t.Errorf("event %d of message %s came before event %d", e.Revision, e.Subject, next[e.Subject])
				}
				next[e.Subject] = max(next[e.Subject], e.Revision+1)
			})
			t.Logf("%d commands recorded once, %d rejected, %d events of which %d twice; 0 lost",
				len(keys), rejected.distinct(), told.distinct(), told.len()-told.distinct())
		})
	}
}

// largeUnless is a command of a megabyte, or of half of what the broker takes.
func largeUnless(b *broker.Broker, key string) []byte {
	large := largeCommand(key)
	if limit := b.MaxMessage(); limit > 0 {
		large = large[:limit/2]
	}
	return large
}

// handOver publishes a command until the broker confirms it.
func (s *stores) handOver(to *broker.Broker, raw []byte) {
	m := wm.NewMessage(newID().String(), raw)
	for s.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		err := to.Publish(ctx, broker.Commands, m)
		cancel()
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.tb.Error("a command could not be handed over in time")
}

// collected are the messages of a topic, in the order in which they came.
type collected struct {
	mu       sync.Mutex
	messages []*wm.Message
	seen     map[string]bool
}

// collect reads a topic over one subscription until the test ends.
func (s *stores) collect(topic string) *collected {
	s.tb.Helper()
	c := &collected{seen: map[string]bool{}}
	from := s.connect(1)
	ctx, cancel := context.WithCancel(s.ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			messages, err := from.Subscribe(ctx, topic)
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			for m := range messages {
				c.add(m)
				m.Ack()
			}
		}
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
