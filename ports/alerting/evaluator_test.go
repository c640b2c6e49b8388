package alerting_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/ports/alerting"
)

// installation contains the facts, the alerts, and the leader lease of one installation
// in virtual time. The processes that evaluate the rules share it. Recorded alerts appear
// in its read model after lag.
type installation struct {
	mu          sync.Mutex
	facts       alert.Facts
	unavailable bool // whether Postgres is unavailable
	rules       map[string]alert.Rule
	silences    []alert.Silence
	lag         time.Duration
	// catchUp ends the lag when the facts are read next, which is after the alerts are read.
	catchUp bool

	position event.Position
	log      []query.Alert // every transition, with its position and time
	readings alerts.Readings
	owner    uuid.UUID
	until    time.Time
}

var errUnavailable = errors.New("postgres is unavailable")

func (i *installation) set(change func(*installation)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *installation) AlertState(context.Context, time.Time, int) (query.AlertState, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unavailable {
		return query.AlertState{}, errUnavailable
	}
	all, at := i.visible()
	s := query.AlertState{Rules: alert.Rules(i.rules), Silences: slices.Clone(i.silences), Position: at}
	for _, a := range all {
		if a.Open() {
			s.Open = append(s.Open, a)
		}
	}
	return s, nil
}

func (i *installation) SetSilence(_ context.Context, id uuid.UUID, by *alert.Silence) (query.Alert, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	have, _ := i.find(id)
	for _, e := range alert.SetSilence(have.Alert, by) {
		have.Alert = have.Apply(alert.Record{Event: e, At: time.Now()})
		have = i.record(have)
	}
	return have, nil
}

func (i *installation) Facts(_ context.Context, _ alert.Needs, _ time.Time) (alert.Facts, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unavailable {
		return alert.Facts{}, errUnavailable
	}
	if i.catchUp {
		i.lag = 0
	}
	return i.facts, nil
}

// visible returns the alerts in the read model, and its position.
func (i *installation) visible() (map[uuid.UUID]query.Alert, event.Position) {
	all := make(map[uuid.UUID]query.Alert)
	var at event.Position
	for _, a := range i.log {
		if time.Since(a.At) >= i.lag {
			all[a.ID], at = a, a.Position
		}
	}
	return all, at
}

func (i *installation) LatestAlert(_ context.Context, k alert.Key) (uuid.UUID, bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unavailable {
		return uuid.Nil, false, errUnavailable
	}
	latest := query.Alert{}
	all, _ := i.visible()
	for _, a := range all {
		if a.Key() == k && a.Position > latest.Position {
			latest = a
		}
	}
	return latest.ID, latest.ID != uuid.Nil && latest.Open(), nil
}

func (i *installation) find(id uuid.UUID) (query.Alert, bool) {
	for _, a := range slices.Backward(i.log) {
		if a.ID == id {
			return a, true
		}
	}
	return query.Alert{}, false
}

func (i *installation) record(a query.Alert) query.Alert {
	i.position++
	a.Position, a.At = i.position, time.Now()
	i.log = append(i.log, a)
	return a
}

func (i *installation) Raise(_ context.Context, id uuid.UUID, e alert.AlertRaised) (query.Alert, bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if have, ok := i.find(id); ok {
		return have, false, nil
	}
	return i.record(query.Alert{ID: id, Alert: alert.Alert{}.Apply(alert.Record{Event: e, At: time.Now()})}), true, nil
}

func (i *installation) Resolve(_ context.Context, id uuid.UUID, reason string) (query.Alert, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	have, _ := i.find(id)
	if !have.Open() {
		return have, nil
	}
	have.Alert = have.Apply(alert.Record{Event: alert.AlertResolved{Reason: reason}, At: time.Now()})
	return i.record(have), nil
}

func (i *installation) AcquireLeaderLease(_ context.Context, _ string, process uuid.UUID, ttl time.Duration) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unavailable {
		return false, errUnavailable
	}
	if i.owner != process && time.Now().Before(i.until) {
		return false, nil
	}
	i.owner, i.until = process, time.Now().Add(ttl)
	return true, nil
}

func (i *installation) onDuty() uuid.UUID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.owner
}

