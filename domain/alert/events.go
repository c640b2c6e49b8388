package alert

import (
	"math"
	"time"

	"github.com/waypost/waypost/domain"
)

// Event is an event of an alert or a rule. The structs below are the wire form; none of it
// is personal.
type Event = domain.Event

// Types lists the event types of alerts and rules, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[AlertRaised](), domain.TypeOf[AlertAcknowledged](), domain.TypeOf[AlertResolved](), domain.TypeOf[RuleChanged](),
	}
}

// AlertRaised records that a problem was found. It is the first event of its stream.
type AlertRaised struct {
	Rule      string   `json:"rule"`
	Kind      Kind     `json:"kind"`
	Severity  Severity `json:"severity"`
	Sender    string   `json:"sender,omitempty"`
	Summary   string   `json:"summary"`
	Value     float64  `json:"value"`
	Threshold float64  `json:"threshold"`
	// Explanation has the metrics and events that led to it.
	Explanation []string `json:"explanation"`
}

// AlertAcknowledged records that an operator acknowledged the alert.
type AlertAcknowledged struct {
	Note string `json:"note,omitempty"`
}

// AlertResolved records that the problem is over.
type AlertResolved struct {
	// Reason describes in a few words how it ended.
	Reason string `json:"reason,omitempty"`
}

// RuleChanged records the new definition of a rule.
type RuleChanged struct {
	Rule          string    `json:"rule"`
	Kind          Kind      `json:"kind"`
	Sender        string    `json:"sender,omitempty"`
	Enabled       bool      `json:"enabled"`
	Threshold     float64   `json:"threshold"`
	Statistic     Statistic `json:"statistic"`
	WindowSeconds float64   `json:"windowSeconds"`
	ForSeconds    float64   `json:"forSeconds"`
	MinimumVolume int       `json:"minimumVolume"`
	Severity      Severity  `json:"severity"`
}

// EventType is "AlertRaised".
func (AlertRaised) EventType() string { return "AlertRaised" }

// EventType is "AlertAcknowledged".
func (AlertAcknowledged) EventType() string { return "AlertAcknowledged" }

// EventType is "AlertResolved".
func (AlertResolved) EventType() string { return "AlertResolved" }

// EventType is "RuleChanged".
func (RuleChanged) EventType() string { return "RuleChanged" }

func changedTo(r Rule) RuleChanged {
	return RuleChanged{
		Rule: r.ID, Kind: r.Kind, Sender: r.Sender, Enabled: r.Enabled, Threshold: r.Threshold, Statistic: r.Statistic,
		WindowSeconds: r.Window.Seconds(), ForSeconds: r.For.Seconds(), MinimumVolume: r.MinimumVolume, Severity: r.Severity,
	}
}

// ToRule returns the rule as it was recorded.
func (e RuleChanged) ToRule() Rule {
	const most = float64(math.MaxInt64 / int64(time.Second))
	seconds := func(s float64) time.Duration { return time.Duration(min(max(s, -most), most) * float64(time.Second)) }
	return Rule{
		ID: e.Rule, Kind: e.Kind, Sender: e.Sender, Enabled: e.Enabled, Threshold: e.Threshold, Statistic: e.Statistic,
		Window: seconds(e.WindowSeconds), For: seconds(e.ForSeconds), MinimumVolume: e.MinimumVolume, Severity: e.Severity,
	}
}
