package query

import (
	"time"

	"github.com/waypost/waypost/domain/message"
)

// Limits of metrics.
const (
	// MaxWindow is the longest window, and the longest span of a series.
	MaxWindow = 31 * 24 * time.Hour
	// MaxPoints is the maximum number of points in a series.
	MaxPoints = 1500
	// SecondsKept is how long metrics are kept for each second. Older ones are kept for
	// each minute.
	SecondsKept = 3 * time.Hour
)

// Metrics are the metrics of a time span, of one sender or of all senders. Events are
// counted at the time when they were recorded.
type Metrics struct {
	// From is inclusive, To is exclusive.
	From, To time.Time

	Queued int64
	// Sent is the number of first acceptances. A message that is sent again is counted
	// once.
	Sent int64
	// Delivered is the number of delivered messages, including messages that were read
	// without a delivered status.
	Delivered    int64
	Read         int64
	Failed       int64
	DeadLettered int64
	Expired      int64
	// Overdue is the number of messages whose delivery became overdue.
	Overdue int64
	// Suppressed is the number of messages that were not sent because the recipient opted out.
	Suppressed int64
	// Faults is the number of Failed and DeadLettered events without policy caps.
	Faults int64
	// Retried is the number of scheduled retries, and Throttled is the number of throttled
	// calls.
	Retried   int64
	Throttled int64
	// Ambiguous is the number of lost responses, and Settled is the number of those that a
	// status settled.
	Ambiguous int64
	Settled   int64
	SentTwice int64
	// Calls is the number of calls whose outcome was recorded, and Statuses is the number
	// of recorded statuses.
	Calls    int64
	Statuses int64
	// LatencySum is the sum over Delivered, and LagSum is the sum over Statuses.
	LatencySum time.Duration
	LagSum     time.Duration
	Latencies  LatencyHistogram
	Failures   []FailureCount

	// CohortSent is the number of messages that WhatsApp accepted in the span, by the time
	// of its response. CohortDelivered is the number of those that were delivered by its
	// end.
	CohortSent      int64
	CohortDelivered int64

	// QueueDepth and Scheduled are the values at the end of the span. QueueChange and
	// ScheduledChange are their changes over the span.
	QueueDepth      int64
	Scheduled       int64
	QueueChange     int64
	ScheduledChange int64
	// Drained is the number of messages that stopped being due.
	Drained int64
	// OldestDueAge is nil if no message is due, or if the span has ended, because past
	// values are not kept.
	OldestDueAge *time.Duration
}

// FailureCount is the number of failed calls and failed statuses of one type.
type FailureCount struct {
	Class message.Class
	// Category is empty if the code alone determines it.
	Category message.Category
	Code     *int
	Count    int64
}

// Window returns the length of the span.
func (m Metrics) Window() time.Duration { return m.To.Sub(m.From) }

// perMinute returns n as a rate over the span.
func (m Metrics) perMinute(n int64) float64 {
	if m.Window() <= 0 {
		return 0
	}
	return float64(n) / m.Window().Minutes()
}

// SentPerMinute returns the rate of first acceptances.
func (m Metrics) SentPerMinute() float64 { return m.perMinute(m.Sent) }

// QueueGrowthPerMinute returns the change of QueueDepth per minute.
func (m Metrics) QueueGrowthPerMinute() float64 { return m.perMinute(m.QueueChange) }

// DrainPerMinute returns the number of messages per minute that stopped being due.
func (m Metrics) DrainPerMinute() float64 { return m.perMinute(m.Drained) }

// DeliveryRate returns the share of the messages sent in the span that were delivered by
// its end. It returns false if none was sent.
func (m Metrics) DeliveryRate() (float64, bool) { return ratio(m.CohortDelivered, m.CohortSent) }

// ErrorRate returns F / (F + S) for the Faults F and the first acceptances S. It returns
// false if both are 0.
func (m Metrics) ErrorRate() (float64, bool) { return ratio(m.Faults, m.Faults+m.Sent) }

// FailureRate returns the share of n among all calls and statuses of the span.
func (m Metrics) FailureRate(n int64) float64 {
	rate, _ := ratio(n, m.Calls+m.Statuses)
	return rate
}

// AverageLatency returns the average time from the call to the delivery. It returns false
// if no message was delivered.
func (m Metrics) AverageLatency() (time.Duration, bool) { return mean(m.LatencySum, m.Delivered) }

// AverageLag returns the average time from a status to its recording. It returns false if
// there was no status.
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