func (i *installation) ReleaseLeaderLease(context.Context, string, uuid.UUID) error { return nil }

// run evaluates the rules until the test ends or the returned function is called.
func (i *installation) run(t *testing.T) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := alerting.New(alerting.Options{
		Reader: i, Alerts: i, LeaderLeases: i, Process: uuid.New(), Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
		Readings: &i.readings,
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Run(ctx)
	}()
	kill = func() { cancel(); <-ended }
	t.Cleanup(kill)
	return kill
}

// transitions returns the recorded transitions of a kind's alerts, in order.
func (i *installation) transitions(k alert.Kind) (list []query.Alert) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range i.log {
		if a.Kind == k {
			list = append(list, a)
		}
	}
	return list
}

func (i *installation) want(t *testing.T, k alert.Kind, states ...alert.State) []query.Alert {
	t.Helper()
	list := i.transitions(k)
	var got []alert.State
	for _, a := range list {
		got = append(got, a.State)
	}
	if len(got) != len(states) {
		t.Fatalf("%s: got %v, want %v", k, got, states)
	}
	for n := range states {
		if got[n] != states[n] {
			t.Fatalf("%s: got %v, want %v", k, got, states)
		}
	}
	return list
}

func errors100(sent, faults int64) alert.Facts {
	s := alert.SenderFacts{Windows: map[time.Duration]alert.Figures{5 * time.Minute: {Sent: sent, Faults: faults}}}
	return alert.Facts{Senders: map[string]alert.SenderFacts{"acme": s}, All: s}
}

// tolerance is the maximum delay of an alert.
const tolerance = 5 * time.Second

func TestErrorRateIsRaisedOnceAndResolvedAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{facts: errors100(100, 0)}
		i.run(t)
		time.Sleep(time.Minute)
		i.want(t, alert.ErrorRate)
		begin := time.Now()
		i.set(func(i *installation) { i.facts = errors100(90, 10) })
		time.Sleep(time.Minute - time.Second)
		i.want(t, alert.ErrorRate)
		time.Sleep(10 * time.Minute) // the alert stays open, also in the dead band
		i.set(func(i *installation) { i.facts = errors100(982, 18) })
		time.Sleep(10 * time.Minute)
		raised := i.want(t, alert.ErrorRate, alert.Raised)[0]
		if late := raised.At.Sub(begin.Add(time.Minute)); late < 0 || late > tolerance || raised.Sender != "acme" {
			t.Errorf("%+v was raised %s after its hold time", raised, late)
		}
		i.set(func(i *installation) { i.facts = errors100(100, 0) })
		time.Sleep(time.Minute + tolerance)
		i.want(t, alert.ErrorRate, alert.Raised, alert.Resolved)
		i.set(func(i *installation) { i.facts = errors100(0, 100) })
		time.Sleep(time.Minute + tolerance)
		if list := i.want(t, alert.ErrorRate, alert.Raised, alert.Resolved, alert.Raised); list[2].ID == raised.ID {
			t.Error("the next alert has the ID of the previous one")
		}
	})
}

func TestDipsDoNotRaise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{}
		i.run(t)
		for range 20 {
			i.set(func(i *installation) { i.facts = errors100(90, 10) })
			time.Sleep(50 * time.Second)
			i.set(func(i *installation) { i.facts = errors100(100, 0) })
			time.Sleep(5 * time.Second)
		}
		i.want(t, alert.ErrorRate)
	})
}

// An alert is raised once even if the read model of alerts lags behind and two processes
// believe that they have the lease. It is also not raised again if an alert of another
// process is projected after the open alerts are read and before the facts are.
func TestLagAndTakeOverRaiseNothingTwice(t *testing.T) {
	t.Parallel()
	for name, catchUp := range map[string]bool{"lagging": false, "projected between the reads": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := &installation{lag: 20 * time.Second}
				kill := i.run(t)
				i.set(func(i *installation) {
					i.facts = alert.Facts{Senders: map[string]alert.SenderFacts{"acme": {Held: "token expired"}}}
				})
				time.Sleep(10 * time.Second)
				i.want(t, alert.SenderHeld, alert.Raised)
				kill()
				i.set(func(i *installation) { i.catchUp = catchUp })
				i.run(t) // it does not know what the other process recorded
				time.Sleep(time.Minute)
				i.want(t, alert.SenderHeld, alert.Raised)
				i.set(func(i *installation) { i.facts = alert.Facts{} })
				time.Sleep(2 * tolerance)
				i.want(t, alert.SenderHeld, alert.Raised, alert.Resolved)
			})
		})
	}
}

func TestAnotherProcessTakesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{}
		first := i.run(t)
		time.Sleep(time.Second)
		i.run(t)
		time.Sleep(time.Minute)
		owner := i.onDuty()
		first()
		i.set(func(i *installation) {
			i.facts = alert.Facts{Senders: map[string]alert.SenderFacts{"acme": {Held: "token expired"}}}
		})
		time.Sleep(2 * tolerance)
		i.want(t, alert.SenderHeld, alert.Raised)
		if i.onDuty() == owner {
			t.Error("the same process still has the lease")
		}
	})
}

func TestPostgresAwayIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{lag: 3 * time.Second, facts: facts(func(f *alert.Facts, _ *alert.SenderFacts) { f.DiskUsed = 0.95 })}
		i.run(t)
		time.Sleep(time.Minute)
		i.want(t, alert.DiskSpace, alert.Raised)
		i.set(func(i *installation) { i.unavailable = true })
		time.Sleep(30*time.Second + tolerance)
		i.want(t, alert.ReadModelStale, alert.Raised)
		time.Sleep(time.Hour)
		i.want(t, alert.ReadModelStale, alert.Raised)
		i.want(t, alert.DiskSpace, alert.Raised) // an alert is not resolved because its facts cannot be read
		i.set(func(i *installation) { i.unavailable = false })
		time.Sleep(3 * tolerance)
		i.want(t, alert.ReadModelStale, alert.Raised, alert.Resolved)
	})
}

func TestRulesThatPeopleChangeCountAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{facts: errors100(985, 15), rules: map[string]alert.Rule{}}
		i.run(t)
		time.Sleep(5 * time.Minute)
		i.want(t, alert.ErrorRate)
		base, _ := alert.DefaultOf(alert.ErrorRate)
		warning := base
		warning.ID, warning.Threshold, warning.Severity, warning.For = "early", 0.01, alert.Warning, 0
		i.set(func(i *installation) { i.rules = map[string]alert.Rule{"early": warning} })
		time.Sleep(tolerance)
		if a := i.want(t, alert.ErrorRate, alert.Raised)[0]; a.Severity != alert.Warning || a.Rule != "early" {
			t.Errorf("raised %+v", a)
		}
		warning.Enabled = false
		i.set(func(i *installation) { i.rules = map[string]alert.Rule{"early": warning} })
		time.Sleep(tolerance)
		i.want(t, alert.ErrorRate, alert.Raised, alert.Resolved)
	})
}

// facts returns the facts of an installation without problems, modified by change.
func facts(change func(*alert.Facts, *alert.SenderFacts)) alert.Facts {
	s := alert.SenderFacts{Rate: 80, Windows: map[time.Duration]alert.Figures{}, Minutes: map[time.Duration][]alert.Flow{}}
	f := alert.Facts{Rejected: map[time.Duration]int64{}}
	change(&f, &s)
	f.Senders, f.All = map[string]alert.SenderFacts{"acme": s}, s
	return f
}

