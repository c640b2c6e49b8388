package postgres_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/sender"
)

func TestAlertsAreProjected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	raised := func(rule, of string) alert.AlertRaised {
		return alert.AlertRaised{Rule: rule, Kind: alert.ErrorRate, Severity: alert.Critical, Sender: of, Summary: "too many"}
	}
	first, second := uuid.New(), uuid.New()
	b.append(event.AlertStream(first), raised("error-rate", "acme"))
	b.append(event.AlertStream(second), raised("error-rate", ""))
	b.project()
	b.append(event.AlertStream(first), alert.AlertAcknowledged{Note: "looking"})
	b.append(event.AlertStream(second), alert.AlertResolved{Reason: "over"})
	b.append(event.AlertStream(first), alert.AlertAcknowledged{Note: "found"})
	b.append(event.RuleStream("error-rate"), alert.RuleChanged{
		Rule: "error-rate", Kind: alert.ErrorRate, Enabled: true, Threshold: 0.5, Statistic: alert.Average, WindowSeconds: 60, Severity: alert.Warning,
	})
	b.project()

	read := postgres.NewReadModel(b.pool)
	page, err := read.Alerts(b.ctx, query.AlertFilter{}, query.Page{First: 10})
	must(t, err)
	if len(page.Alerts) != 2 || page.Alerts[0].ID != first || page.Alerts[0].Note != "found" || page.Alerts[0].State != alert.Acknowledged ||
		page.Alerts[1].State != alert.Resolved {
		t.Fatalf("alerts %+v", page.Alerts)
	}
	one, err := read.Alerts(b.ctx, query.AlertFilter{}, query.Page{First: 1})
	must(t, err)
	next, err := read.Alerts(b.ctx, query.AlertFilter{}, query.Page{First: 1, After: one.Alerts[0].Position})
	must(t, err)
	if !one.HasNextPage || next.HasNextPage || next.Alerts[0].ID != second {
		t.Errorf("pages %+v, %+v", one, next)
	}
	acme := "acme"
	for name, f := range map[string]query.AlertFilter{
		"by state": {State: []alert.State{alert.Acknowledged}}, "by sender": {SenderID: &acme}, "by what is seen": {SenderIDs: []string{"acme"}},
	} {
		page, err := read.Alerts(b.ctx, f, query.Page{First: 10})
		must(t, err)
		if len(page.Alerts) != 1 || page.Alerts[0].ID != first {
			t.Errorf("%s: %+v", name, page.Alerts)
		}
	}
	latest, open, err := read.LatestAlert(b.ctx, alert.Key{Rule: "error-rate", Severity: alert.Critical})
	must(t, err)
	if latest != second || open {
		t.Errorf("the latest is %s, open %t, want %s", latest, open, second)
	}
	if latest, open, err = read.LatestAlert(b.ctx, alert.Key{Rule: "error-rate", Sender: "acme", Severity: alert.Critical}); latest != first || !open || err != nil {
		t.Errorf("the latest of acme is %s, open %t, want %s: %v", latest, open, first, err)
	}
	if latest, open, err = read.LatestAlert(b.ctx, alert.Key{Rule: "none"}); latest != uuid.Nil || open || err != nil {
		t.Errorf("the latest of none is %s, open %t, %v", latest, open, err)
	}
	rules, err := read.AlertRules(b.ctx)
	must(t, err)
	if len(rules) != len(alert.Kinds()) || rules[0].Threshold != 0.5 || rules[0].Window != time.Minute {
		t.Errorf("rules %+v", rules)
	}
	state, err := read.AlertState(b.ctx, time.Now(), 10)
	must(t, err)
	if !reflect.DeepEqual(state.Rules, rules) || len(state.Open) != 1 || state.Open[0].ID != first || state.Position < state.Open[0].Position {
		t.Errorf("state %+v", state)
	}
}

