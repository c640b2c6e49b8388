package alert

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Namespace is the UUID namespace in which the ids of alerts are made.
var Namespace = uuid.MustParse("c2a9bb0e-3a55-4a0e-9d0a-6f4a2a8f3f0e")

// ID is the id of the alert that follows another about the same thing; previous is
// empty for the first. Two processes that find the same thing make the same id, and
// only one of them can begin its stream.
func ID(k Key, previous string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(strings.Join([]string{k.Rule, k.Sender, string(k.Severity), previous}, "\n")))
}

// Key is what an alert is about: nothing is raised of it while one is open.
type Key struct {
	Rule     string
	Sender   string // empty: over all
	Severity Severity
}

// Event is an event of alerts or of rules. The structs below are the wire form; none
// of it is personal.
type Event = domain.Event

// Types lists the event types of alerts and rules, for the codec.
func Types() []domain.Type {
	return []domain.Type{
		domain.TypeOf[AlertRaised](), domain.TypeOf[AlertAcknowledged](), domain.TypeOf[AlertResolved](), domain.TypeOf[RuleChanged](),
	}
}

// AlertRaised records that something is wrong. It is the first event of its stream.
type AlertRaised struct {
	Rule      string   `json:"rule"`
	Kind      Kind     `json:"kind"`
	Severity  Severity `json:"severity"`
	Sender    string   `json:"sender,omitempty"`
	Summary   string   `json:"summary"`
	Value     float64  `json:"value"`
	Threshold float64  `json:"threshold"`
	// Explanation are the figures and events that led to it.
	Explanation []string `json:"explanation"`
}

// AlertAcknowledged records that a person has taken note.
type AlertAcknowledged struct {
	Note string `json:"note,omitempty"`
}

// AlertResolved records that it is over.
type AlertResolved struct {
	// Reason says in a few words how.
	Reason string `json:"reason,omitempty"`
}

// RuleChanged records a rule as it counts from now on.
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

// ToRule is the rule as it was recorded.
func (e RuleChanged) ToRule() Rule {
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return Rule{
		ID: e.Rule, Kind: e.Kind, Sender: e.Sender, Enabled: e.Enabled, Threshold: e.Threshold, Statistic: e.Statistic,
		Window: seconds(e.WindowSeconds), For: seconds(e.ForSeconds), MinimumVolume: e.MinimumVolume, Severity: e.Severity,
	}
}

// Record is an event, when it was recorded and by whom.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
}

// Alert is an alert as its events tell. The zero value is one of which nothing is
// recorded.
type Alert struct {
	Rule           string
	Kind           Kind
	Severity       Severity
	Sender         string
	State          State
	Summary        string
	Value          float64
	Threshold      float64
	Explanation    []string
	RaisedAt       time.Time
	AcknowledgedAt time.Time
	AcknowledgedBy domain.Actor
	// AcknowledgedFor is whom the caller said it acted for, as it was given.
	AcknowledgedFor string `json:",omitempty"`
	Note            string
	ResolvedAt      time.Time
}

// Key is what it is about.
func (a Alert) Key() Key { return Key{a.Rule, a.Sender, a.Severity} }

// Open reports whether it lasts.
func (a Alert) Open() bool { return a.State == Raised || a.State == Acknowledged }

// Apply is the alert after one more record.
func (a Alert) Apply(r Record) Alert {
	switch e := r.Event.(type) {
	case AlertRaised:
		return Alert{
			Rule: e.Rule, Kind: e.Kind, Severity: e.Severity, Sender: e.Sender, State: Raised, Summary: e.Summary, Value: e.Value,
			Threshold: e.Threshold, Explanation: e.Explanation, RaisedAt: r.At,
		}
	case AlertAcknowledged:
		a.AcknowledgedAt, a.AcknowledgedBy, a.AcknowledgedFor, a.Note = r.At, r.By, r.By.OnBehalfOf, e.Note
		if a.State == Raised {
			a.State = Acknowledged
		}
	case AlertResolved:
		a.State, a.ResolvedAt = Resolved, r.At
	}
	return a
}

// maxNote bounds a note, in bytes.
const maxNote = 1000

// Acknowledge records that a person has taken note. Again with the same note changes
// nothing.
func Acknowledge(a Alert, note string) ([]domain.Event, error) {
	switch {
	case len(note) > maxNote:
		return nil, domain.Invalid("note", "is longer than %d bytes", maxNote)
	case a.State == Acknowledged && a.Note == note:
		return nil, nil
	case !a.Open():
		return nil, domain.Conflict("the alert is resolved; there is nothing to acknowledge")
	}
	return []domain.Event{AlertAcknowledged{Note: note}}, nil
}

// Resolve ends an alert; one that is over stays so.
func Resolve(a Alert, reason string) []domain.Event {
	if !a.Open() {
		return nil
	}
	return []domain.Event{AlertResolved{Reason: reason}}
}