// With its default rule, every kind of alert is raised exactly once, at most 5 s after its
// condition has applied for the hold time, and is resolved when the condition no longer
// applies. No other kind is raised.
func TestEveryKindIsRaisedAndResolved(t *testing.T) {
	t.Parallel()
	const window = 5 * time.Minute
	grown := slices.Repeat([]alert.Flow{{Arrived: 60, Drained: 40}}, 5)
	breaking := map[alert.Kind]func(*alert.Facts, *alert.SenderFacts){
		alert.ErrorRate: func(_ *alert.Facts, s *alert.SenderFacts) { s.Windows[window] = alert.Figures{Sent: 90, Faults: 10} },
		alert.DeliveryLatency: func(_ *alert.Facts, s *alert.SenderFacts) {
			s.Windows[window] = alert.Figures{Sent: 50, Delivered: 50, Average: 6 * time.Second, P50: 5 * time.Second}
		},
		alert.QueueGrowth: func(_ *alert.Facts, s *alert.SenderFacts) {
			s.Due, s.OldestDue, s.OldestUnpaused, s.Minutes[window] = 100, 90*time.Second, 90*time.Second, grown
		},
		alert.QueueStalled: func(_ *alert.Facts, s *alert.SenderFacts) {
			s.Due, s.OldestDue, s.OldestUnpaused = 1, 2*time.Minute, 2*time.Minute
		},
		alert.SenderHeld:   func(_ *alert.Facts, s *alert.SenderFacts) { s.Held = "token expired" },
		alert.QualityLow:   func(_ *alert.Facts, s *alert.SenderFacts) { s.QualityLow = true },
		alert.Restricted:   func(_ *alert.Facts, s *alert.SenderFacts) { s.Restrictions = []string{"ACCOUNT_DISABLED"} },
		alert.LimitReached: func(_ *alert.Facts, s *alert.SenderFacts) { s.Limit = &alert.Limit{Used: 250, People: 250} },
		alert.BreakerOpen: func(_ *alert.Facts, s *alert.SenderFacts) {
			s.Outage = &alert.Outage{For: time.Minute, Failures: 12, LastFailure: "HTTP 503"}
		},
		alert.WebhookSilence:   func(_ *alert.Facts, s *alert.SenderFacts) { s.Unanswered, s.UnansweredFor = 20, 2*time.Minute },
		alert.WebhookRejected:  func(f *alert.Facts, _ *alert.SenderFacts) { f.Rejected[window] = 10 },
		alert.ReadModelStale:   func(f *alert.Facts, _ *alert.SenderFacts) { f.Behind = 31 * time.Second },
		alert.LedgerUnbalanced: func(f *alert.Facts, _ *alert.SenderFacts) { f.Unbalanced = true },
		alert.DiskSpace:        func(f *alert.Facts, _ *alert.SenderFacts) { f.DiskUsed = 0.95 },
		alert.LogShortened: func(f *alert.Facts, _ *alert.SenderFacts) {
			f.Shortened = &alert.Shortened{Consumer: "projection views", Position: 90, End: 40}
		},
		alert.TemplatePaused: func(f *alert.Facts, _ *alert.SenderFacts) {
			f.Paused = []alert.PausedTemplate{{Account: "1", Name: "sale", Language: "de", Status: "PAUSED"}}
		},
		alert.CategoryChanged: func(f *alert.Facts, _ *alert.SenderFacts) {
			f.Recategorized = []alert.RecategorizedTemplate{{Account: "1", Name: "sale", Language: "de", From: "UTILITY", To: "MARKETING"}}
		},
		alert.HookDisabled: func(f *alert.Facts, _ *alert.SenderFacts) {
			f.GivenUp = []alert.GivenUpHook{{ID: "h1", Host: "crm.example", Reason: "last status: 500"}}
		},
	}
	for _, kind := range alert.Kinds() {
		broken := breaking[kind]
		if broken == nil {
			t.Errorf("%s has no facts: add some that raise it, and no other kind", kind)
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rule, _ := alert.DefaultOf(kind)
				i := &installation{facts: facts(func(*alert.Facts, *alert.SenderFacts) {})}
				i.run(t)
				time.Sleep(time.Minute)
				i.want(t, kind)
				begin := time.Now()
				i.set(func(i *installation) { i.facts = facts(broken) })
				time.Sleep(rule.For + tolerance)
				raised := i.want(t, kind, alert.Raised)[0]
				if late := raised.At.Sub(begin.Add(rule.For)); late < 0 || late > tolerance || raised.Severity != rule.Severity {
					t.Errorf("%+v was raised %s after its hold time", raised, late)
				}
				time.Sleep(time.Hour)
				if now, at, ok := i.readings.Of(alerts.Subject{Rule: rule.ID, Sender: raised.Sender}); !ok || now.Summary != raised.Summary || time.Since(at) > tolerance {
					t.Errorf("the latest measurement is %+v of %s, %t; want %q just now", now, at, ok, raised.Summary)
				}
				i.set(func(i *installation) { i.facts = facts(func(*alert.Facts, *alert.SenderFacts) {}) })
				time.Sleep(rule.For + 2*tolerance)
				i.want(t, kind, alert.Raised, alert.Resolved)
				for _, other := range alert.Kinds() {
					if other != kind {
						i.want(t, other)
					}
				}
			})
		})
	}
}

