// Package alerts raises, acknowledges and resolves alerts and changes their rules: each
// a decision of the domain and an append, made again when someone else came first.
package alerts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

const (
	// AlertStreams is the prefix of the streams of alerts.
	AlertStreams = "alert-"
	// RuleStreams is the prefix of the streams of rules.
	RuleStreams = "rule-"

	maxConflicts = 10
	// maxHistory is how many events of one alert or rule are read: an alert has three
	// or some more notes, a rule as many as changes that people made.
	maxHistory = 1000
)

// Stream is the stream of an alert.
func Stream(id uuid.UUID) string { return AlertStreams + id.String() }

// RuleStream is the stream of a rule.
func RuleStream(id string) string { return RuleStreams + id }

// Of is the alert a stream belongs to; false if it is no alert's.
func Of(stream string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(stream, AlertStreams)
	if !ok {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(rest)
	return id, err == nil
}

// Types are the events of alerts, without those of rules.
func Types() []string {
	return []string{alert.AlertRaised{}.EventType(), alert.AlertAcknowledged{}.EventType(), alert.AlertResolved{}.EventType()}
}

// Alerts are the use cases.
type Alerts struct {
	log   event.Log
	clock command.Clock
	ids   command.IDs
}

// New makes the use cases.
func New(log event.Log, clock command.Clock, ids command.IDs) *Alerts {
	return &Alerts{log: log, clock: clock, ids: ids}
}

// Load folds an alert from its stream; domain.NotFound if there is none.
func (a *Alerts) Load(ctx context.Context, id uuid.UUID) (query.Alert, error) {
	return a.LoadAt(ctx, id, 0)
}

// LoadAt folds an alert up to a position of the log; 0 means all of it.
func (a *Alerts) LoadAt(ctx context.Context, id uuid.UUID, until event.Position) (query.Alert, error) {
	events, err := a.log.Read(ctx, Stream(id), 0, maxHistory)
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

// Apply is the alert after one more event of its stream.
func Apply(a query.Alert, e event.Recorded) query.Alert {
	by := e.Meta.By
	by.OnBehalfOf = e.Meta.OnBehalfOf
	a.Alert = a.Apply(alert.Record{Event: e.Event, At: e.Meta.RecordedAt, By: by})
	a.Revision, a.Position, a.At = e.Revision, e.Position, e.Meta.RecordedAt
	return a
}

// Raise raises an alert and answers it as it stands. One of that id may stand already,
// since another process was first: then false is answered.
func (a *Alerts) Raise(ctx context.Context, id uuid.UUID, e alert.AlertRaised) (query.Alert, bool, error) {
	cause := command.Cause{By: domain.Platform("alerts")}
	_, err := a.log.Append(ctx, Stream(id), event.NoStream(), a.event(e, e.Sender, cause))
	var wrong *event.WrongRevisionError
	taken := errors.As(err, &wrong)
	if err != nil && !taken {
		return query.Alert{}, false, fmt.Errorf("raise an alert: %w", err)
	}
	raised, err := a.Load(ctx, id)
	return raised, !taken, err
}

// Resolve ends an alert, and answers it; one that is over stays so.
func (a *Alerts) Resolve(ctx context.Context, id uuid.UUID, reason string) (query.Alert, error) {
	return a.change(ctx, id, command.Cause{By: domain.Platform("alerts")}, func(have alert.Alert) ([]domain.Event, error) {
		return alert.Resolve(have, reason), nil
	})
}

// Acknowledge records that a person has taken note. may says whether that person sees
// the alert at all; it answers as if there were none otherwise.
func (a *Alerts) Acknowledge(
	ctx context.Context, id uuid.UUID, note string, cause command.Cause, may func(alert.Alert) bool,
) (query.Alert, error) {
	return a.change(ctx, id, cause, func(have alert.Alert) ([]domain.Event, error) {
		if !may(have) {
			return nil, domain.NotFound("no alert %s", id)
		}
		return alert.Acknowledge(have, note)
	})
}

func (a *Alerts) change(
	ctx context.Context, id uuid.UUID, cause command.Cause, decide func(alert.Alert) ([]domain.Event, error),
) (query.Alert, error) {
	for range maxConflicts {
		have, err := a.Load(ctx, id)
		if err != nil {
			return have, err
		}
		events, err := decide(have.Alert)
		if err != nil || len(events) == 0 {
			return have, err
		}
		done, err := a.log.Append(ctx, Stream(id), event.At(have.Revision), a.event(events[0], have.Sender, cause))
		var wrong *event.WrongRevisionError
		switch {
		case err == nil:
			return a.LoadAt(ctx, id, done.Position)
		case !errors.As(err, &wrong):
			return have, fmt.Errorf("append to alert %s: %w", id, err)
		}
	}
	return query.Alert{}, domain.Unavailable("alert %s is being changed by too many at once; try again", id)
}

// SetRule changes a rule, or adds one if id is empty.
func (a *Alerts) SetRule(ctx context.Context, id string, c alert.RuleChanges, cause command.Cause) (alert.Rule, error) {
	fresh := id == ""
	if fresh {
		id = a.ids().String()
	}
	for range maxConflicts {
		have, expected, err := a.rule(ctx, id)
		if err != nil {
			return have, err
		}
		if have.Kind == "" && !fresh {
			return have, domain.NotFound("no rule %q", id)
		}
		events, err := alert.Change(have, c)
		if err != nil {
			return have, err
		}
		changed := events[0].(alert.RuleChanged).ToRule() //nolint:forcetypeassert // Change answers nothing else
		if changed == have {
			return have, nil
		}
		_, err = a.log.Append(ctx, RuleStream(id), expected, a.event(events[0], changed.Sender, cause))
		var wrong *event.WrongRevisionError
		switch {
		case err == nil:
			return changed, nil
		case !errors.As(err, &wrong):
			return have, fmt.Errorf("append to rule %s: %w", id, err)
		}
	}
	return alert.Rule{}, domain.Unavailable("rule %s is being changed by too many at once; try again", id)
}

// rule is a rule as it stands, by the log; with its id alone if there is none.
func (a *Alerts) rule(ctx context.Context, id string) (alert.Rule, event.Expected, error) {
	events, err := a.log.ReadBackwards(ctx, RuleStream(id), 1)
	if err != nil {
		return alert.Rule{}, event.Any(), fmt.Errorf("load rule %s: %w", id, err)
	}
	if len(events) == 1 {
		if e, ok := events[0].Event.(alert.RuleChanged); ok {
			return e.ToRule(), event.At(events[0].Revision), nil
		}
	}
	for _, r := range alert.Rules(nil) {
		if r.ID == id {
			return r, event.NoStream(), nil
		}
	}
	return alert.Rule{ID: id}, event.NoStream(), nil
}

func (a *Alerts) event(e domain.Event, sender string, cause command.Cause) event.New {
	return event.New{ID: a.ids(), Event: e, Meta: event.Meta{
		RecordedAt: a.clock(), Sender: sender, CausationID: cause.CausationID, By: cause.By,
		OnBehalfOf: cause.By.OnBehalfOf, Traceparent: cause.Traceparent,
	}}
}
