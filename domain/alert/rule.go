package alert

import (
	"math"
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// Rule says what is to be watched, and from when on it is an alert.
type Rule struct {
	ID   string
	Kind Kind
	// Sender is the one it is about; empty: each sender that has no rule of the kind of
	// its own, and all together.
	Sender  string
	Enabled bool
	// Threshold is a fraction for ErrorRate and DiskSpace, seconds for DeliveryLatency,
	// the silences and ReadModelStale, messages a minute for QueueGrowth, a number for
	// WebhookRejected.
	Threshold float64
	Statistic Statistic
	Window    time.Duration
	// For is how long it must hold.
	For           time.Duration
	MinimumVolume int
	Severity      Severity
}

// Defaults are the rules at the start, one of each kind. Their ids never change.
func Defaults() []Rule {
	const window = 5 * time.Minute
	return []Rule{
		{ID: "error-rate", Kind: ErrorRate, Threshold: 0.02, Window: window, For: time.Minute, MinimumVolume: 50, Severity: Critical},
		{ID: "delivery-latency", Kind: DeliveryLatency, Threshold: 5, Window: window, For: time.Minute, MinimumVolume: 20, Severity: Critical},
		{ID: "queue-growth", Kind: QueueGrowth, Window: window, MinimumVolume: 100, Severity: Critical},
		{ID: "queue-stalled", Kind: QueueStalled, Threshold: 120, MinimumVolume: 1, Severity: Critical},
		{ID: "sender-held", Kind: SenderHeld, Severity: Critical},
		{ID: "webhook-silence", Kind: WebhookSilence, Threshold: 120, MinimumVolume: 20, Severity: Critical},
		{ID: "webhook-rejected", Kind: WebhookRejected, Threshold: 10, Window: window, Severity: Warning},
		{ID: "read-model-stale", Kind: ReadModelStale, Threshold: 30, Severity: Critical},
		{ID: "ledger-unbalanced", Kind: LedgerUnbalanced, For: time.Minute, Severity: Critical},
		{ID: "disk-space", Kind: DiskSpace, Threshold: 0.9, Severity: Warning},
		{ID: "outgoing-webhook-disabled", Kind: HookDisabled, Severity: Warning},
	}
}

// DefaultOf is the default rule of a kind; false if there is no such kind.
func DefaultOf(k Kind) (Rule, bool) {
	for _, r := range complete(Defaults()) {
		if r.Kind == k {
			return r, true
		}
	}
	return Rule{}, false
}

// complete fills in what all defaults share.
func complete(rules []Rule) []Rule {
	for i := range rules {
		rules[i].Enabled, rules[i].Statistic = true, Average
	}
	return rules
}

// Rules are the defaults with the changes that were recorded, and the rules that were
// added, by id behind them.
func Rules(changed map[string]Rule) []Rule {
	rules := complete(Defaults())
	known := make(map[string]bool, len(rules))
	for i, r := range rules {
		known[r.ID] = true
		if c, ok := changed[r.ID]; ok {
			rules[i] = c
		}
	}
	var added []Rule
	for id, r := range changed {
		if !known[id] {
			added = append(added, r)
		}
	}
	slices.SortFunc(added, func(a, b Rule) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return append(rules, added...)
}

// RuleChanges are what a person sets of a rule; nil leaves it as it is, or as the
// default of its kind for a new rule.
type RuleChanges struct {
	Kind          Kind
	Sender        *string
	Enabled       *bool
	Threshold     *float64
	Statistic     *Statistic
	Window        *time.Duration
	For           *time.Duration
	MinimumVolume *int
	Severity      *Severity
}

const (
	// minWindow and maxWindow bound windows: figures by the second are kept for three
	// hours.
	minWindow = 10 * time.Second
	maxWindow = 3 * time.Hour
	// maxFor bounds how long a finding must hold, maxSilence a threshold in seconds.
	maxFor     = 24 * time.Hour
	maxSilence = time.Hour
)

// Change decides on a rule. have is the one of that id as it stands; its ID alone is
// set for a new one.
func Change(have Rule, c RuleChanges) ([]domain.Event, error) {
	if have.Kind == "" {
		base, known := DefaultOf(c.Kind)
		if !known {
			return nil, domain.Invalid("kind", "there is no kind %q", c.Kind)
		}
		base.ID = have.ID
		have = base
		have.Sender = ""
	} else if c.Kind != have.Kind {
		return nil, domain.Invalid("kind", "is %s; a rule keeps its kind, make a new one", have.Kind)
	}
	r := have
	set(&r.Sender, c.Sender)
	set(&r.Enabled, c.Enabled)
	set(&r.Threshold, c.Threshold)
	set(&r.Statistic, c.Statistic)
	set(&r.Window, c.Window)
	set(&r.For, c.For)
	set(&r.MinimumVolume, c.MinimumVolume)
	set(&r.Severity, c.Severity)
	if err := r.validate(); err != nil {
		return nil, err
	}
	return []domain.Event{changedTo(r)}, nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func (r Rule) validate() error {
	fraction := r.Kind == ErrorRate || r.Kind == DiskSpace
	silence := r.Kind == QueueStalled || r.Kind == WebhookSilence
	switch {
	case r.Sender != "" && !r.Kind.ofSenders():
		return domain.Invalid("senderId", "a rule of %s is about the installation, not a sender", r.Kind)
	case math.IsNaN(r.Threshold) || math.IsInf(r.Threshold, 0) || r.Threshold < 0:
		return domain.Invalid("threshold", "must be 0 or more")
	case fraction && r.Threshold > 1:
		return domain.Invalid("threshold", "is a fraction, 0.02 for 2 %%")
	case silence && (r.Threshold < minWindow.Seconds() || r.Threshold > maxSilence.Seconds()):
		return domain.Invalid("threshold", "is in seconds, 10 to 3600")
	case r.Window != 0 && (r.Window < minWindow || r.Window > maxWindow || r.Window%time.Second != 0):
		return domain.Invalid("window", "must be PT10S to PT3H, in whole seconds")
	case r.Window == 0 && r.needsWindow():
		return domain.Invalid("window", "is needed for %s", r.Kind)
	case r.Kind == QueueGrowth && (r.Window%time.Minute != 0 || r.Window < 2*time.Minute):
		return domain.Invalid("window", "must be whole minutes, two at least: each of them is looked at")
	case r.For < 0 || r.For > maxFor:
		return domain.Invalid("for", "must be PT0S to P1D")
	case r.MinimumVolume < 0:
		return domain.Invalid("minimumVolume", "must be 0 or more")
	}
	return nil
}

func (r Rule) needsWindow() bool {
	switch r.Kind {
	case ErrorRate, DeliveryLatency, QueueGrowth, WebhookRejected:
		return true
	case QueueStalled, SenderHeld, WebhookSilence, ReadModelStale, LedgerUnbalanced, DiskSpace, HookDisabled:
	}
	return false
}

// clearFor is how long a finding must be gone before its alert is resolved.
func (r Rule) clearFor() time.Duration {
	const least = 5 * time.Second
	return max(r.For, least)
}
