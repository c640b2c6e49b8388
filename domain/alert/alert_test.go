package alert_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func rule(t *testing.T, k alert.Kind) alert.Rule {
	t.Helper()
	r, ok := alert.DefaultOf(k)
	if !ok {
		t.Fatalf("no default of %s", k)
	}
	return r
}

const window = 5 * time.Minute

func sender(f alert.Figures) alert.SenderFacts {
	return alert.SenderFacts{Windows: map[time.Duration]alert.Figures{window: f, 2 * time.Minute: f}, Rate: 80}
}

func one(s alert.SenderFacts) alert.Facts {
	return alert.Facts{Senders: map[string]alert.SenderFacts{"acme": s}, All: s}
}

func minutes(s alert.SenderFacts, flows ...alert.Flow) alert.SenderFacts {
	s.Minutes = map[time.Duration][]alert.Flow{window: flows}
	return s
}

func TestAssess(t *testing.T) {
	t.Parallel()
	grown := []alert.Flow{{Arrived: 60, Drained: 40}, {Arrived: 60, Drained: 40}, {Arrived: 60, Drained: 40}, {Arrived: 60, Drained: 40}, {Arrived: 60, Drained: 59}}
	queue := alert.SenderFacts{Due: 100, OldestDue: 2 * time.Minute, OldestUnpaused: 2 * time.Minute, Rate: 80, Windows: map[time.Duration]alert.Figures{}}
	paused, young, few := queue, queue, queue
	paused.OldestUnpaused, young.OldestDue, few.Due = 0, 30*time.Second, 99
	burst := []alert.Flow{{}, {}, {}, {}, {Arrived: 10_000, Drained: 4000}}
	full := []alert.Flow{{Arrived: 5000, Drained: 4800}, {Arrived: 5000, Drained: 4800}, {Arrived: 5000, Drained: 4800}, {Arrived: 5000, Drained: 4800}, {Arrived: 5000, Drained: 4800}}
	for _, c := range []struct {
		name     string
		kind     alert.Kind
		facts    alert.Facts
		level    alert.Level
		severity alert.Severity
	}{
		{"errors above the limit", alert.ErrorRate, one(sender(alert.Figures{Sent: 95, Faults: 5})), alert.Breach, alert.Critical},
		{"errors at the limit", alert.ErrorRate, one(sender(alert.Figures{Sent: 98, Faults: 2})), alert.Between, alert.Critical},
		{"errors below four fifths of it", alert.ErrorRate, one(sender(alert.Figures{Sent: 990, Faults: 10})), alert.Clear, alert.Critical},
		{"errors among too few", alert.ErrorRate, one(sender(alert.Figures{Sent: 30, Faults: 19})), alert.Between, alert.Critical},
		{"no traffic", alert.ErrorRate, one(sender(alert.Figures{})), alert.Clear, alert.Critical},
		{"a burst of policy caps is no fault", alert.ErrorRate, one(sender(alert.Figures{Sent: 1000})), alert.Clear, alert.Critical},
		{"slow", alert.DeliveryLatency, one(sender(alert.Figures{Delivered: 20, Average: 6 * time.Second})), alert.Breach, alert.Critical},
		{"slow among too few", alert.DeliveryLatency, one(sender(alert.Figures{Delivered: 9, Average: 6 * time.Second})), alert.Clear, alert.Critical},
		{"growth in each minute", alert.QueueGrowth, one(minutes(queue, grown...)), alert.Breach, alert.Critical},
		{"growth at the full rate", alert.QueueGrowth, one(minutes(queue, full...)), alert.Breach, alert.Warning},
		{"growth of few", alert.QueueGrowth, one(minutes(few, grown...)), alert.Between, alert.Critical},
		{"growth of what is young", alert.QueueGrowth, one(minutes(young, grown...)), alert.Clear, alert.Critical},
		{"a scheduled campaign that becomes due", alert.QueueGrowth, one(minutes(queue, burst...)), alert.Between, alert.Critical},
		{"stalled", alert.QueueStalled, one(queue), alert.Breach, alert.Critical},
		{"stalled by a person", alert.QueueStalled, one(paused), alert.Breach, alert.Warning},
		{"due for a moment", alert.QueueStalled, one(young), alert.Clear, alert.Critical},
		{"slow and not stalled", alert.QueueStalled, one(withDrain(queue)), alert.Clear, alert.Critical},
		{"held", alert.SenderHeld, one(alert.SenderFacts{Held: "token expired"}), alert.Breach, alert.Critical},
		{"low quality", alert.QualityLow, one(alert.SenderFacts{QualityLow: true}), alert.Breach, alert.Warning},
		{"good quality", alert.QualityLow, one(alert.SenderFacts{}), alert.Clear, alert.Warning},
		{"restricted", alert.Restricted, one(alert.SenderFacts{Restrictions: []string{"ACCOUNT_DISABLED"}}), alert.Breach, alert.Critical},
		{"not restricted", alert.Restricted, one(alert.SenderFacts{}), alert.Clear, alert.Critical},
		{"limit reached", alert.LimitReached, one(alert.SenderFacts{Limit: &alert.Limit{Used: 250, People: 250}}), alert.Breach, alert.Warning},
		{"refused near the limit", alert.LimitReached, one(alert.SenderFacts{Limit: &alert.Limit{Used: 240, People: 250, Refused: "1"}}), alert.Breach, alert.Warning},
		{"limit nearly reached", alert.LimitReached, one(alert.SenderFacts{Limit: &alert.Limit{Used: 249, People: 250}}), alert.Between, alert.Warning},
		{"limit hardly used", alert.LimitReached, one(alert.SenderFacts{Limit: &alert.Limit{Used: 1, People: 250}}), alert.Clear, alert.Warning},
		{"no limit", alert.LimitReached, one(alert.SenderFacts{}), alert.Clear, alert.Warning},
		{"silence", alert.WebhookSilence, one(alert.SenderFacts{Unanswered: 20, UnansweredFor: 2 * time.Minute}), alert.Breach, alert.Critical},
		{"silence of few", alert.WebhookSilence, one(alert.SenderFacts{Unanswered: 19, UnansweredFor: time.Hour}), alert.Between, alert.Critical},
		{"sent a moment ago", alert.WebhookSilence, one(alert.SenderFacts{Unanswered: 500, UnansweredFor: time.Minute}), alert.Clear, alert.Critical},
		{"wrong signatures", alert.WebhookRejected, alert.Facts{Rejected: map[time.Duration]int64{window: 10}}, alert.Breach, alert.Warning},
		{"few wrong signatures", alert.WebhookRejected, alert.Facts{Rejected: map[time.Duration]int64{window: 8}}, alert.Clear, alert.Warning},
		{"stale", alert.ReadModelStale, alert.Facts{Behind: 31 * time.Second}, alert.Breach, alert.Critical},
		{"parked", alert.ReadModelStale, alert.Facts{Parked: 1}, alert.Breach, alert.Critical},
		{"up to date", alert.ReadModelStale, alert.Facts{}, alert.Clear, alert.Critical},
		{"unbalanced", alert.LedgerUnbalanced, alert.Facts{Unbalanced: true}, alert.Breach, alert.Critical},
		{"a full disk", alert.DiskSpace, alert.Facts{DiskUsed: 0.91}, alert.Breach, alert.Warning},
		{"a hook that was given up", alert.HookDisabled, alert.Facts{Behind: time.Hour, GivenUp: []alert.GivenUpHook{{Host: "crm.example"}}}, alert.Breach, alert.Warning},
		{"a log that was rolled back", alert.LogShortened, alert.Facts{Behind: time.Hour, Shortened: &alert.Shortened{Consumer: "projection views", Position: 90, End: 40}}, alert.Breach, alert.Critical},
		{"a paused template", alert.TemplatePaused, alert.Facts{Paused: []alert.PausedTemplate{{Name: "sale", Language: "de", Status: "PAUSED", Reason: "FIRST_PAUSE"}}}, alert.Breach, alert.Warning},
		{"no paused template", alert.TemplatePaused, alert.Facts{}, alert.Clear, alert.Warning},
		{"another category", alert.CategoryChanged, alert.Facts{Recategorized: []alert.RecategorizedTemplate{{Name: "sale", Language: "de", From: "UTILITY", To: "MARKETING", Announced: true}}}, alert.Breach, alert.Warning},
		{"no other category", alert.CategoryChanged, alert.Facts{}, alert.Clear, alert.Warning},
		{"a whole log", alert.LogShortened, alert.Facts{}, alert.Clear, alert.Critical},
		{"no hook that was given up", alert.HookDisabled, alert.Facts{}, alert.Clear, alert.Warning},
	} {
		findings, known := alert.Assess(rule(t, c.kind), c.facts, nil)
		if !known || len(findings) != 1 {
			t.Errorf("%s: %v %v", c.name, findings, known)
			continue
		}
		if f := findings[0]; f.Level != c.level || f.Severity != c.severity {
			t.Errorf("%s: level %d, %s; want %d, %s (%s)", c.name, f.Level, f.Severity, c.level, c.severity, f.Summary)
		}
	}
}

