package alert

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// A Record is an event, when it was recorded, and by whom.
type Record struct {
	Event domain.Event
	At    time.Time
	By    domain.Actor
}

// Apply returns the alert after one more record.
func (a Alert) Apply(r Record) Alert {
	switch e := r.Event.(type) {
	case AlertRaised:
		return Alert{
			Rule: e.Rule, Kind: e.Kind, Severity: e.Severity, Sender: e.Sender, State: Raised, Summary: e.Summary, Value: e.Value,
			Threshold: e.Threshold, Explanation: e.Explanation, RaisedAt: r.At, Silence: e.Silence, Unheard: e.Silence != nil,
		}
	case AlertAcknowledged:
		a.AcknowledgedAt, a.AcknowledgedBy, a.AcknowledgedFor, a.Note = r.At, r.By, r.By.OnBehalfOf, e.Note
		if a.State == Raised {
			a.State = Acknowledged
		}
	case AlertSilenced:
		a.Silence = &e.Silence
	case AlertUnsilenced:
		a.Silence, a.Unheard = nil, a.Unheard && !e.Notify
	case AlertResolved:
		a.State, a.ResolvedAt = Resolved, r.At
	}
	return a
}
