package query_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/query"
)

// For any latencies, merged histograms equal the histogram of all of them, and a percentile
// is within the promised error of the value at that rank.
func TestPercentilesAreWithinTheirError(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(40*24*time.Hour)), 1, 60).Draw(t, "latencies")
		merged := query.LatencyHistogram{}
		for _, v := range values {
			merged[query.LatencyBucket(time.Duration(v))]++
		}
		if merged.Count() != int64(len(values)) {
			t.Fatalf("%d of %d counted", merged.Count(), len(values))
		}
		slices.Sort(values)
		for _, q := range []struct {
			p    float64
			rank int // from 1 to n
		}{{0.5, (len(values) + 1) / 2}, {1, len(values)}} {
			got, ok := merged.Percentile(q.p)
			want := time.Duration(values[q.rank-1])
			bound := max(50*time.Millisecond, want/32)
			if !ok || (got-want).Abs() > bound {
				t.Fatalf("percentile %v of %v is %v, want %v ± %v", q.p, values, got, want, bound)
			}
		}
	})
}

func TestBucketsGrowWithTheLatency(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "a"))
		b := a + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		if query.LatencyBucket(a) > query.LatencyBucket(b) {
			t.Fatalf("bucket of %v is above that of %v", a, b)
		}
		if query.LatencyBucket(a) > 1<<15-1 {
			t.Fatalf("bucket %d does not fit", query.LatencyBucket(a))
		}
	})
}

func TestNoLatencyHasNoPercentile(t *testing.T) {
	t.Parallel()
	if d, ok := (query.LatencyHistogram{}).Percentile(0.5); ok {
		t.Errorf("got %v", d)
	}
	h := query.LatencyHistogram{query.LatencyBucket(-time.Second): 1}
	if d, ok := h.Percentile(0.99); !ok || d != 0 {
		t.Errorf("a latency below 0 is %v, want 0", d)
	}
	if n := h.CountAtMost(time.Second); n != 1 {
		t.Errorf("%d below a second, want 1", n)
	}
}