// Several rules of one kind apply independently: one that warns early, one for a single
// sender, and the default rule, which also covers all senders together.
func TestSeveralRulesOfAKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, _ := alert.DefaultOf(alert.ErrorRate)
		early, own := base, base
		early.ID, early.Threshold, early.Severity = "early", 0.01, alert.Warning
		own.ID, own.Sender, own.Threshold = "own", "bolt", 0.5
		i := &installation{rules: map[string]alert.Rule{"early": early, "own": own}}
		rates := func(acme, bolt, all int64) {
			figures := func(faults int64) alert.SenderFacts {
				return alert.SenderFacts{Windows: map[time.Duration]alert.Figures{5 * time.Minute: {Sent: 1000 - faults, Faults: faults}}}
			}
			i.set(func(i *installation) {
				i.facts = alert.Facts{Senders: map[string]alert.SenderFacts{"acme": figures(acme), "bolt": figures(bolt), "calm": figures(0)}, All: figures(all)}
			})
		}
		raised := func() []string {
			var list []string
			for _, a := range i.transitions(alert.ErrorRate) {
				list = append(list, a.Rule+"/"+a.Sender+"/"+string(a.State))
			}
			slices.Sort(list)
			return list
		}
		expect := func(want ...string) {
			t.Helper()
			time.Sleep(time.Minute + tolerance)
			if got := raised(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		rates(15, 30, 0) // bolt has its own rule, and no other applies to it
		i.run(t)
		expect("early/acme/RAISED")
		rates(30, 30, 0)
		expect("early/acme/RAISED", "error-rate/acme/RAISED")
		rates(30, 600, 0)
		expect("early/acme/RAISED", "error-rate/acme/RAISED", "own/bolt/RAISED")
		rates(0, 0, 30) // each sender is fine, but all of them together are not
		expect("early//RAISED", "early/acme/RAISED", "early/acme/RESOLVED", "error-rate//RAISED", "error-rate/acme/RAISED", "error-rate/acme/RESOLVED",
			"own/bolt/RAISED", "own/bolt/RESOLVED")
	})
}

// A silence covers open alerts and those that are raised during it, also while Postgres is unavailable, and ends on its own.
func TestSilencesBeginAndEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &installation{lag: time.Second}
		i.run(t)
		held := func(senders ...string) {
			facts := alert.Facts{Senders: map[string]alert.SenderFacts{}}
			for _, id := range senders {
				facts.Senders[id] = alert.SenderFacts{Held: "token expired"}
			}
			i.set(func(i *installation) { i.facts = facts })
			time.Sleep(tolerance)
		}
		want := func(what string, silenced, unheard bool, of string) {
			t.Helper()
			list := i.transitions(alert.SenderHeld)
			at := len(list) - 1
			for at >= 0 && list[at].Sender != of {
				at--
			}
			if at < 0 || (list[at].Silence != nil) != silenced || list[at].Unheard != unheard {
				t.Fatalf("%s: %+v", what, list)
			}
		}
		held("acme")
		want("an alert without a silence", false, false, "acme")
		end := time.Now().Add(time.Minute)
		i.set(func(i *installation) {
			i.silences = []alert.Silence{{ID: "1", Kind: alert.SenderHeld, Reason: "known", Until: end}}
		})
		time.Sleep(tolerance)
		want("an open alert", true, false, "acme")
		held("acme", "bolt")
		want("an alert that is raised under the silence", true, true, "bolt")
		i.set(func(i *installation) { i.unavailable = true })
		time.Sleep(time.Until(end) - time.Second)
		want("at its last second", true, true, "bolt")
		time.Sleep(tolerance)
		want("at its end, the open alert", false, false, "acme")
		want("at its end, the other", false, false, "bolt")
		time.Sleep(time.Minute)
		if n := len(i.transitions(alert.SenderHeld)); n != 5 {
			t.Errorf("%d transitions, want 5: raised, silenced, raised, and twice no longer silenced", n)
		}
	})
}
