package eventstored_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored/store"
)

// largeEvents names the variable with the number of events that BenchmarkLargeStore writes to a store. 10,000,000
// events take about 4 GB of disk and several minutes. Everything is removed at the end.
const largeEvents = "EVENTSTORED_LARGE"

const (
	eventsPerStream = 5
	// largeInterleave is the number of streams that are written at a time, like messages in progress.
	largeInterleave = 1000
	largeRounds     = 5
	largeOps        = 20_000 // of each kind in a round
	largeReads      = 500    // streams of this round
	largeWorkers    = 64
)

// BenchmarkLargeStore measures the cost of many events: opening the store, its memory, and the CPU time of an append, of
// reading a stream of this round, and of reading any stream, compared with a store that began empty. The first two do the
// same on both stores. On the empty store, any stream is one of a few that are always in memory. The servers are processes
// of their own, with the settings of `waypost eventstore`, and are used in turns. Ratios are medians of the rounds.
//
//	EVENTSTORED_LARGE=10000000 go test ./adapters/eventstored -run '^$' -bench LargeStore -benchtime 1x -timeout 60m
func BenchmarkLargeStore(b *testing.B) {
	total, err := strconv.Atoi(os.Getenv(largeEvents))
	if err != nil {
		b.Skipf("%s is not set to a number of events", largeEvents)
	}
	for name, value := range map[string]string{"GOGC": "300", "GOMEMLIMIT": "400MiB", "GOMAXPROCS": "3"} {
		b.Setenv(name, value)
	}
	root := b.TempDir()
	large, small := filepath.Join(root, "large"), filepath.Join(root, "small")
	begin := time.Now()
	fillLarge(b, large, total)
	fillLarge(b, small, 200*eventsPerStream) // the streams to read must exist
	b.Logf("%d events in %d streams filled in %s, %d MiB on disk", total, total/eventsPerStream,
		time.Since(begin).Round(time.Second), diskUsage(b, large)>>20)
	settle(b, large)

	full, empty := openMeasured(b, large, total), openMeasured(b, small, 200*eventsPerStream)
	b.Logf("opened in %s, first append took %s (empty: %s, %s)",
		full.opened, full.ready, empty.opened, empty.ready)
	b.ReportMetric(full.opened.Seconds(), "open-s")
	b.ReportMetric(float64(full.status(b, "VmRSS")>>20), "open-MiB")
	kinds := []string{"append", "read", "read of any"}
	var totals, servers [2]map[string][]float64
	for round := range largeRounds {
		for i, s := range []*measuredServer{full, empty} {
			if round == 0 {
				totals[i], servers[i] = map[string][]float64{}, map[string][]float64{}
			}
			s.prepare(b, round)
			for k, do := range []func(n int) error{
				func(n int) error { return s.append(round, n) },
				func(n int) error { return s.read(readStreamName(round, n%largeReads)) },
				func(int) error { return s.read(largeStream(rand.IntN(s.streams))) },
			} {
				total, server := s.measure(b, do)
				totals[i][kinds[k]] = append(totals[i][kinds[k]], total)
				servers[i][kinds[k]] = append(servers[i][kinds[k]], server)
			}
		}
	}
	for _, kind := range kinds {
		ratios := make([]float64, largeRounds)
		for i := range ratios {
			ratios[i] = totals[0][kind][i] / totals[1][kind][i]
		}
		b.Logf("CPU of one %s: %.1f µs (server %.1f), empty store %.1f µs (server %.1f), ratio %.2f (of each round: %.2f)", kind,
			median(totals[0][kind]), median(servers[0][kind]), median(totals[1][kind]), median(servers[1][kind]), median(ratios), ratios)
		b.ReportMetric(median(ratios), strings.ReplaceAll(kind, " ", "-")+"-ratio")
	}
	b.Logf("resident %d MiB at the end, %d MiB at most (empty store: %d, %d)", full.status(b, "VmRSS")>>20, full.status(b, "VmHWM")>>20,
		empty.status(b, "VmRSS")>>20, empty.status(b, "VmHWM")>>20)
	b.ReportMetric(float64(full.status(b, "VmHWM")>>20), "peak-MiB")
}

func fillLarge(b *testing.B, dir string, total int) {
	b.Helper()
	err := store.Load(store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Now: time.Now}, largeLog(total))
	if err != nil {
		b.Fatal(err)
	}
}

