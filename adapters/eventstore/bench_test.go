package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/eventstore"
	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/app/event"
)

// payload is about as large as the events of a message.
const payload = `{"template":"order_update","language":"en","parameters":["Ada","A-1029","Tuesday"],"priority":"TRANSACTIONAL","attempt":1,` +
	`"callback":"0190c3f2-7b7a-7c3e-9a51-1d2f3a4b5c6d","queuedAt":"2026-01-01T00:00:00Z"}`

// benchBoth runs a benchmark with a client of the store's Unix socket, and with the store in this process. The Go runtime is
// configured as in the waypost command, unless the environment overrides it.
func benchBoth(b *testing.B, bench func(b *testing.B, log *eventstore.Log)) {
	b.Helper()
	if os.Getenv("GOGC") == "" {
		before := debug.SetGCPercent(300)
		b.Cleanup(func() { debug.SetGCPercent(before) })
	}
	if os.Getenv("GOMAXPROCS") == "" {
		before := runtime.GOMAXPROCS(runtime.NumCPU() + 1)
		b.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	for _, way := range []string{"client", "in process"} {
		b.Run(way, func(b *testing.B) {
			st := startStore(b, func(o *eventstored.Options) { o.Addr, o.Insecure = "", false })
			log := openLog(b, st.s.URL(), func(o *options) {
				if way == "in process" {
					o.Store = st.s.Store()
				}
			})
			bench(b, log)
		})
	}
}

// measured reports the CPU time of the whole process and the allocations of each operation.
func measured(b *testing.B, run func()) {
	b.Helper()
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	run()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// appendMany appends one event to a new stream in each operation, with several writers.
func appendMany(b *testing.B, log *eventstore.Log, writers int) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if _, err := log.Append(b.Context(), fmt.Sprintf("message-%d", n), event.NoStream(), fresh(noted{Text: payload})); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			benchBoth(b, func(b *testing.B, log *eventstore.Log) {
				measured(b, func() { appendMany(b, log, writers) })
			})
		})
	}
}

// BenchmarkAppendFollowed also delivers each event to five live subscriptions, as a process of Waypost does.
func BenchmarkAppendFollowed(b *testing.B) {
	benchBoth(b, func(b *testing.B, log *eventstore.Log) {
		errAll := errors.New("all events were seen")
		var all, live sync.WaitGroup
		for range 5 {
			live.Add(1)
			all.Go(func() {
				seen, isLive := 0, sync.OnceFunc(live.Done)
				err := log.Subscribe(b.Context(), event.Subscription{FromEnd: true}, func(_ context.Context, batch event.Batch) error {
					isLive()
					if seen += len(batch.Events); seen >= b.N {
						return errAll
					}
					return nil
				})
				if !errors.Is(err, errAll) {
					b.Error(err)
				}
			})
		}
		live.Wait()
		measured(b, func() {
			appendMany(b, log, 32)
			all.Wait()
		})
	})
}

// BenchmarkRead reads a stream of five events in each operation.
func BenchmarkRead(b *testing.B) {
	benchBoth(b, func(b *testing.B, log *eventstore.Log) {
		var five []event.Proposed
		for range 5 {
			five = append(five, fresh(noted{Text: payload}))
		}
		if _, err := log.Append(b.Context(), "message-1", event.NoStream(), five...); err != nil {
			b.Fatal(err)
		}
		measured(b, func() {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if got, err := log.Read(b.Context(), "message-1", 0, 100); err != nil || len(got) != 5 {
						b.Errorf("%d events, %v", len(got), err)
						return
					}
				}
			})
		})
	})
}

// BenchmarkCatchUp delivers one event of the past in each operation.
func BenchmarkCatchUp(b *testing.B) {
	benchBoth(b, func(b *testing.B, log *eventstore.Log) {
		for n := 0; n < b.N; n += 100 {
			events := make([]event.Proposed, min(100, b.N-n))
			for i := range events {
				events[i] = fresh(noted{Text: payload})
			}
			if _, err := log.Append(b.Context(), "s", event.Any(), events...); err != nil {
				b.Fatal(err)
			}
		}
		errLive := errors.New("live")
		measured(b, func() {
			err := log.Subscribe(b.Context(), event.Subscription{}, func(_ context.Context, batch event.Batch) error {
				if batch.Live {
					return errLive
				}
				return nil
			})
			if !errors.Is(err, errLive) {
				b.Error(err)
			}
		})
	})
}
