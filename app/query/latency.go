package query

import (
	"math/bits"
	"slices"
	"time"
)

// Latencies are counted in buckets that are the same everywhere and forever, so that
// histograms of any time spans and senders can be added: linear steps of 50 ms up to 0.8 s,
// then 16 for each doubling. The result is the middle of a bucket, which differs from the
// true value by at most 50 ms or 3.2% (1/32), whichever is more. WhatsApp's own times are
// whole seconds, so finer buckets would add nothing.
const (
	latencyUnit = 50 * time.Millisecond
	latencySub  = 16
	latencyLog  = 4 // of latencySub
)

// LatencyBucket returns the bucket of a latency. A negative latency counts as 0.
func LatencyBucket(d time.Duration) int {
	units := uint64(max(0, d) / latencyUnit)
	exponent := max(0, bits.Len64(units)-latencyLog-1)
	return exponent*latencySub + int(units>>exponent)
}

// latencyOf returns the middle of a bucket. For the first bucket, it returns 0, because
// WhatsApp's whole seconds put many latencies before the call.
func latencyOf(bucket int) time.Duration {
	if bucket <= 0 {
		return 0
	}
	low, high := latencyEdges(bucket)
	return (low + high) / 2
}

// latencyEdges returns the bounds of a bucket: low is inclusive, high is exclusive.
func latencyEdges(bucket int) (low, high time.Duration) {
	exponent := max(0, bucket/latencySub-1)
	units := bucket - exponent*latencySub
	return edge(units, exponent), edge(units+1, exponent)
}

func edge(units, exponent int) time.Duration { return time.Duration(units<<exponent) * latencyUnit }

// LatencyHistogram counts latencies by bucket.
type LatencyHistogram map[int]int64

// Count returns the number of latencies.
func (h LatencyHistogram) Count() int64 {
	var n int64
	for _, c := range h {
		n += c
	}
	return n
}

// Percentile returns the latency that a share p, from 0 to 1, of the latencies does not
// exceed. It returns false if there are no latencies.
func (h LatencyHistogram) Percentile(p float64) (time.Duration, bool) {
	total := h.Count()
	if total == 0 {
		return 0, false
	}
	buckets := make([]int, 0, len(h))
	for b := range h {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	// The rank of the value, starting at 1: the smallest rank that covers the share.
	rank := int64(p * float64(total))
	if float64(rank) < p*float64(total) {
		rank++
	}
	rank = max(1, rank)
	for _, b := range buckets {
		if rank -= h[b]; rank <= 0 {
			return latencyOf(b), true
		}
	}
	return latencyOf(buckets[len(buckets)-1]), true
}

// CountAtMost returns the number of latencies that are surely not above d: those whose
// bucket ends at or before d.
func (h LatencyHistogram) CountAtMost(d time.Duration) int64 {
	var n int64
	for b, c := range h {
		if _, high := latencyEdges(b); high <= d {
			n += c
		}
	}
	return n
}
