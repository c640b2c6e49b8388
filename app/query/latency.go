package query

import (
	"math/bits"
	"slices"
	"time"
)

// Latencies are kept in buckets that are the same everywhere and for ever, so that
// those of any spans and senders add up: linear steps of 50 ms up to 0.8 s, then 16
// to each doubling. What is answered is the middle of a bucket, at most 50 ms or
// 3.2 % (1/32) from the true value, whichever is more. WhatsApp's own times are
// whole seconds, so that finer buckets would tell nothing.
const (
	latencyUnit = 50 * time.Millisecond
	latencySub  = 16
	latencyLog  = 4 // of latencySub
)

// LatencyBucket is the bucket of a latency; one below 0 is 0.
func LatencyBucket(d time.Duration) int {
	units := uint64(max(0, d) / latencyUnit)
	exponent := max(0, bits.Len64(units)-latencyLog-1)
	return exponent*latencySub + int(units>>exponent)
}

// latencyOf is the middle of a bucket. The first, which holds all that WhatsApp's
// whole seconds put before the call, answers 0.
func latencyOf(bucket int) time.Duration {
	if bucket <= 0 {
		return 0
	}
	low, high := latencyEdges(bucket)
	return (low + high) / 2
}

// latencyEdges are the bounds of a bucket: from the one up to below the other.
func latencyEdges(bucket int) (low, high time.Duration) {
	exponent := max(0, bucket/latencySub-1)
	units := bucket - exponent*latencySub
	return edge(units, exponent), edge(units+1, exponent)
}

func edge(units, exponent int) time.Duration { return time.Duration(units<<exponent) * latencyUnit }

// LatencyHistogram counts latencies by their bucket.
type LatencyHistogram map[int]int64

// Count is how many there are.
func (h LatencyHistogram) Count() int64 {
	var n int64
	for _, c := range h {
		n += c
	}
	return n
}

// Percentile is the latency that a share p, from 0 to 1, of them does not exceed;
// false if there are none.
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
	// The rank of the value, from 1: the smallest that covers the share.
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

// Below is how many are surely not above d: those whose bucket ends at d or before.
func (h LatencyHistogram) Below(d time.Duration) int64 {
	var n int64
	for b, c := range h {
		if _, high := latencyEdges(b); high <= d {
			n += c
		}
	}
	return n
}
