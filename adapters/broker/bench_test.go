package broker_test

import (
	"fmt"
	"testing"

	wm "github.com/ThreeDotsLabs/watermill/message"

	"github.com/waypost/waypost/adapters/broker"
	"github.com/waypost/waypost/adapters/polltest"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
)

// ahead is the number of commands in one Publish call.
const ahead = 100

// BenchmarkIngest measures how fast commands from the broker are recorded durably in the
// event log. All commands are in the broker before the consumer starts.
func BenchmarkIngest(b *testing.B) {
	for _, k := range kinds() {
		b.Run(k.name, func(b *testing.B) {
			s := openStores(b)
			s.settings.Broker = k.serve(b).url
			fill(s, b.N)
			recorded := s.counting()
			b.ResetTimer()
			stop := s.run()
			polltest.Retry(s.ctx, func() bool { return recorded.Load() >= int64(b.N) })
			b.StopTimer()
			stop()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
		})
	}
}

// BenchmarkEgress measures how fast events from the event log are published to the broker
// and confirmed by it.
func BenchmarkEgress(b *testing.B) {
	for _, k := range kinds() {
		b.Run(k.name, func(b *testing.B) {
			s := openStores(b)
			fillLog(s, b.N)
			end, err := s.log.End(s.ctx)
			must(b, err)
			s.settings.Broker = k.serve(b).url
			e := s.edge()
			places := postgres.NewCheckpoints(e.pool)
			b.ResetTimer()
			stop := s.runPart(e.egress.Run)
			polltest.Retry(s.ctx, func() bool {
				at, err := places.Load(s.ctx, "events")
				must(b, err)
				return at.Position >= end
			})
			b.StopTimer()
			stop()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// fill publishes n commands to the broker.
func fill(s *stores, n int) {
	s.tb.Helper()
	out := s.connect(8)
	type share struct{ from, to int }
	shares := make(chan share)
	done := make(chan error, 8)
	for range 8 {
		go func() {
			for sh := range shares {
				var messages []*wm.Message
				for i := sh.from; i < sh.to; i++ {
					messages = append(messages, wm.NewMessage(newID().String(), commandOf(fmt.Sprintf("order-%d", i), i)))
				}
				if err := out.Publish(s.ctx, broker.Commands, messages...); err != nil {
					s.tb.Error(err)
				}
			}
			done <- nil
		}()
	}
	for i := 0; i < n; i += ahead {
		shares <- share{i, min(i+ahead, n)}
	}
	close(shares)
	for range 8 {
		<-done
	}
}

// fillLog records n messages in the event log.
func fillLog(s *stores, n int) {
	s.tb.Helper()
	slots := make(chan struct{}, 48)
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			_, err := s.log.Append(s.ctx, event.MessageStream(newID()), event.NoStream(), queuedEvent(i))
			if err != nil {
				s.tb.Error(err)
			}
		}()
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}
