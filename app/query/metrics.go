package query

import (
	"time"

	"github.com/waypost/waypost/domain/message"
)

// Bounds of what can be asked of metrics.
const (
	// MaxWindow is the longest window, and the longest span of a series.
	MaxWindow = 31 * 24 * time.Hour
	// MaxPoints is how many points a series has at most.
	MaxPoints = 1500
	// SecondsKept is for how long figures are kept by the second. What lies further
	// back is known by the minute.
	SecondsKept = 3 * time.Hour
)

// Metrics are the figures of a span of time, of one sender or of all. Events count
// by the time at which they were recorded.
type Metrics struct {
	// From is inclusive, To exclusive.
	From, To time.Time

	Queued int64
	// Sent counts first acceptances; a message that is sent again counts once.
	Sent int64
	// Delivered counts messages, a read without a delivered among them.
	Delivered    int64
	Read         int64
	Failed       int64
	DeadLettered int64
	Expired      int64
	// Faults are Failed and DeadLettered without policy caps.
	Faults int64
	// Retried counts the retries that were scheduled, Throttled the throttled calls.
	Retried   int64
	Throttled int64
	// Ambiguous counts lost answers, Settled those that a status settled.
	Ambiguous int64
	Settled   int64
	SentTwice int64
	// Calls counts the calls whose outcome was recorded, Statuses the statuses.
	Calls    int64
	Statuses int64
	// LatencySum is over the Delivered, LagSum over the Statuses.
	LatencySum time.Duration
	LagSum     time.Duration
	Latencies  LatencyHistogram
	Failures   []FailureCount

	// CohortSent is how many messages WhatsApp accepted in the span, by the time of
	// its answer, CohortDelivered how many of them were delivered by its end.
	CohortSent      int64
	CohortDelivered int64

	// QueueDepth and Scheduled are those at the end of the span, QueueChange and
	// ScheduledChange how much they changed over it.
	QueueDepth      int64
	Scheduled       int64
	QueueChange     int64
	ScheduledChange int64
	// Drained is how many messages ended being due.
	Drained int64
	// OldestDueAge is nil if nothing is due, or the span has ended: what was the
	// oldest then is not kept.
	OldestDueAge *time.Duration
}

// FailureCount is how many failed calls and failed statuses are of a type.
type FailureCount struct {
	Class message.Class
	// Category is empty where the code alone tells it.
	Category message.Category
	Code     *int
	Count    int64
}

// Window is the length of the span.
func (m Metrics) Window() time.Duration { return m.To.Sub(m.From) }

// perMinute is n as a rate over the span.
func (m Metrics) perMinute(n int64) float64 {
	if m.Window() <= 0 {
		return 0
	}
	return float64(n) / m.Window().Minutes()
}

// SentPerMinute is the rate of first acceptances.
func (m Metrics) SentPerMinute() float64 { return m.perMinute(m.Sent) }

// QueueGrowthPerMinute is how much QueueDepth changed a minute.
func (m Metrics) QueueGrowthPerMinute() float64 { return m.perMinute(m.QueueChange) }

// DrainPerMinute is how many messages ended being due a minute.
func (m Metrics) DrainPerMinute() float64 { return m.perMinute(m.Drained) }

// DeliveryRate is the share of the messages sent in the span that was delivered by
// its end; false if none was sent.
func (m Metrics) DeliveryRate() (float64, bool) { return ratio(m.CohortDelivered, m.CohortSent) }

// ErrorRate is F / (F + S) of the Faults F and the first acceptances S; false if both
// are 0.
func (m Metrics) ErrorRate() (float64, bool) { return ratio(m.Faults, m.Faults+m.Sent) }

// FailureRate is the share of n among all calls and statuses of the span.
func (m Metrics) FailureRate(n int64) float64 {
	rate, _ := ratio(n, m.Calls+m.Statuses)
	return rate
}

// AverageLatency is that from the call to the delivery; false if none was delivered.
func (m Metrics) AverageLatency() (time.Duration, bool) { return mean(m.LatencySum, m.Delivered) }

// AverageLag is the time from a status to its recording; false if there was none.
func (m Metrics) AverageLag() (time.Duration, bool) { return mean(m.LagSum, m.Statuses) }

func ratio(part, whole int64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return float64(part) / float64(whole), true
}

func mean(sum time.Duration, n int64) (time.Duration, bool) {
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}
