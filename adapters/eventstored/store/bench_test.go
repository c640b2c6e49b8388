package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

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

// BenchmarkAppend measures the engine on its own: each iteration appends one event to a new stream and syncs it.
func BenchmarkAppend(b *testing.B) {
	data := make([]byte, 400)
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			asTheProgram(b)
			s := open(b, options(b.TempDir()))
			var next atomic.Int64
			var wg sync.WaitGroup
			errs := make([]error, writers)
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N) && errs[w] == nil; i = next.Add(1) {
						_, errs[w] = s.Append(b.Context(), fmt.Sprintf("message-%d", i), store.NoStream,
							[]store.Event{{ID: uuid.New(), Type: "Queued", JSON: true, Data: data}})
					}
				})
			}
			wg.Wait()
			if err := errors.Join(errs...); err != nil {
				b.Fatal(err)
			}
			stats := s.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			b.ReportMetric(float64(stats.Appends)/float64(stats.Commits), "appends/commit")
		})
	}
}

// BenchmarkSync measures the limit of the disk, to compare the other benchmarks with: 512 bytes and a sync.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 512)
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