// largeLog returns a log as Waypost writes it: the events of a message are interleaved with those of others.
func largeLog(total int) iter.Seq2[store.LoadedEvent, error] {
	types := [eventsPerStream]string{"Queued", "SendAttempted", "Sent", "Delivered", "Read"}
	return func(yield func(store.LoadedEvent, error) bool) {
		created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		position := uint64(1)
		for first := 0; first < total/eventsPerStream; first += largeInterleave {
			for revision := range eventsPerStream {
				for i := first; i < min(first+largeInterleave, total/eventsPerStream); i++ {
					data := fmt.Appendf(nil, `{"to":"+49151%08d","template":"order_update","language":"en","parameters":["Ada","A-%d","Tuesday"],`+
						`"priority":"TRANSACTIONAL","attempt":1,"callback":%q,"queuedAt":%q}`, i*7919%100_000_000, i, uuid.NewString(), created.Format(time.RFC3339Nano))
					e := store.LoadedEvent{
						Event:  store.Event{ID: uuid.New(), Type: types[revision], JSON: true, Data: data, Metadata: []byte(`{"v":1,"sender":"shop"}`)},
						Stream: largeStream(i), Revision: int64(revision), Position: position, Created: created,
					}
					created = created.Add(time.Millisecond)
					if position += 700; !yield(e, nil) {
						return
					}
				}
			}
		}
	}
}

func largeStream(i int) string {
	return fmt.Sprintf("message-%08x-0000-7000-8000-%012x", i, i*2654435761)
}

// settle serves the store until it has finished the work that filling it left.
func settle(b *testing.B, dir string) {
	b.Helper()
	s, _ := startChild(b, dir)
	defer func() {
		_ = s.Process.Kill()
		_ = s.Wait()
	}()
	const quiet = 20 * time.Millisecond // of CPU in a second
	sample := time.NewTicker(time.Second)
	defer sample.Stop()
	for begin, before := time.Now(), processCPU(b, s.Process.Pid); time.Since(begin) < 10*time.Minute; {
		<-sample.C
		now := processCPU(b, s.Process.Pid)
		if now-before < quiet {
			b.Logf("settled after %s", time.Since(begin).Round(time.Second))
			return
		}
		before = now
	}
	b.Log("it did not settle")
}

type measuredServer struct {
	process       *exec.Cmd
	client        *esdb.Client
	streams       int
	opened, ready time.Duration
}

func openMeasured(b *testing.B, dir string, events int) *measuredServer {
	b.Helper()
	begin := time.Now()
	process, url := startChild(b, dir)
	s := &measuredServer{process: process, client: connect(b, url), streams: events / eventsPerStream, opened: time.Since(begin)}
	b.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	mustAppend(b, s.client, "first", esdb.Any{}, payloadEvent("Queued"))
	s.ready = time.Since(begin)
	return s
}

func (s *measuredServer) append(round, n int) error {
	_, err := s.client.AppendToStream(context.Background(), fmt.Sprintf("new-%d-%d", round, n),
		esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}, payloadEvent("Queued"))
	return err
}

// prepare writes the streams that this round reads.
func (s *measuredServer) prepare(b *testing.B, round int) {
	b.Helper()
	for n := range largeReads {
		var events []esdb.EventData
		for range eventsPerStream {
			events = append(events, payloadEvent("Queued"))
		}
		mustAppend(b, s.client, readStreamName(round, n), esdb.NoStream{}, events...)
	}
}

func readStreamName(round, n int) string { return fmt.Sprintf("read-%d-%d", round, n) }

func (s *measuredServer) read(stream string) error {
	r, err := s.client.ReadStream(context.Background(), stream, esdb.ReadStreamOptions{}, 100)
	if err != nil {
		return err
	}
	got, err := collect(r)
	if err == nil && len(got) != eventsPerStream {
		err = fmt.Errorf("%d events in a stream", len(got))
	}
	return err
}

// measure returns the CPU time of one operation in microseconds: of client and server together, and of the server only.
func (s *measuredServer) measure(b *testing.B, do func(n int) error) (total, server float64) {
	b.Helper()
	pid := s.process.Process.Pid
	client, before := processCPU(b, os.Getpid()), processCPU(b, pid)
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, largeWorkers)
	for w := range largeWorkers {
		all.Go(func() {
			for n := next.Add(1); n <= largeOps && errs[w] == nil; n = next.Add(1) {
				errs[w] = do(int(n))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	used := processCPU(b, pid) - before
	client = processCPU(b, os.Getpid()) - client
	return micros(used + client), micros(used)
}

func micros(d time.Duration) float64 { return float64(d.Microseconds()) / largeOps }

// processCPU returns the CPU time that a process has used so far, to the hundredth of a second.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// status returns a field of the server's /proc/PID/status, in bytes.
func (s *measuredServer) status(b *testing.B, field string) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatalf("no %s in %s", field, text)
	return 0
}

func diskUsage(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += stat.Blocks * 512
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
