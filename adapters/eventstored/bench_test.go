package eventstored_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
)

// manyStreams allows one client more concurrent calls than a cluster would.
func manyStreams(o *eventstored.Options) { o.MaxConcurrentStreams = 1000 }

// payload is about as large as the events of a message.
var payload = []byte(`{"to":"+4915112345678","template":"order_update","language":"en","parameters":["Ada","A-1029","Tuesday"],` +
	`"priority":"TRANSACTIONAL","attempt":1,"callback":"0190c3f2-7b7a-7c3e-9a51-1d2f3a4b5c6d","queuedAt":"2026-01-01T00:00:00Z"}`)

func payloadEvent(eventType string) esdb.EventData {
	return esdb.EventData{EventID: uuid.New(), EventType: eventType, ContentType: esdb.ContentTypeJson, Data: payload}
}

// asTheProgram configures Go's runtime as the waypost command does (see cmd/waypost/internal/platform/runtime.go), unless the environment
// overrides it.
func asTheProgram(b *testing.B) {
	b.Helper()
	if os.Getenv("GOGC") == "" {
		before := debug.SetGCPercent(300)
		b.Cleanup(func() { debug.SetGCPercent(before) })
	}
	if os.Getenv("GOMAXPROCS") == "" {
		before := runtime.GOMAXPROCS(runtime.NumCPU() + 1)
		b.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
}

// cpuTime returns the CPU time that the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends one event to a new stream in each operation, with several writers on one connection.
// cpu-us/op includes client, server, and store.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			asTheProgram(b)
			s, c := start(b, manyStreams)
			mustAppend(b, c, "warm", esdb.NoStream{}, payloadEvent("Queued"))
			ctx := b.Context()
			before, stats := cpuTime(b), s.Stats()
			took := make([]time.Duration, b.N+1)
			b.ResetTimer()
			parallel(b, writers, func(i int) error {
				begin := time.Now()
				defer func() { took[i] = time.Since(begin) }()
				_, err := c.AppendToStream(ctx, fmt.Sprintf("message-%d", i),
					esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, payloadEvent("Queued"))
				return err
			})
			b.StopTimer()
			after := s.Stats()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			b.ReportMetric(float64(after.Appends-stats.Appends)/float64(after.Commits-stats.Commits), "appends/commit")
		})
	}
}

// BenchmarkReadStream reads a stream of five events, with several readers on one connection.
func BenchmarkReadStream(b *testing.B) {
	for _, readers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			asTheProgram(b)
			_, c := start(b, manyStreams)
			const streams, events = 200, 5
			for i := range streams {
				var batch []esdb.EventData
				for range events {
					batch = append(batch, payloadEvent("Queued"))
				}
				mustAppend(b, c, fmt.Sprintf("message-%d", i), esdb.NoStream{}, batch...)
			}
			before := cpuTime(b)
			b.ResetTimer()
			parallel(b, readers, func(i int) error {
				r, err := c.ReadStream(b.Context(), fmt.Sprintf("message-%d", i%streams), esdb.ReadStreamOptions{}, 100)
				if err != nil {
					return err
				}
				if got, err := collect(r); err != nil || len(got) != events {
					return fmt.Errorf("%d events, %w", len(got), err)
				}
				return nil
			})
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "streams/s")
		})
	}
}

// BenchmarkAppendToSubscriber measures the time from the start of an append until a live subscriber of $all receives
// its event, one append at a time: the median and the 99th percentile.
func BenchmarkAppendToSubscriber(b *testing.B) {
	asTheProgram(b)
	_, c := start(b)
	sub := subscribeAll(b, c, esdb.SubscribeToAllOptions{From: esdb.Start{}})
	for e := sub.Recv(); e.CaughtUp == nil; e = sub.Recv() {
		if e.SubscriptionDropped != nil {
			b.Fatal(e.SubscriptionDropped.Error)
		}
	}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		begin := time.Now()
		mustAppend(b, c, fmt.Sprintf("message-%d", i), esdb.NoStream{}, payloadEvent("Queued"))
		for {
			e := sub.Recv()
			if e.SubscriptionDropped != nil {
				b.Fatal(e.SubscriptionDropped.Error)
			}
			if e.EventAppeared != nil {
				break
			}
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkCatchUp delivers the log to one subscriber of $all. An operation is one event. With the filter, half of the
// events match.
func BenchmarkCatchUp(b *testing.B) {
	const total = 100_000
	dir := b.TempDir()
	inDir := func(o *eventstored.Options) { o.Dir = dir }
	s, c := start(b, inDir)
	for i := 0; i < total; i += 500 {
		var batch []esdb.EventData
		for range 250 {
			batch = append(batch, payloadEvent("Queued"), payloadEvent("Sent"))
		}
		mustAppend(b, c, fmt.Sprintf("message-%d", i), esdb.Any{}, batch...)
	}
	if err := s.Close(testContext(b)); err != nil { // so that reads come from disk, not from the newest records in memory
		b.Fatal(err)
	}
	_, c = start(b, inDir)
	for name, filter := range map[string]*esdb.SubscriptionFilter{
		"all": nil, "filtered": {Type: esdb.EventFilterType, Prefixes: []string{"Sent"}},
	} {
		b.Run(name, func(b *testing.B) {
			asTheProgram(b)
			before := cpuTime(b)
			b.ResetTimer()
			for delivered := 0; delivered < b.N; {
				sub := subscribeAll(b, c, esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: filter, CheckpointInterval: 100})
				for e := sub.Recv(); e.CaughtUp == nil && delivered < b.N; e = sub.Recv() {
					if e.SubscriptionDropped != nil {
						b.Fatal(e.SubscriptionDropped.Error)
					}
					if e.EventAppeared != nil {
						delivered++
					}
				}
				if err := sub.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// parallel runs do b.N times, on the given number of goroutines.
func parallel(b *testing.B, workers int, do func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N) && errs[w] == nil; i = next.Add(1) {
				errs[w] = do(int(i))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}