func withDrain(s alert.SenderFacts) alert.SenderFacts {
	s.Windows = map[time.Duration]alert.Figures{2 * time.Minute: {Left: 1}}
	return s
}

func TestOverAllIsJudgedWhereMoreThanOneSenderHasFigures(t *testing.T) {
	t.Parallel()
	bad, idle := sender(alert.Figures{Sent: 90, Faults: 10}), sender(alert.Figures{})
	facts := alert.Facts{Senders: map[string]alert.SenderFacts{"a": bad, "b": idle}, All: bad}
	r := rule(t, alert.ErrorRate)
	if f, _ := alert.Assess(r, facts, nil); len(f) != 2 {
		t.Errorf("one with figures: %+v", f)
	}
	facts.Senders["b"] = bad
	f, _ := alert.Assess(r, facts, nil)
	if len(f) != 3 || f[2].Sender != "" || f[2].Level != alert.Breach {
		t.Errorf("two with figures: %+v", f)
	}
	if f, _ := alert.Assess(r, facts, map[string]bool{"a": true}); len(f) != 1 || f[0].Sender != "b" {
		t.Errorf("with a rule of its own for a: %+v", f)
	}
	r.Sender = "a"
	if f, _ := alert.Assess(r, facts, map[string]bool{"a": true}); len(f) != 1 || f[0].Sender != "a" {
		t.Errorf("by the rule of a: %+v", f)
	}
}

