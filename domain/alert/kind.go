package alert

// Kind is what a rule watches. The values are those of the GraphQL schema.
type Kind string

// The kinds of rules.
const (
	ErrorRate        Kind = "ERROR_RATE"
	DeliveryLatency  Kind = "DELIVERY_LATENCY"
	QueueGrowth      Kind = "QUEUE_GROWTH"
	QueueStalled     Kind = "QUEUE_STALLED"
	SenderHeld       Kind = "SENDER_HELD"
	WebhookSilence   Kind = "WEBHOOK_SILENCE"
	WebhookRejected  Kind = "WEBHOOK_REJECTED"
	ReadModelStale   Kind = "READ_MODEL_STALE"
	LedgerUnbalanced Kind = "LEDGER_UNBALANCED"
	DiskSpace        Kind = "DISK_SPACE"
	HookDisabled     Kind = "OUTGOING_WEBHOOK_DISABLED"
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		ErrorRate, DeliveryLatency, QueueGrowth, QueueStalled, SenderHeld, WebhookSilence, WebhookRejected,
		ReadModelStale, LedgerUnbalanced, DiskSpace, HookDisabled,
	}
}

// ofSenders reports whether a rule of the kind may be about one sender.
func (k Kind) ofSenders() bool {
	switch k {
	case WebhookRejected, ReadModelStale, LedgerUnbalanced, DiskSpace, HookDisabled:
		return false
	case ErrorRate, DeliveryLatency, QueueGrowth, QueueStalled, SenderHeld, WebhookSilence:
	}
	return true
}

// ofReadModels reports whether what the rule goes by is read from the read models.
func (k Kind) ofReadModels() bool {
	switch k {
	case ReadModelStale, DiskSpace, WebhookRejected, HookDisabled:
		return false
	case ErrorRate, DeliveryLatency, QueueGrowth, QueueStalled, SenderHeld, WebhookSilence, LedgerUnbalanced:
	}
	return true
}

// Severity is how bad it is.
type Severity string

// The severities, the lesser first.
const (
	Warning  Severity = "WARNING"
	Critical Severity = "CRITICAL"
)

// State is where an alert is.
type State string

// The states of an alert.
const (
	Raised       State = "RAISED"
	Acknowledged State = "ACKNOWLEDGED"
	Resolved     State = "RESOLVED"
)

// Statistic is what a rule on latency goes by.
type Statistic string

// The statistics of latencies.
const (
	Average Statistic = "AVERAGE"
	P50     Statistic = "P50"
	P95     Statistic = "P95"
)