func TestSilencesAreProjected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	silence := func(id, of string, until time.Duration) {
		b.append(event.SilenceStream(id), alert.SilenceStarted{Sender: of, Until: now.Add(until), Reason: "known"})
	}
	silence("long", "acme", time.Hour)
	silence("short", "", time.Minute)
	silence("over", "", -time.Minute)
	silence("ended", "", time.Hour)
	b.project()
	b.append(event.SilenceStream("ended"), alert.SilenceEnded{})
	id := uuid.New()
	until := alert.Silence{ID: "long", Reason: "known", StartedAt: now, Until: now.Add(time.Hour)}
	b.append(event.AlertStream(id), alert.AlertRaised{Rule: "error-rate", Kind: alert.ErrorRate, Silence: &until})
	b.project()
	read := postgres.NewReadModel(b.pool)
	list, err := read.Silences(b.ctx, now.Add(time.Second))
	must(t, err)
	if len(list) != 2 || list[0].ID != "short" || list[1].ID != "long" || list[1].Sender != "acme" || !list[1].Until.Equal(now.Add(time.Hour)) || list[1].By.Kind == "" {
		t.Errorf("silences %+v", list)
	}
	state, err := read.AlertState(b.ctx, now.Add(time.Second), 10)
	must(t, err)
	if !reflect.DeepEqual(state.Silences, list) || len(state.Open) != 1 || state.Open[0].ID != id {
		t.Errorf("state %+v", state)
	}
	page, err := read.Alerts(b.ctx, query.AlertFilter{}, query.Page{First: 1})
	must(t, err)
	if got := page.Alerts[0]; !got.Unheard || got.Silence == nil || got.Silence.ID != "long" || !got.Silence.Until.Equal(until.Until) {
		t.Errorf("alert %+v", got)
	}
	b.append(event.AlertStream(id), alert.AlertUnsilenced{Notify: true})
	b.project()
	page, err = read.Alerts(b.ctx, query.AlertFilter{}, query.Page{First: 1})
	must(t, err)
	if got := page.Alerts[0]; got.Unheard || got.Silence != nil {
		t.Errorf("alert %+v", got)
	}
}

func TestFactsOfAlerts(t *testing.T) {
	t.Parallel()
	k := known{setup(t)}
	k.record()
	k.now = at(200)
	k.append("sender-acme", sender.SenderRegistered{Sender: "acme", Name: "Acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	k.append("sender-acme", sender.SenderPaused{Priorities: []string{"TRANSACTIONAL"}, Reason: "test"},
		sender.SenderHeld{Fault: sender.Fault{Category: "auth", Message: "token expired"}})
	for i := range 15 { // enough that the growth of the queue is read
		k.at(210+i, uuid.New(), queued("acme", "more"))
	}
	id := uuid.New() // sent after the last status
	k.at(230, id, queued("acme", "silent"))
	k.at(231, id, attempt(1, 231))
	k.at(232, id, accepted(1, 232))
	k.project()
	leases := postgres.NewLeases(k.pool)
	must(t, leases.AddRejections(k.ctx, at(290), 2))
	must(t, leases.AddRejections(k.ctx, at(290), 3))

	const window = 5 * time.Minute
	rules := alert.Rules(nil)
	f, err := postgres.NewReadModel(k.pool).AlertFacts(k.ctx, alert.NeedsOf(rules), at(300))
	must(t, err)
	s := f.Senders["acme"]
	expect(t, "sent", s.Windows[window].Sent, 6)
	expect(t, "faults", s.Windows[window].Faults, 2)
	expect(t, "delivered", s.Windows[window].Delivered, 4)
	expect(t, "median", s.Windows[window].P50.Round(time.Second), 2*time.Second)
	expect(t, "left in two minutes", s.Windows[2*time.Minute].Left, 1)
	expect(t, "due", s.Due, 16)
	expect(t, "oldest due", s.OldestDue, 245*time.Second)
	expect(t, "oldest that is not paused", s.OldestUnpaused, 0)
	expect(t, "held", s.Held, "token expired")
	expect(t, "unanswered", s.Unanswered, 1)
	expect(t, "unanswered for", s.UnansweredFor, 68*time.Second)
	expect(t, "rejected", f.Rejected[window], 5)
	expect(t, "sent by all", f.All.Windows[window].Sent, 6)
	flows := s.Minutes[window]
	for minute, want := range []alert.Flow{
		{Arrived: 8, Drained: 6}, {Arrived: 1, Drained: 2}, {}, {Arrived: 16, Drained: 1}, {},
	} {
		expect(t, "flow of a minute", flows[minute], want)
	}
	if len(s.Windows[window].Failures) == 0 {
		t.Error("no failures are named")
	}
}

func TestDutyIsOneProcesss(t *testing.T) {
	t.Parallel()
	b := setup(t)
	leases := postgres.NewLeases(b.pool)
	first, second := uuid.New(), uuid.New()
	take := func(p uuid.UUID, ttl time.Duration, want bool) {
		t.Helper()
		got, err := leases.AcquireLeaderLease(b.ctx, "test", p, ttl)
		must(t, err)
		expect(t, "taken", got, want)
	}
	take(first, time.Hour, true)
	take(second, time.Hour, false)
	take(first, time.Hour, true)
	must(t, leases.ReleaseLeaderLease(b.ctx, "test", second)) // not its own
	take(second, time.Hour, false)
	must(t, leases.ReleaseLeaderLease(b.ctx, "test", first))
	take(second, 0, true)
	take(first, time.Hour, true) // the other's lease has ended
}

func TestLanesAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	until := at(5)
	must(t, postgres.NewLeases(b.pool).PublishLaneStatus(b.ctx, map[string]query.LaneStatus{
		"acme": {EffectiveRate: 12.5, ThrottledUntil: &until}, "bolt": {NextProbeAt: &until},
	}))
	lanes, err := postgres.NewReadModel(b.pool).Lanes(b.ctx)
	must(t, err)
	if len(lanes) != 2 || lanes["acme"].EffectiveRate != 12.5 || !lanes["acme"].ThrottledUntil.Equal(until) || !lanes["bolt"].NextProbeAt.Equal(until) {
		t.Errorf("lanes %+v", lanes)
	}
}