func TestStaleFactsTellNothing(t *testing.T) {
	t.Parallel()
	f := one(sender(alert.Figures{Faults: 100}))
	f.Behind = time.Minute
	if findings, known := alert.Assess(rule(t, alert.ErrorRate), f, nil); known {
		t.Errorf("found %v", findings)
	}
}

// Unread facts resolve nothing, and after a while that is an alert itself.
func TestUnreadFactsMendNothing(t *testing.T) {
	t.Parallel()
	for _, k := range alert.Kinds() {
		r := rule(t, k)
		if findings, known := alert.Assess(r, alert.Facts{Unread: true, Behind: time.Second}, nil); known {
			t.Errorf("%s after a second: %v", k, findings)
		}
		findings, known := alert.Assess(r, alert.Facts{Unread: true, Behind: time.Minute}, nil)
		if known != (k == alert.ReadModelStale) {
			t.Errorf("%s after a minute: %v", k, findings)
		}
		if known && findings[0].Level != alert.Breach {
			t.Errorf("%s after a minute: %v", k, findings)
		}
	}
}

// However findings come and go: nothing is raised before it has held, nor twice, and
// what is over is resolved.
func TestWatchLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := alert.Rule{ID: "r", For: time.Duration(rapid.IntRange(0, 5).Draw(t, "for")) * time.Second, Severity: alert.Critical}
		w, now := alert.NewWatch(), start
		open := map[alert.Key]bool{}
		held := time.Duration(-1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			level := rapid.SampledFrom([]alert.Level{alert.Breach, alert.Breach, alert.Breach, alert.Between, alert.Clear}).Draw(t, "level")
			if level == alert.Breach {
				held += time.Second
			} else {
				held = -1 * time.Second
			}
			var keys []alert.Key
			for k := range open {
				keys = append(keys, k)
			}
			raise, resolve := w.Step(r, []alert.Finding{{Sender: "s", Level: level, Severity: alert.Critical}}, keys, now)
			if len(raise) > 1 || len(raise) == 1 && (len(keys) > 0 || level != alert.Breach) {
				t.Fatalf("raised %v with %v open", raise, keys)
			}
			if due := level == alert.Breach && held >= r.For && len(keys) == 0; due && len(raise) == 0 {
				t.Fatalf("not raised after %s of %s", held, r.For)
			}
			for _, k := range resolve {
				if level != alert.Clear || !open[k] {
					t.Fatalf("resolved %v at level %d", k, level)
				}
				delete(open, k)
			}
			if len(raise) == 1 {
				open[alert.Key{Rule: "r", Sender: "s", Severity: alert.Critical}] = true
			}
			now = now.Add(time.Second)
		}
		var keys []alert.Key
		for k := range open {
			keys = append(keys, k)
		}
		var resolved int
		for range 20 { // no further findings
			_, resolve := w.Step(r, nil, keys, now)
			resolved += len(resolve)
			if len(resolve) > 0 {
				keys = nil
			}
			now = now.Add(time.Second)
		}
		if resolved != len(open) {
			t.Fatalf("%d of %d resolved", resolved, len(open))
		}
	})
}

