package alerting

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
)

const (
	// Duty is the name of the lease under which one process evaluates.
	Duty = "alerts"
	// evaluateEvery is how often rules are held against the facts: alerts are due
	// within 5 s after their hold time.
	evaluateEvery = time.Second
	// dutyTTL is how long a process that died keeps the others waiting.
	dutyTTL = 4 * time.Second
	// evaluateTimeout bounds one evaluation.
	evaluateTimeout = 3 * time.Second
	// openAtMost bounds the open alerts: more senders than that are not told apart.
	openAtMost = 10_000
)

// Reader reads what rules go by.
type Reader interface {
	// AlertRules answers the rules as they count now.
	AlertRules(ctx context.Context) ([]alert.Rule, error)
	// Alerts answers a page of alerts.
	Alerts(ctx context.Context, f query.AlertFilter, p query.Page) (query.AlertPage, error)
	// AlertsPosition is up to where in the log Alerts and LatestAlert tell.
	AlertsPosition(ctx context.Context) (event.Position, error)
	// LatestAlert is the id of the last alert about a thing, and whether it is open;
	// uuid.Nil if there is none.
	LatestAlert(ctx context.Context, k alert.Key) (id uuid.UUID, open bool, err error)
	// Facts answers the installation as it is at now.
	Facts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error)
}

// Alerts raises and resolves.
type Alerts interface {
	// Raise raises an alert and answers it as it stands; false if one of that id stood
	// already.
	Raise(ctx context.Context, id uuid.UUID, e alert.AlertRaised) (query.Alert, bool, error)
	// Resolve ends an alert, and answers it; one that is over stays so.
	Resolve(ctx context.Context, id uuid.UUID, reason string) (query.Alert, error)
}

// Duties are leases under which one process does something.
type Duties interface {
	// TakeDuty takes or keeps a duty; false while another process has it.
	TakeDuty(ctx context.Context, duty string, process uuid.UUID, ttl time.Duration) (bool, error)
	// LeaveDuty lets another take it at once.
	LeaveDuty(ctx context.Context, duty string, process uuid.UUID) error
}

// Options are what an Evaluator works with; all are required.
type Options struct {
	Reader  Reader
	Alerts  Alerts
	Duties  Duties
	Process uuid.UUID
	Clock   command.Clock
	Logger  *slog.Logger
}

// Evaluator holds rules against the facts, once a second.
type Evaluator struct {
	Options

	watches map[string]*alert.Watch
	rules   []alert.Rule // as read last, for when Postgres is away
	open    map[alert.Key]uuid.UUID
	// recorded are the alerts that this process wrote and the read model may not have
	// yet.
	recorded map[alert.Key]query.Alert
	readAt   time.Time // when the facts were last read
	onDuty   bool
}

// New makes an Evaluator.
func New(o Options) *Evaluator {
	return &Evaluator{Options: o, watches: make(map[string]*alert.Watch), open: make(map[alert.Key]uuid.UUID), recorded: make(map[alert.Key]query.Alert)}
}

// Run evaluates until ctx ends.
func (e *Evaluator) Run(ctx context.Context) error {
	tick := time.NewTicker(evaluateEvery)
	defer tick.Stop()
	e.readAt = e.Clock()
	for {
		e.tick(ctx)
		select {
		case <-ctx.Done():
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), evaluateTimeout)
			defer cancel()
			if err := e.Duties.LeaveDuty(leaving, Duty, e.Process); err != nil {
				e.Logger.DebugContext(leaving, "the duty of alerts ends with its lease", "error", err)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tick evaluates once, if this process is the one to do so.
func (e *Evaluator) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evaluateTimeout)
	defer cancel()
	mine, err := e.Duties.TakeDuty(ctx, Duty, e.Process, dutyTTL)
	switch {
	case err != nil:
		// Postgres is away: who was on duty says so.
		mine = e.onDuty
	case mine && !e.onDuty:
		e.Logger.InfoContext(ctx, "this process evaluates the alert rules")
		clear(e.watches)
		e.readAt = e.Clock()
	}
	e.onDuty = mine
	if !mine {
		return
	}
	if err := e.evaluate(ctx); err != nil {
		e.Logger.WarnContext(ctx, "alert rules were not evaluated; trying again", "error", err)
	}
}

