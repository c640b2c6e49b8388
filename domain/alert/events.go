package alert

import (
	"math"
	"time"

	"github.com/waypost/waypost/domain"
)

// Event is an event of an alert, a rule, or a silence. The structs below are the wire form; none of it
// is personal.
type Event = domain.Event

// Types lists the event types of alerts, rules, and silences, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[AlertRaised](), domain.TypeOf[AlertAcknowledged](), domain.TypeOf[AlertResolved](), domain.TypeOf[RuleChanged](),
		domain.TypeOf[AlertSilenced](), domain.TypeOf[AlertUnsilenced](), domain.TypeOf[SilenceStarted](), domain.TypeOf[SilenceEnded](),
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
	// Silence is the silence that covered the alert from the start.
	Silence *Silence `json:"silence,omitempty"`
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

// AlertSilenced records that a silence covers the alert from now on.
type AlertSilenced struct {
	Silence Silence `json:"silence"`
}

// AlertUnsilenced records that no silence covers the alert any longer.
type AlertUnsilenced struct {
	// Notify is set if the alert was raised under the silence and no one has acknowledged
	// it, so that its notification is sent now.
	Notify bool `json:"notify"`
}

// SilenceStarted records that an operator silenced alerts until a time. It is the first event
// of its stream.
type SilenceStarted struct {
	// Kind and Sender select the alerts. If empty, all.
	Kind   Kind      `json:"kind,omitempty"`
	Sender string    `json:"sender,omitempty"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// SilenceEnded records that an operator ended a silence early. A silence that ends as planned
// has no event for it.
type SilenceEnded struct{}

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

// EventType is "AlertSilenced".
func (AlertSilenced) EventType() string { return "AlertSilenced" }

// EventType is "AlertUnsilenced".
func (AlertUnsilenced) EventType() string { return "AlertUnsilenced" }

// EventType is "SilenceStarted".
func (SilenceStarted) EventType() string { return "SilenceStarted" }

// EventType is "SilenceEnded".
func (SilenceEnded) EventType() string { return "SilenceEnded" }

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