func TestAlertsLife(t *testing.T) {
	t.Parallel()
	k := alert.Key{Rule: "error-rate", Sender: "acme", Severity: alert.Critical}
	first, again, next := alert.ID(k, ""), alert.ID(k, ""), alert.ID(k, "before")
	if first != again || first == next {
		t.Error("ids must be the same for the same thing and differ for the next time")
	}
	a := alert.Alert{}.Apply(alert.Record{Event: alert.AlertRaised{Rule: "error-rate", Sender: "acme", Severity: alert.Critical}, At: start})
	if a.Key() != k || a.State != alert.Raised || !a.Open() {
		t.Fatalf("raised: %+v", a)
	}
	events, err := alert.Acknowledge(a, "looking")
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	a = a.Apply(alert.Record{Event: events[0], At: start.Add(time.Second), By: domain.Actor{Kind: domain.ActorKey, ID: "anna"}})
	if again, err := alert.Acknowledge(a, "looking"); err != nil || len(again) != 0 || a.AcknowledgedBy.ID != "anna" || a.State != alert.Acknowledged {
		t.Errorf("acknowledged: %+v, again %v %v", a, again, err)
	}
	if _, err := alert.Acknowledge(a, strings.Repeat("x", domain.MaxReason+1)); domain.CodeOf(err) != domain.CodeInvalidInput {
		t.Errorf("a long note: %v", err)
	}
	events = alert.Resolve(a, "over")
	a = a.Apply(alert.Record{Event: events[0], At: start.Add(2 * time.Second)})
	if a.Open() || len(alert.Resolve(a, "over")) != 0 {
		t.Errorf("resolved: %+v", a)
	}
	if _, err := alert.Acknowledge(a, "late"); domain.CodeOf(err) != domain.CodeConflict {
		t.Errorf("acknowledging what is over: %v", err)
	}
}

