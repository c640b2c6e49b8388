package alert

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/domain"
)

// Namespace is the UUID namespace for the IDs of alerts.
var Namespace = uuid.MustParse("c2a9bb0e-3a55-4a0e-9d0a-6f4a2a8f3f0e")

// ID returns the ID of the alert that follows another about the same subject. previous is
// empty for the first. Two processes with the same finding derive the same ID, and only one
// of them can start its stream.
func ID(k Key, previous string) uuid.UUID {
	return uuid.NewSHA1(Namespace, []byte(strings.Join([]string{k.Rule, k.Sender, string(k.Severity), previous}, "\n")))
}

// A Key is what an alert is about. While an alert is open, no other is raised for its key.
type Key struct {
	Rule     string
	Sender   string // empty if over all
	Severity Severity
}

// An Alert is the state that an alert's events fold to. The zero value has no events.
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
	// AcknowledgedFor is whom the caller said it acted for, unchanged.
	AcknowledgedFor string `json:",omitempty"`
	Note            string
	ResolvedAt      time.Time
	// Silence is the silence that covers the alert. Nil if there is none.
	Silence *Silence `json:",omitempty"`
	// Unheard is set if the alert was raised under a silence, and its notification was not
	// sent since.
	Unheard bool `json:",omitempty"`
}

// Key returns what the alert is about.
func (a Alert) Key() Key { return Key{a.Rule, a.Sender, a.Severity} }

// Open reports whether the alert is not resolved.
func (a Alert) Open() bool { return a.State == Raised || a.State == Acknowledged }
