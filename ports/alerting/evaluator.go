package alerting

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
)

const (
	// Duty is the name of the lease under which one process evaluates.
	Duty = "alerts"
	// evaluateEvery is the interval between evaluations. Alerts must be raised within 5 s
	// after their hold time: the condition is noticed after at most one interval, and the
	// end of the hold time after another one. An evaluation takes about twenty statements
	// in six round trips, also while nothing is sent.
	evaluateEvery = 2 * time.Second
	// dutyTTL is the time until another process can take over from one that died.
	dutyTTL = 6 * time.Second
	// evaluateTimeout is the time limit for one evaluation.
	evaluateTimeout = 3 * time.Second
	// openAtMost is the maximum number of open alerts that are read. Alerts for more
	// senders than that are not distinguished.
	openAtMost = 10_000
)

// Reader reads the rules and everything that their evaluation depends on.
type Reader interface {
	// AlertState returns the current rules, the silences that have not ended at now, and
	// at most open of the open alerts.
	AlertState(ctx context.Context, now time.Time, open int) (query.AlertState, error)
	// LatestAlert returns the ID of the alert raised last about a subject, and whether it
	// is open. The ID is uuid.Nil if there is none.
	LatestAlert(ctx context.Context, k alert.Key) (id uuid.UUID, open bool, err error)
	// Facts returns the facts of the installation at now.
	Facts(ctx context.Context, needs alert.Needs, now time.Time) (alert.Facts, error)
}

// Alerts raises and resolves alerts.
type Alerts interface {
	// Raise raises an alert and returns its current state. It returns false if an alert
	// with that ID already existed.
	Raise(ctx context.Context, id uuid.UUID, e alert.AlertRaised) (query.Alert, bool, error)
	// Resolve resolves an alert and returns it. If the alert is already resolved, it is
	// returned unchanged.
	Resolve(ctx context.Context, id uuid.UUID, reason string) (query.Alert, error)
	// SetSilence puts an alert under a silence, or under none if by is nil, and returns it.
	SetSilence(ctx context.Context, id uuid.UUID, by *alert.Silence) (query.Alert, error)
}

// LeaderLeases stores the leases for duties that one process at a time performs.
type LeaderLeases interface {
	// AcquireLeaderLease acquires or renews the lease on a duty. It returns false while
	// another process has the lease.
	AcquireLeaderLease(ctx context.Context, duty string, process uuid.UUID, ttl time.Duration) (bool, error)
	// ReleaseLeaderLease releases the lease, so that another process can acquire it
	// immediately.
	ReleaseLeaderLease(ctx context.Context, duty string, process uuid.UUID) error
}

// Options are the dependencies of an Evaluator. All are required.
type Options struct {
	Reader       Reader
	Alerts       Alerts
	LeaderLeases LeaderLeases
	Process      uuid.UUID
	Clock        event.Clock
	Logger       *slog.Logger
	// Readings receives the measurements of each evaluation.
	Readings *alerts.Readings
}

// Evaluator evaluates the rules every two seconds.
type Evaluator struct {
	Options

	watches map[string]*alert.Watch
	// As of the last successful read, for use while Postgres is unavailable.
	rules    []alert.Rule
	silences []alert.Silence
	open     map[alert.Key]query.Alert
	// recorded are the alerts that this process has recorded and that the read model may
	// not contain yet.
	recorded map[alert.Key]query.Alert
	readAt   time.Time // when the facts were last read
	onDuty   bool
}

// New returns an Evaluator.
func New(o Options) *Evaluator {
	return &Evaluator{Options: o, watches: make(map[string]*alert.Watch), open: make(map[alert.Key]query.Alert), recorded: make(map[alert.Key]query.Alert)}
}

// Run evaluates the rules until ctx ends and returns ctx's error.
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
			if err := e.LeaderLeases.ReleaseLeaderLease(leaving, Duty, e.Process); err != nil {
				e.Logger.DebugContext(leaving, "failed to release the lease for alert rules; it will expire", "error", err)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tick evaluates the rules once if this process has the lease.
func (e *Evaluator) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evaluateTimeout)
	defer cancel()
	mine, err := e.LeaderLeases.AcquireLeaderLease(ctx, Duty, e.Process, dutyTTL)
	switch {
	case err != nil:
		// Postgres is unavailable. The process that had the lease raises an alert about that.
		mine = e.onDuty
	case mine && !e.onDuty:
		e.Logger.InfoContext(ctx, "this process evaluates the alert rules")
		clear(e.watches)
		e.readAt = e.Clock()
	}
	e.onDuty = mine
	if !mine {
		e.Readings.Replace(time.Time{}, nil)
		return
	}
	if err := e.evaluate(ctx); err != nil {
		e.Logger.WarnContext(ctx, "failed to evaluate alert rules, retrying", "error", err)
	}
}