func TestRulesAreChanged(t *testing.T) {
	t.Parallel()
	defaults := alert.Rules(nil)
	if len(defaults) != len(alert.Kinds()) {
		t.Fatalf("%d rules of %d kinds", len(defaults), len(alert.Kinds()))
	}
	for _, r := range defaults { // each may be taken as it is
		events, err := alert.ChangeRule(r, alert.RuleChanges{Kind: r.Kind})
		if err != nil || events[0].(alert.RuleChanged).ToRule() != r {
			t.Errorf("%s: %v %v", r.ID, events, err)
		}
	}
	threshold, window, bad := 0.05, time.Minute, 2.0
	severity, statistic := alert.Severity("critical"), alert.Statistic("p95")
	acme, warning := "acme", alert.Warning
	events, err := alert.ChangeRule(alert.Rule{ID: "new"}, alert.RuleChanges{Kind: alert.ErrorRate, Sender: &acme, Threshold: &threshold, Severity: &warning})
	if err != nil {
		t.Fatal(err)
	}
	r := events[0].(alert.RuleChanged).ToRule()
	if r.Threshold != 0.05 || r.Sender != "acme" || !r.Enabled || r.Window != 5*time.Minute || r.MinimumVolume != 50 {
		t.Errorf("made %+v", r)
	}
	if all := alert.Rules(map[string]alert.Rule{"new": r}); len(all) != len(defaults)+1 || all[len(all)-1] != r {
		t.Errorf("rules %+v", all)
	}
	for name, c := range map[string]struct {
		have   alert.Rule
		change alert.RuleChanges
		field  string
	}{
		"no kind":                   {alert.Rule{ID: "x"}, alert.RuleChanges{Kind: "NONE"}, "kind"},
		"another kind":              {r, alert.RuleChanges{Kind: alert.DiskSpace}, "kind"},
		"a rate of two":             {r, alert.RuleChanges{Kind: alert.ErrorRate, Threshold: &bad}, "threshold"},
		"a severity in lower case":  {r, alert.RuleChanges{Kind: alert.ErrorRate, Severity: &severity}, "severity"},
		"a statistic in lower case": {r, alert.RuleChanges{Kind: alert.ErrorRate, Statistic: &statistic}, "statistic"},
		"a sender's disk":           {alert.Rule{ID: "x"}, alert.RuleChanges{Kind: alert.DiskSpace, Sender: &acme}, "senderId"},
		"growth in one minute":      {alert.Rule{ID: "x"}, alert.RuleChanges{Kind: alert.QueueGrowth, Window: &window}, "window"},
	} {
		_, err := alert.ChangeRule(c.have, c.change)
		var e *domain.Error
		if domain.CodeOf(err) != domain.CodeInvalidInput || !asError(err, &e) || e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func asError(err error, target **domain.Error) bool { return errors.As(err, target) }

// An alert under a silence is reported when it outlasts the silence, unless someone has taken care of it.
func TestSilences(t *testing.T) {
	t.Parallel()
	started, err := alert.StartSilence(alert.SenderHeld, "acme", "a new token is on its way", start.Add(time.Hour), start)
	if err != nil {
		t.Fatal(err)
	}
	by := domain.Actor{Kind: domain.ActorKey, ID: "key-1", OnBehalfOf: "agent 7"}
	s := alert.Silence{ID: "s"}.Apply(alert.Record{Event: started, At: start, By: by})
	for _, c := range []struct {
		kind   alert.Kind
		sender string
		after  time.Duration
		covers bool
	}{
		{alert.SenderHeld, "acme", 0, true},
		{alert.SenderHeld, "acme", time.Hour - 1, true},
		{alert.SenderHeld, "acme", time.Hour, false},
		{alert.SenderHeld, "bolt", 0, false},
		{alert.SenderHeld, "", 0, false},
		{alert.ErrorRate, "acme", 0, false},
	} {
		if got := alert.Covering([]alert.Silence{s}, c.kind, c.sender, start.Add(c.after)); (got != nil) != c.covers {
			t.Errorf("%s of %q after %s: covered by %v", c.kind, c.sender, c.after, got)
		}
	}
	all := alert.Silence{ID: "all", Until: start.Add(2 * time.Hour)}
	if got := alert.Covering([]alert.Silence{s, all}, alert.SenderHeld, "acme", start); got == nil || got.ID != "all" {
		t.Errorf("of two, the one that ends last covers: %v", got)
	}
	if s.OnBehalfOf != "agent 7" || s.By.ID != "key-1" || !s.StartedAt.Equal(start) {
		t.Errorf("started %+v", s)
	}
	ended := s.Apply(alert.Record{Event: alert.EndSilence(s, start.Add(time.Minute))[0], At: start.Add(time.Minute)})
	if ended.Active(start.Add(time.Minute)) || !ended.Active(start) || len(alert.EndSilence(ended, start.Add(time.Minute))) != 0 {
		t.Errorf("ended early: %+v", ended)
	}

	raised := func(under *alert.Silence) alert.Alert {
		return alert.Alert{}.Apply(alert.Record{Event: alert.AlertRaised{Kind: alert.SenderHeld, Sender: "acme", Silence: under}, At: start})
	}
	after := func(a alert.Alert, events []domain.Event) alert.Alert {
		if len(events) != 1 {
			t.Fatalf("got %v, want one event", events)
		}
		return a.Apply(alert.Record{Event: events[0], At: start.Add(time.Hour), By: by})
	}
	quiet := raised(&s)
	if !quiet.Unheard || quiet.Silence == nil || len(alert.SetSilence(quiet, &s)) != 0 {
		t.Errorf("raised under a silence: %+v", quiet)
	}
	if over := alert.SetSilence(quiet, nil); over[0] != (alert.AlertUnsilenced{Notify: true}) || after(quiet, over).Unheard || after(quiet, over).Silence != nil {
		t.Errorf("outlasts it: %v", over)
	}
	taken, err := alert.Acknowledge(quiet, "on it")
	if err != nil {
		t.Fatal(err)
	}
	if over := alert.SetSilence(after(quiet, taken), nil); over[0] != (alert.AlertUnsilenced{}) {
		t.Errorf("acknowledged under it: %v", over)
	}
	heard := raised(nil)
	silenced := after(heard, alert.SetSilence(heard, &s))
	if silenced.Unheard || silenced.Silence == nil || silenced.State != alert.Raised {
		t.Errorf("silenced later: %+v", silenced)
	}
	if over := alert.SetSilence(silenced, nil); over[0] != (alert.AlertUnsilenced{}) {
		t.Errorf("was reported before: %v", over)
	}
	if longer := after(silenced, alert.SetSilence(silenced, &all)); longer.Silence.ID != "all" {
		t.Errorf("under another: %+v", longer.Silence)
	}
	if over := after(silenced, alert.Resolve(silenced, "over")); len(alert.SetSilence(over, nil)) != 0 {
		t.Errorf("a resolved alert changes: %+v", over)
	}

	for name, c := range map[string]struct {
		kind           alert.Kind
		sender, reason string
		until          time.Duration
		field          string
	}{
		"no reason":       {"", "", "", time.Hour, "reason"},
		"the past":        {"", "", "r", 0, "until"},
		"a year":          {"", "", "r", 365 * 24 * time.Hour, "until"},
		"no kind":         {"NONE", "", "r", time.Hour, "kind"},
		"a sender's disk": {alert.DiskSpace, "acme", "r", time.Hour, "senderId"},
	} {
		_, err := alert.StartSilence(c.kind, c.sender, c.reason, start.Add(c.until), start)
		var e *domain.Error
		if !asError(err, &e) || e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDurationsAreSpelled(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 ms", 340 * time.Millisecond: "340 ms", 2500 * time.Millisecond: "2.5 s", 12400 * time.Millisecond: "12 s", 5 * time.Minute: "5 min",
		90 * time.Second: "1 min 30 s", 90 * time.Minute: "1 h 30 min", time.Hour + time.Second: "1 h", 49 * time.Hour: "2 d 1 h",
	} {
		if got := alert.Spell(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestAPausedTemplateIsDescribedInWords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ status, reason, want string }{
		{"PAUSED", "FIRST_PAUSE", "sale in de of account 1 is paused: FIRST_PAUSE"},
		{"DISABLED", "NONE", "sale in de of account 1 is disabled"},
	} {
		facts := alert.Facts{Paused: []alert.PausedTemplate{{Account: "1", Name: "sale", Language: "de", Status: tc.status, Reason: tc.reason}}}
		findings, _ := alert.Assess(rule(t, alert.TemplatePaused), facts, nil)
		if !slices.Contains(findings[0].Explanation, tc.want) {
			t.Errorf("%s (%s): %q, want %q among them", tc.status, tc.reason, findings[0].Explanation, tc.want)
		}
	}
}
