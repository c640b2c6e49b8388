// Package alerts raises, acknowledges, silences, and resolves alerts and changes their rules. Each
// change is a decision of the domain and an append.
package alerts

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

// maxHistory is the maximum number of events to read of one alert or rule. An alert has
// three and some notes. A rule has one for each change by an operator.
const maxHistory = 1000

// Types returns the event types of alerts, without those of rules and silences.
func Types() []string {
	return []string{
		alert.AlertRaised{}.EventType(), alert.AlertAcknowledged{}.EventType(), alert.AlertResolved{}.EventType(),
		alert.AlertSilenced{}.EventType(), alert.AlertUnsilenced{}.EventType(),
	}
}

// Alerts are the commands and queries on alerts.
type Alerts struct {
	log   event.Log
	clock event.Clock
	ids   event.IDs
}

// New returns the commands and queries.
func New(log event.Log, clock event.Clock, ids event.IDs) *Alerts {
	return &Alerts{log: log, clock: clock, ids: ids}
}

// Load folds an alert from its stream. It returns domain.NotFound if there is no such
// alert.
func (a *Alerts) Load(ctx context.Context, id uuid.UUID) (query.Alert, error) {
	return a.LoadAt(ctx, id, 0)
}

// LoadAt folds an alert up to a log position. 0 means all of its events.
func (a *Alerts) LoadAt(ctx context.Context, id uuid.UUID, until event.Position) (query.Alert, error) {
	events, err := a.log.Read(ctx, event.AlertStream(id), 0, maxHistory)
	if err != nil {
		return query.Alert{}, fmt.Errorf("load alert %s: %w", id, err)
	}
	found := query.Alert{ID: id}
	for _, e := range events {
		if until > 0 && e.Position > until {
			break
		}
		found = Apply(found, e)
	}
	if found.State == "" {
		return query.Alert{}, domain.NotFound("no alert %s", id)
	}
	return found, nil
}

// Apply returns the alert after one more event of its stream.
func Apply(a query.Alert, e event.Recorded) query.Alert {
	a.Alert = a.Apply(recordOf(e))
	a.Revision, a.Position, a.At = e.Revision, e.Position, e.Meta.RecordedAt
	return a
}

func recordOf(e event.Recorded) alert.Record {
	return alert.Record{Event: e.Event, At: e.Meta.RecordedAt, By: e.Meta.Actor()}
}

// Raise raises an alert and returns it. raised is false if an alert with that ID already
// exists because another process was first.
func (a *Alerts) Raise(ctx context.Context, id uuid.UUID, e alert.AlertRaised) (have query.Alert, raised bool, err error) {
	_, err = a.append(ctx, event.AlertStream(id), event.NoStream(), e, e.Sender, platform())
	exists := repository.IsConflict(err)
	if err != nil && !exists {
		return query.Alert{}, false, fmt.Errorf("raise an alert: %w", err)
	}
	have, err = a.Load(ctx, id)
	return have, !exists, err
}

// Resolve resolves an alert and returns it. A resolved alert is returned unchanged.
func (a *Alerts) Resolve(ctx context.Context, id uuid.UUID, reason string) (query.Alert, error) {
	return a.change(ctx, id, platform(), func(have query.Alert) ([]domain.Event, error) {
		return alert.Resolve(have.Alert, reason), nil
	})
}

// Acknowledge records that an operator has acknowledged the alert. sees reports whether
// the operator can see the alert at all; if not, Acknowledge returns domain.NotFound.
func (a *Alerts) Acknowledge(
	ctx context.Context, id uuid.UUID, note string, cause event.Cause, sees func(alert.Alert) bool,
) (query.Alert, error) {
	return a.change(ctx, id, cause, func(have query.Alert) ([]domain.Event, error) {
		if !sees(have.Alert) {
			return nil, domain.NotFound("no alert %s", id)
		}
		return alert.Acknowledge(have.Alert, note)
	})
}

func (a *Alerts) change(
	ctx context.Context, id uuid.UUID, cause event.Cause, decide func(query.Alert) ([]domain.Event, error),
) (query.Alert, error) {
	return repository.Execute(ctx, repository.Stream[query.Alert, domain.Event]{
		Name: "alert " + id.String(),
		Load: func(ctx context.Context) (query.Alert, error) { return a.Load(ctx, id) },
		Append: func(ctx context.Context, have *query.Alert, events []domain.Event) error {
			done, err := a.append(ctx, event.AlertStream(id), event.ExactRevision(have.Revision), events[0], have.Sender, cause)
			if err != nil {
				return fmt.Errorf("append to alert %s: %w", id, err)
			}
			*have, err = a.LoadAt(ctx, id, done.Position)
			return err
		},
	}, decide)
}

// storedRule is a rule as its stream has it. If it has no stream, the rule is a default
// one, or has only an ID.
type storedRule struct {
	alert.Rule

	expected event.Expected
}

// SetRule changes a rule, or adds one if id is empty.
func (a *Alerts) SetRule(ctx context.Context, id string, c alert.RuleChanges, cause event.Cause) (alert.Rule, error) {
	fresh := id == ""
	if fresh {
		id = a.ids().String()
	}
	changed, err := repository.Execute(ctx, repository.Stream[storedRule, alert.RuleChanged]{
		Name: "rule " + id,
		Load: func(ctx context.Context) (storedRule, error) { return a.loadRule(ctx, id) },
		Append: func(ctx context.Context, r *storedRule, events []alert.RuleChanged) error {
			if _, err := a.append(ctx, event.RuleStream(id), r.expected, events[0], events[0].Sender, cause); err != nil {
				return fmt.Errorf("append to rule %s: %w", id, err)
			}
			r.Rule = events[0].ToRule()
			return nil
		},
	}, func(have storedRule) ([]alert.RuleChanged, error) {
		if have.Kind == "" && !fresh {
			return nil, domain.NotFound("no rule %q", id)
		}
		events, err := alert.ChangeRule(have.Rule, c)
		if err != nil {
			return nil, err
		}
		changed := events[0].(alert.RuleChanged) //nolint:forcetypeassert // Change returns exactly one event, of this type
		if changed.ToRule() == have.Rule {
			return nil, nil
		}
		return []alert.RuleChanged{changed}, nil
	})
	return changed.Rule, err
}

func (a *Alerts) loadRule(ctx context.Context, id string) (storedRule, error) {
	events, err := a.log.ReadBackwards(ctx, event.RuleStream(id), 1)
	if err != nil {
		return storedRule{}, fmt.Errorf("load rule %s: %w", id, err)
	}
	if len(events) == 1 {
		if e, ok := events[0].Event.(alert.RuleChanged); ok {
			return storedRule{e.ToRule(), event.ExactRevision(events[0].Revision)}, nil
		}
	}
	for _, r := range alert.Rules(nil) {
		if r.ID == id {
			return storedRule{r, event.NoStream()}, nil
		}
	}
	return storedRule{alert.Rule{ID: id}, event.NoStream()}, nil
}

func (a *Alerts) append(
	ctx context.Context, stream string, expected event.Expected, e domain.Event, sender string, cause event.Cause,
) (event.Appended, error) {
	meta := cause.Meta(a.clock())
	meta.Sender = sender
	return a.log.Append(ctx, stream, expected, event.Propose(a.ids, meta, e)...)
}

// platform returns the cause of what Waypost does on its own.
func platform() event.Cause { return event.Cause{By: domain.Platform("alerts")} }
