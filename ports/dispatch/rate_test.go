package dispatch_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// stampedCaller records when each call was written.
type stampedCaller struct {
	dispatch.Caller
	mu     sync.Mutex
	writes []time.Time
}

func (c *stampedCaller) Send(ctx context.Context, r dispatch.CallRequest) message.CallResult {
	written := r.Written
	r.Written = func(at time.Time) {
		written(at)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.writes = append(c.writes, at)
	}
	return c.Caller.Send(ctx, r)
}

// A backlog is sent at the sender's rate and never above it, by the times at which the
// calls were written, and a changed rate applies immediately.
func TestABacklogLeavesAtTheSendersRate(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.Latency = simulator.Duration(50 * time.Millisecond) })
	p.register("acme", number, 40)
	for n := range 120 {
		p.queue("acme", n, nil)
	}
	caller := &stampedCaller{Caller: p}
	p.dispatch(func(o *dispatch.Options) { o.Caller = caller })
	p.eventually("80 calls", func() bool { return p.api.Stats().Calls >= 80 })
	changed := time.Now()
	_, err := p.senders.Change(p.ctx, "acme", tester, func(s sender.Sender) ([]domain.Event, error) { return sender.SetRate(s, 400) })
	p.must(err)
	p.eventually("all calls", func() bool { return p.api.Stats().Calls >= 120 })

	caller.mu.Lock()
	defer caller.mu.Unlock()
	slices.SortFunc(caller.writes, time.Time.Compare)
	early := slices.DeleteFunc(slices.Clone(caller.writes), changed.Before)
	if len(early) < 40 {
		t.Fatalf("%d calls were written before the rate changed", len(early))
	}
	for i, first := 0, 0; i < len(early); i++ {
		for early[i].Sub(early[first]) >= time.Second {
			first++
		}
		if n := i - first + 1; n > 40 {
			t.Fatalf("%d calls within a second, 40 are allowed", n)
		}
	}
	last := early[len(early)-1]
	t.Logf("first %d calls at a rate of 40/s took %s, the other %d at 400/s %s", len(early), last.Sub(early[0]),
		len(caller.writes)-len(early), caller.writes[len(caller.writes)-1].Sub(last))
}

// Inbound messages that any process counted are subtracted from a lane's rate.
func TestInboundOfOtherProcessesIsTakenOffTheRate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	p := newPlatform(t, nil)
	p.register("acme", number, 80)
	for n := range 1000 {
		p.queue("acme", n, nil)
	}
	leases := postgres.NewLeases(p.pool)
	counting, stop := context.WithCancel(p.ctx)
	var other sync.WaitGroup
	other.Go(func() { // another process receives 50 messages per second
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for begun, counted := time.Now(), 0; ; {
			select {
			case <-counting.Done():
				return
			case <-tick.C:
			}
			received := int(50*time.Since(begun).Seconds()) - counted
			counted += received
			if err := leases.AddInbound(counting, time.Now(), map[string]int{"acme": received}); err != nil && counting.Err() == nil {
				t.Error(err)
			}
		}
	})
	defer other.Wait()
	defer stop()
	d := p.dispatch(func(o *dispatch.Options) { o.Inbound = leases.InboundSince })
	p.eventually("the lane slows down", func() bool {
		r := d.Snapshot()["acme"].EffectiveRate
		return r > 0 && r <= 45
	})
	before, from := p.api.Stats().Calls, time.Now()
	made := int64(0)
	p.eventually("90 more calls", func() bool {
		made = p.api.Stats().Calls - before
		return made >= 90
	})
	took := time.Since(from)
	if most := int64(took.Seconds()*60) + 20; made > most {
		t.Errorf("%d calls in %s at 80/s with 50/s inbound", made, took)
	}
}

// BenchmarkDispatch sends a backlog of one sender through all parts: the work list, the
// event log, and HTTP.
func BenchmarkDispatch(b *testing.B) {
	p := newPlatform(b, func(c *simulator.Control) { c.Latency = simulator.Duration(50 * time.Millisecond) })
	p.register("acme", number, 1000)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 48)
	var last uuid.UUID
	for n := range b.N {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			id := p.queue("acme", n%10_000, nil)
			if n == b.N-1 {
				last = id
			}
		})
	}
	wg.Wait()
	p.eventually("the work list has all messages", func() bool {
		var n int
		return p.pool.QueryRow(p.ctx, `SELECT count(*) FROM work_item`).Scan(&n) == nil && n == b.N
	})
	b.ResetTimer()
	p.dispatch(nil)
	p.eventually("all calls", func() bool { return p.api.Stats().Calls >= int64(b.N) })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	p.reaches(last, message.StatusSent)
}
