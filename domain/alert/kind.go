package alert

import "time"

// Kind is what a rule watches. The values are those of the GraphQL schema.
type Kind string

// The kinds of rules. Each has a row in kinds.
const (
	ErrorRate        Kind = "ERROR_RATE"
	DeliveryLatency  Kind = "DELIVERY_LATENCY"
	QueueGrowth      Kind = "QUEUE_GROWTH"
	QueueStalled     Kind = "QUEUE_STALLED"
	SenderHeld       Kind = "SENDER_HELD"
	BreakerOpen      Kind = "BREAKER_OPEN"
	QualityLow       Kind = "QUALITY_LOW"
	Restricted       Kind = "ACCOUNT_RESTRICTED"
	LimitReached     Kind = "MESSAGING_LIMIT_REACHED"
	WebhookSilence   Kind = "WEBHOOK_SILENCE"
	WebhookRejected  Kind = "WEBHOOK_REJECTED"
	ReadModelStale   Kind = "READ_MODEL_STALE"
	LedgerUnbalanced Kind = "LEDGER_UNBALANCED"
	DiskSpace        Kind = "DISK_SPACE"
	HookDisabled     Kind = "OUTGOING_WEBHOOK_DISABLED"
	LogShortened     Kind = "LOG_SHORTENED"
	TemplatePaused   Kind = "TEMPLATE_PAUSED"
	CategoryChanged  Kind = "TEMPLATE_CATEGORY_CHANGED"
)

// traits are what distinguishes one kind from another, apart from how it is assessed.
type traits struct {
	// initial is the kind's rule at the start. Its ID never changes.
	initial Rule
	// ofSenders is set if a rule of the kind can be about one sender, and overAll if the
	// metrics of all senders together mean something.
	ofSenders, overAll bool
	// ofReadModels is set if the facts come from the read models.
	ofReadModels bool
	needsWindow  bool
	// unit is what a threshold is given in.
	unit unit
}

// unit is what a threshold is given in, where that limits its values.
type unit int

const (
	anyUnit  unit = iota
	fraction      // 0 to 1
	silence       // seconds, within the bounds of silences
)

// kinds has one row for each kind. Everything else about a kind is derived from its row
// and its case in Assess.
var kinds = func() []traits {
	const window = 5 * time.Minute
	return []traits{
		{
			initial:   Rule{ID: "error-rate", Kind: ErrorRate, Threshold: 0.02, Window: window, For: time.Minute, MinimumVolume: 50, Severity: Critical},
			ofSenders: true, overAll: true, ofReadModels: true, needsWindow: true, unit: fraction,
		},
		{
			initial:   Rule{ID: "delivery-latency", Kind: DeliveryLatency, Threshold: 5, Window: window, For: time.Minute, MinimumVolume: 20, Severity: Critical},
			ofSenders: true, overAll: true, ofReadModels: true, needsWindow: true,
		},
		{
			initial:   Rule{ID: "queue-growth", Kind: QueueGrowth, Window: window, MinimumVolume: 100, Severity: Critical},
			ofSenders: true, ofReadModels: true, needsWindow: true,
		},
		{
			initial:   Rule{ID: "queue-stalled", Kind: QueueStalled, Threshold: 120, MinimumVolume: 1, Severity: Critical},
			ofSenders: true, ofReadModels: true, unit: silence,
		},
		{
			initial:   Rule{ID: "sender-held", Kind: SenderHeld, Severity: Critical},
			ofSenders: true, ofReadModels: true,
		},
		{
			initial:   Rule{ID: "breaker-open", Kind: BreakerOpen, For: 15 * time.Second, Severity: Critical},
			ofSenders: true, ofReadModels: true,
		},
		{
			initial:   Rule{ID: "quality-low", Kind: QualityLow, Severity: Warning},
			ofSenders: true, ofReadModels: true,
		},
		{
			initial:   Rule{ID: "account-restricted", Kind: Restricted, Severity: Critical},
			ofSenders: true, ofReadModels: true,
		},
		{
			initial:   Rule{ID: "messaging-limit-reached", Kind: LimitReached, Severity: Warning},
			ofSenders: true, ofReadModels: true,
		},
		{
			initial:   Rule{ID: "webhook-silence", Kind: WebhookSilence, Threshold: 120, MinimumVolume: 20, Severity: Critical},
			ofSenders: true, overAll: true, ofReadModels: true, unit: silence,
		},
		{
			initial:     Rule{ID: "webhook-rejected", Kind: WebhookRejected, Threshold: 10, Window: window, Severity: Warning},
			needsWindow: true,
		},
		{initial: Rule{ID: "read-model-stale", Kind: ReadModelStale, Threshold: 30, Severity: Critical}},
		{
			initial:      Rule{ID: "ledger-unbalanced", Kind: LedgerUnbalanced, For: time.Minute, Severity: Critical},
			ofReadModels: true,
		},
		{initial: Rule{ID: "disk-space", Kind: DiskSpace, Threshold: 0.9, Severity: Warning}, unit: fraction},
		{initial: Rule{ID: "outgoing-webhook-disabled", Kind: HookDisabled, Severity: Warning}},
		{initial: Rule{ID: "log-shortened", Kind: LogShortened, Severity: Critical}},
		{initial: Rule{ID: "template-paused", Kind: TemplatePaused, Severity: Warning}, ofReadModels: true},
		{initial: Rule{ID: "template-category-changed", Kind: CategoryChanged, Severity: Warning}, ofReadModels: true},
	}
}()

// traits returns the row of the kind; the zero value if there is no such kind.
func (k Kind) traits() traits {
	for _, t := range kinds {
		if t.initial.Kind == k {
			return t
		}
	}
	return traits{}
}

// Kinds lists every kind.
func Kinds() []Kind {
	list := make([]Kind, len(kinds))
	for i, t := range kinds {
		list[i] = t.initial.Kind
	}
	return list
}

// Severity is the severity of an alert.
type Severity string

// The severities, least severe first.
const (
	Warning  Severity = "WARNING"
	Critical Severity = "CRITICAL"
)

// State is the state of an alert.
type State string

// The states of an alert.
const (
	Raised       State = "RAISED"
	Acknowledged State = "ACKNOWLEDGED"
	Resolved     State = "RESOLVED"
)

// Statistic is the statistic that a rule on latency uses.
type Statistic string

// The statistics of latencies.
const (
	Average Statistic = "AVERAGE"
	P50     Statistic = "P50"
	P95     Statistic = "P95"
)
