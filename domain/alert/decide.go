package alert

import (
	"time"

	"github.com/waypost/waypost/domain"
)

// Acknowledge acknowledges an alert. Repeating it with the same note changes nothing.
func Acknowledge(a Alert, note string) ([]domain.Event, error) {
	if err := domain.CheckReason("note", note); err != nil {
		return nil, err
	}
	switch {
	case a.State == Acknowledged && a.Note == note:
		return nil, nil
	case !a.Open():
		return nil, domain.Conflict("the alert is resolved; there is nothing to acknowledge")
	}
	return []domain.Event{AlertAcknowledged{Note: note}}, nil
}

// Resolve resolves an alert. If it is already resolved, nothing changes.
func Resolve(a Alert, reason string) []domain.Event {
	if !a.Open() {
		return nil
	}
	return []domain.Event{AlertResolved{Reason: reason}}
}

// RuleChanges are what an operator sets of a rule. Nil leaves a value unchanged or, in a new
// rule, at the default of its kind.
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

// ChangeRule changes a rule, or adds one. have is the current rule with that ID; for a new
// rule, only its ID is set.
func ChangeRule(have Rule, c RuleChanges) ([]domain.Event, error) {
	if have.Kind == "" {
		base, known := DefaultOf(c.Kind)
		if !known {
			return nil, domain.Invalid("kind", "there is no kind %q", c.Kind)
		}
		base.ID = have.ID
		have = base
		have.Sender = ""
	} else if c.Kind != have.Kind {
		return nil, domain.Invalid("kind", "is %s and can't be changed; create another rule", have.Kind)
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
