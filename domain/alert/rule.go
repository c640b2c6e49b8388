package alert

import (
	"math"
	"slices"
	"time"

	"github.com/waypost/waypost/domain"
)

// A Rule defines what to watch and when it becomes an alert.
type Rule struct {
	ID   string
	Kind Kind
	// Sender is the sender that the rule is about. If empty, it is about each sender that
	// has no rule of the same kind of its own, and about all together.
	Sender  string
	Enabled bool
	// Threshold is a fraction for ErrorRate and DiskSpace, seconds for DeliveryLatency, the
	// silences, and ReadModelStale, messages per minute for QueueGrowth, and a number for
	// WebhookRejected.
	Threshold float64
	Statistic Statistic
	Window    time.Duration
	// For is how long a finding must last.
	For           time.Duration
	MinimumVolume int
	Severity      Severity
}

// Defaults returns the rules at the start, one of each kind.
func Defaults() []Rule {
	rules := make([]Rule, len(kinds))
	for i, t := range kinds {
		rules[i] = t.initial
	}
	return rules
}

// DefaultOf returns the default rule of a kind, or false if there is no such kind.
func DefaultOf(k Kind) (Rule, bool) {
	for _, r := range complete(Defaults()) {
		if r.Kind == k {
			return r, true
		}
	}
	return Rule{}, false
}

// complete sets what all defaults have in common.
func complete(rules []Rule) []Rule {
	for i := range rules {
		rules[i].Enabled, rules[i].Statistic = true, Average
	}
	return rules
}

// Rules returns the defaults with the recorded changes, followed by the added rules, by ID.
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

const (
	// minWindow and maxWindow bound windows. Metrics per second are stored for three hours.
	minWindow = 10 * time.Second
	maxWindow = 3 * time.Hour
	// maxFor bounds how long a finding must last, and maxSilence a threshold in seconds.
	maxFor     = 24 * time.Hour
	maxSilence = time.Hour
)

func (r Rule) validate() error {
	kind := r.Kind.traits()
	switch {
	case r.Sender != "" && !kind.ofSenders:
		return domain.Invalid("senderId", "a rule of %s is about the installation, not a sender", r.Kind)
	case math.IsNaN(r.Threshold) || math.IsInf(r.Threshold, 0) || r.Threshold < 0:
		return domain.Invalid("threshold", "must be 0 or more")
	case kind.unit == fraction && r.Threshold > 1:
		return domain.Invalid("threshold", "must be a fraction, for example 0.02 for 2%%")
	case kind.unit == silence && (r.Threshold < minWindow.Seconds() || r.Threshold > maxSilence.Seconds()):
		return domain.Invalid("threshold", "must be 10 to 3600 seconds")
	case r.Window != 0 && (r.Window < minWindow || r.Window > maxWindow || r.Window%time.Second != 0):
		return domain.Invalid("window", "must be PT10S to PT3H, in whole seconds")
	case r.Window == 0 && kind.needsWindow:
		return domain.Invalid("window", "is needed for %s", r.Kind)
	case r.Kind == QueueGrowth && (r.Window%time.Minute != 0 || r.Window < 2*time.Minute):
		return domain.Invalid("window", "must be whole minutes, at least two, because each is evaluated")
	case r.For < 0 || r.For > maxFor:
		return domain.Invalid("for", "must be PT0S to P1D")
	case r.MinimumVolume < 0:
		return domain.Invalid("minimumVolume", "must be 0 or more")
	case r.Statistic != Average && r.Statistic != P50 && r.Statistic != P95:
		return domain.Invalid("statistic", "must be AVERAGE, P50, or P95, got %.64q", string(r.Statistic))
	case r.Severity != Warning && r.Severity != Critical:
		return domain.Invalid("severity", "must be WARNING or CRITICAL, got %.64q", string(r.Severity))
	}
	return nil
}

// clearFor returns how long a finding must be gone before its alert is resolved.
func (r Rule) clearFor() time.Duration {
	const least = 5 * time.Second
	return max(r.For, least)
}