// evaluate holds every rule against the facts.
func (e *Evaluator) evaluate(ctx context.Context) error {
	now := e.Clock()
	facts, err := e.read(ctx, now)
	if err != nil {
		// What can't be read is stale, and nothing else is known.
		facts = alert.Facts{Unread: true, Behind: now.Sub(e.readAt)}
		e.Logger.DebugContext(ctx, "the facts for alerts cannot be read", "error", err)
	}
	own := make(map[alert.Kind]map[string]bool)
	for _, r := range e.rules {
		if r.Sender != "" {
			if own[r.Kind] == nil {
				own[r.Kind] = make(map[string]bool)
			}
			own[r.Kind][r.Sender] = true
		}
	}
	open := e.openByRule()
	for _, r := range e.rules {
		if !r.Enabled {
			e.resolveAll(ctx, open[r.ID], "the rule was switched off")
			delete(e.watches, r.ID)
			continue
		}
		findings, known := alert.Assess(r, facts, own[r.Kind])
		if !known {
			continue
		}
		w := e.watches[r.ID]
		if w == nil {
			w = alert.NewWatch()
			e.watches[r.ID] = w
		}
		raise, resolve := w.Step(r, findings, open[r.ID], now)
		for _, f := range raise {
			if err := e.raise(ctx, r, f); err != nil {
				return err
			}
		}
		e.resolveAll(ctx, resolve, "it is over")
	}
	return nil
}

// read reads rules, open alerts and facts.
func (e *Evaluator) read(ctx context.Context, now time.Time) (alert.Facts, error) {
	rules, err := e.Reader.AlertRules(ctx)
	if err != nil {
		return alert.Facts{}, err
	}
	e.rules = rules
	position, err := e.Reader.AlertsPosition(ctx) // before the alerts, which may then tell of more
	if err != nil {
		return alert.Facts{}, err
	}
	page, err := e.Reader.Alerts(ctx, query.AlertFilter{State: []alert.State{alert.Raised, alert.Acknowledged}}, query.Page{First: openAtMost})
	if err != nil {
		return alert.Facts{}, err
	}
	e.open = make(map[alert.Key]uuid.UUID, len(page.Alerts))
	for _, a := range page.Alerts {
		e.open[a.Key()] = a.ID
	}
	for k, a := range e.recorded {
		switch {
		case position >= a.Position:
			delete(e.recorded, k)
		case a.Open():
			e.open[k] = a.ID
		default:
			delete(e.open, k)
		}
	}
	facts, err := e.Reader.Facts(ctx, alert.NeedsOf(rules), now)
	if err != nil {
		return alert.Facts{}, err
	}
	e.readAt = now
	return facts, nil
}

func (e *Evaluator) openByRule() map[string][]alert.Key {
	byRule := make(map[string][]alert.Key)
	for k := range e.open {
		byRule[k.Rule] = append(byRule[k.Rule], k)
	}
	return byRule
}

func (e *Evaluator) raise(ctx context.Context, r alert.Rule, f alert.Finding) error {
	key := alert.Key{Rule: r.ID, Sender: f.Sender, Severity: f.Severity}
	previous, open, err := e.previous(ctx, key)
	switch {
	case err != nil:
		// Postgres is away: one alert for each time that it is.
		previous = "unread since " + e.readAt.Format(time.RFC3339Nano)
	case open: // since open alerts were read: another process raised it
		return nil
	}
	a, raised, err := e.Alerts.Raise(ctx, alert.ID(key, previous), alert.AlertRaised{
		Rule: r.ID, Kind: r.Kind, Severity: f.Severity, Sender: f.Sender, Summary: f.Summary, Value: f.Value,
		Threshold: r.Threshold, Explanation: f.Explanation,
	})
	if err != nil {
		return fmt.Errorf("rule %s: %w", r.ID, err)
	}
	e.recorded[key] = a
	if a.Open() {
		e.open[key] = a.ID
	}
	if raised {
		e.Logger.WarnContext(ctx, "alert raised", "alert", a.ID, "rule", r.ID, "kind", string(r.Kind), "severity", string(f.Severity), "sender", f.Sender)
	}
	return nil
}

// previous is the id of the alert before about the same thing, empty if there is none,
// and whether it is open.
func (e *Evaluator) previous(ctx context.Context, k alert.Key) (id string, open bool, err error) {
	if a, ok := e.recorded[k]; ok {
		return a.ID.String(), a.Open(), nil
	}
	latest, open, err := e.Reader.LatestAlert(ctx, k)
	if latest == uuid.Nil {
		return "", false, err
	}
	return latest.String(), open, err
}

func (e *Evaluator) resolveAll(ctx context.Context, keys []alert.Key, reason string) {
	for _, k := range keys {
		id, open := e.open[k]
		if !open {
			continue
		}
		a, err := e.Alerts.Resolve(ctx, id, reason)
		if err != nil {
			e.Logger.WarnContext(ctx, "an alert was not resolved; trying again", "alert", id, "error", err)
			continue
		}
		e.recorded[k] = a
		delete(e.open, k)
		e.Logger.InfoContext(ctx, "alert resolved", "alert", id, "rule", k.Rule, "sender", k.Sender)
	}
}
