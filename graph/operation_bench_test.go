package graph_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkCancelMessages cancels 100,000 messages at once while others are queued one
// after the other. Run it with -benchtime 1x. It reports when the mutation returned,
// when all messages were cancelled, and how long queueing took during the operation and
// without it.
func BenchmarkCancelMessages(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		p := setup(b)
		p.queueAll("bulk", "BULK", 100_000)
		p.project()
		alone := p.queueing(nil)
		b.StartTimer()
		start := time.Now()
		op := p.ok("admin", `mutation { cancelMessages(input: {filter: {priority: BULK}}, reason: "x") { id selected } }`, nil)
		answered := time.Since(start)
		over := make(chan struct{})
		var beside []time.Duration
		var wg sync.WaitGroup
		wg.Go(func() { beside = p.queueing(over) })
		done := p.finished(at(b, op, "cancelMessages", "id").(string))
		took := time.Since(start)
		close(over)
		wg.Wait()
		if at(b, done, "done") != 100_000.0 {
			b.Fatal(done)
		}
		b.ReportMetric(float64(answered.Milliseconds()), "ms-to-answer")
		b.ReportMetric(100_000/took.Seconds(), "cancelled/s")
		for name, l := range map[string][]time.Duration{"alone": alone, "beside": beside} {
			b.ReportMetric(float64(l[len(l)/2].Microseconds())/1000, "ms-p50-queue-"+name)
			b.ReportMetric(float64(l[len(l)*99/100].Microseconds())/1000, "ms-p99-queue-"+name)
		}
	}
}

// queueing queues messages one by one, 300 or until over is closed, and returns their
// durations, shortest first.
func (p *platform) queueing(over <-chan struct{}) []time.Duration {
	p.tb.Helper()
	var took []time.Duration
	for {
		select {
		case <-over:
		default:
			if over != nil || len(took) < 300 {
				start := time.Now()
				p.ok("admin", queueOne, text(fmt.Sprint("single-", newID()), "hello"))
				took = append(took, time.Since(start))
				continue
			}
		}
		slices.Sort(took)
		return took
	}
}