// A breaker is a fact for alert rules only while messages wait for it.
func TestOpenBreakersAreFacts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append("sender-acme", sender.SenderRegistered{Sender: "acme", Name: "Acme", PhoneNumberID: "1", MessagesPerSecond: 80})
	b.append("sender-bolt", sender.SenderRegistered{Sender: "bolt", Name: "Bolt", PhoneNumberID: "2", MessagesPerSecond: 80})
	b.append("message-"+uuid.NewString(), queued("acme", "1"))
	b.project()
	want := &query.Breaker{Since: at(100), Failures: 12, LastFailure: "HTTP 503", NextProbeAt: at(104)}
	must(t, postgres.NewLeases(b.pool).PublishLaneStatus(b.ctx, map[string]query.LaneStatus{
		"acme": {Breaker: want}, "bolt": {Breaker: want}, "none": {},
	}))
	read := postgres.NewReadModel(b.pool)
	lanes, err := read.Lanes(b.ctx)
	must(t, err)
	if got := lanes["acme"].Breaker; got == nil || !reflect.DeepEqual(got, want) || lanes["none"].Breaker != nil {
		t.Errorf("breaker %+v, want %+v; of a lane without: %+v", got, want, lanes["none"].Breaker)
	}
	f, err := read.AlertFacts(b.ctx, alert.Needs{}, at(130))
	must(t, err)
	outage := alert.Outage{For: 30 * time.Second, Failures: 12, LastFailure: "HTTP 503"}
	if got := f.Senders["acme"].Outage; got == nil || *got != outage || f.Senders["bolt"].Outage != nil {
		t.Errorf("outage %+v, want %+v; of a sender without messages: %+v", got, outage, f.Senders["bolt"].Outage)
	}
}

// If a work item is removed, the ledger no longer balances.
func TestLostWorkItemUnbalancesTheBooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append("message-"+uuid.NewString(), queued("acme", "1"))
	b.append("message-"+uuid.NewString(), queued("acme", "2"))
	b.project()
	read := postgres.NewReadModel(b.pool)
	check := func(want bool) {
		t.Helper()
		balanced, compared, err := read.BalanceNow(b.ctx)
		must(t, err)
		if balanced != want || !compared {
			t.Errorf("balanced %v, compared %v; want %v", balanced, compared, want)
		}
	}
	check(true)
	_, err := b.pool.Exec(b.ctx, `DELETE FROM work_item WHERE message_id = (SELECT message_id FROM work_item LIMIT 1)`)
	must(t, err)
	check(false)
}