// evaluate evaluates every rule on the current facts, and raises and resolves alerts.
func (e *Evaluator) evaluate(ctx context.Context) error {
	now := e.Clock()
	facts, err := e.read(ctx, now)
	if err != nil {
		// If the facts cannot be read, the only known fact is how stale the last ones are.
		facts = alert.Facts{Unread: true, Behind: now.Sub(e.readAt)}
		e.Logger.DebugContext(ctx, "failed to read the facts for alert rules", "error", err)
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
	readings := make(map[alerts.Subject]alerts.Reading)
	defer func() { e.Readings.Replace(now, readings) }()
	for _, r := range e.rules {
		if !r.Enabled {
			e.resolveAll(ctx, open[r.ID], "the rule was disabled")
			delete(e.watches, r.ID)
			continue
		}
		findings, known := alert.Assess(r, facts, own[r.Kind])
		if !known {
			continue
		}
		for _, f := range findings {
			readings[alerts.Subject{Rule: r.ID, Sender: f.Sender}] = alerts.Reading{Value: f.Value, Summary: f.Summary}
		}
		w := e.watches[r.ID]
		if w == nil {
			w = alert.NewWatch()
			e.watches[r.ID] = w
		}
		raise, resolve := w.Step(r, findings, open[r.ID], now)
		for _, f := range raise {
			if err := e.raise(ctx, r, f, now); err != nil {
				return err
			}
		}
		e.resolveAll(ctx, resolve, "the condition no longer applies")
	}
	e.silence(ctx, now)
	return nil
}

// silence records which silence covers each open alert at now.
func (e *Evaluator) silence(ctx context.Context, now time.Time) {
	for k, a := range e.open {
		by := alert.Covering(e.silences, a.Kind, a.Sender, now)
		if len(alert.SetSilence(a.Alert, by)) == 0 {
			continue
		}
		changed, err := e.Alerts.SetSilence(ctx, a.ID, by)
		if err != nil {
			e.Logger.WarnContext(ctx, "failed to record the silence of an alert, retrying", "alert", a.ID, "error", err)
			continue
		}
		e.open[k], e.recorded[k] = changed, changed
		e.Logger.InfoContext(ctx, "silence of an alert changed", "alert", a.ID, "silenced", by != nil)
	}
}

// read reads the rules, the open alerts, and the facts.
func (e *Evaluator) read(ctx context.Context, now time.Time) (alert.Facts, error) {
	state, err := e.Reader.AlertState(ctx, now, openAtMost)
	if err != nil {
		return alert.Facts{}, err
	}
	e.rules, e.silences = state.Rules, state.Silences
	e.open = make(map[alert.Key]query.Alert, len(state.Open))
	for _, a := range state.Open {
		e.open[a.Key()] = a
	}
	for k, a := range e.recorded {
		switch {
		case state.Position >= a.Position:
			delete(e.recorded, k)
		case a.Open():
			e.open[k] = a
		default:
			delete(e.open, k)
		}
	}
	facts, err := e.Reader.Facts(ctx, alert.NeedsOf(state.Rules), now)
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

func (e *Evaluator) raise(ctx context.Context, r alert.Rule, f alert.Finding, now time.Time) error {
	key := alert.Key{Rule: r.ID, Sender: f.Sender, Severity: f.Severity}
	previous, open, err := e.previous(ctx, key)
	switch {
	case err != nil:
		// Postgres is unavailable. An ID derived from the last successful read gives each
		// outage one alert.
		previous = "unread since " + e.readAt.Format(time.RFC3339Nano)
	case open: // another process raised it after the open alerts were read
		return nil
	}
	a, raised, err := e.Alerts.Raise(ctx, alert.ID(key, previous), alert.AlertRaised{
		Rule: r.ID, Kind: r.Kind, Severity: f.Severity, Sender: f.Sender, Summary: f.Summary, Value: f.Value,
		Threshold: r.Threshold, Explanation: f.Explanation, Silence: alert.Covering(e.silences, r.Kind, f.Sender, now),
	})
	if err != nil {
		return fmt.Errorf("rule %s: %w", r.ID, err)
	}
	e.recorded[key] = a
	if a.Open() {
		e.open[key] = a
	}
	if raised {
		e.Logger.WarnContext(ctx, "alert raised", "alert", a.ID, "rule", r.ID, "kind", string(r.Kind), "severity", string(f.Severity), "sender", f.Sender)
	}
	return nil
}

// previous returns the ID of the alert raised last about the same subject, and whether it
// is open. The ID is empty if there is none.
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
		have, open := e.open[k]
		if !open {
			continue
		}
		a, err := e.Alerts.Resolve(ctx, have.ID, reason)
		if err != nil {
			e.Logger.WarnContext(ctx, "failed to resolve alert, retrying", "alert", have.ID, "error", err)
			continue
		}
		e.recorded[k] = a
		delete(e.open, k)
		e.Logger.InfoContext(ctx, "alert resolved", "alert", a.ID, "rule", k.Rule, "sender", k.Sender)
	}
}
