package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// table prints measurements, one per line.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, title string) *table {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintf(t.w, "%s\n", title)
	return t
}

func (t *table) linef(name, format string, args ...any) {
	fmt.Fprintf(t.w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
}

func (t *table) flush() error { return t.w.Flush() }

// Latencies is a distribution of durations from one microsecond to one hour, to three significant digits.
type Latencies struct{ h *hdrhistogram.Histogram }

func newLatencies() Latencies {
	return Latencies{hdrhistogram.New(1, time.Hour.Microseconds(), 3)}
}

// record adds a duration. It limits durations to the range from 0 to one hour.
func (l Latencies) record(d time.Duration) {
	_ = l.h.RecordValue(max(0, min(d, time.Hour)).Microseconds()) // it is within the bounds
}

// Percentiles has the percentiles of a distribution, in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func (l Latencies) percentiles() Percentiles {
	at := func(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }
	return Percentiles{Count: l.h.TotalCount(), P50: at(50), P95: at(95), P99: at(99), Max: float64(l.h.Max()) / 1000}
}

func (p Percentiles) String() string {
	return fmt.Sprintf("p50 %.1f, p95 %.1f, p99 %.1f, max %.1f ms (%d samples)", p.P50, p.P95, p.P99, p.Max, p.Count)
}
