package hooks_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/hooks"
	"github.com/waypost/waypost/app/alerts"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/ports/egress"
)

// startAlerts starts a process that sends alerts to url until the test ends or stop is called.
func (r *rig) startAlerts(url, secret string, format egress.AlertFormat, now func() time.Time) (stop func()) {
	client := hooks.NewClient(loopback())
	sender := egress.NewAlerts(egress.AlertOptions{
		URL: func() string { return url }, Secret: func() string { return secret }, Format: format, Client: client,
		Load: alerts.New(r.log, time.Now, newID).LoadAt, Log: r.log, LogID: r.logID, Places: r.places, Process: newID(), Now: now,
		Logger: slog.New(slog.DiscardHandler),
	})
	running, cancel := context.WithCancel(r.ctx)
	var part sync.WaitGroup
	part.Go(func() { _ = sender.Run(running) })
	stop = func() { cancel(); part.Wait(); client.Close() }
	r.t.Cleanup(stop)
	r.eventually("the checkpoint is saved", func() bool {
		at, err := r.places.Load(r.ctx, "alerts")
		return err == nil && at.LogID != ""
	})
	return stop
}

// settled waits until the checkpoint has reached the end of the event log.
func (r *rig) settled() {
	r.t.Helper()
	end, err := r.log.End(r.ctx)
	must(r.t, err)
	r.eventually("the checkpoint reaches the end of the event log", func() bool {
		at, err := r.places.Load(r.ctx, "alerts")
		return err == nil && at.Position >= end
	})
}

// raise raises an alert, acknowledges it as an operator, and resolves it.
func (r *rig) raise(rule string) uuid.UUID {
	r.t.Helper()
	all := alerts.New(r.log, time.Now, newID)
	id := alert.ID(alert.Key{Rule: rule, Sender: "shop", Severity: alert.Critical}, "")
	_, _, err := all.Raise(r.ctx, id, alert.AlertRaised{
		Rule: rule, Kind: alert.ErrorRate, Severity: alert.Critical, Sender: "shop", Summary: "too many fail", Value: 0.5, Threshold: 0.02,
	})
	must(r.t, err)
	person := event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: "key-7"}}
	_, err = all.Acknowledge(r.ctx, id, "on it", person, func(alert.Alert) bool { return true })
	must(r.t, err)
	_, err = all.Resolve(r.ctx, id, "it is over")
	must(r.t, err)
	return id
}

func accept(int, *http.Request) int { return http.StatusOK }

// transitionsOf returns the delivered transitions of an alert, in order and without repeated
// events.
func transitionsOf(all []received, id uuid.UUID) (states []string) {
	seen := map[string]bool{}
	for _, d := range all {
		var n struct {
			Type string
			Data struct{ ID, State string }
		}
		if json.Unmarshal(d.body, &n) == nil && n.Data.ID == id.String() && !seen[d.id] {
			seen[d.id] = true
			states = append(states, n.Type+" "+n.Data.State)
		}
	}
	return states
}

var transitions = []string{"alert.raised RAISED", "alert.acknowledged ACKNOWLEDGED", "alert.resolved RESOLVED"}

// Two processes send alerts to the same receiver. Each transition is delivered once, signed,
// with the alert's state at that time.
func TestAlertsAreToldSignedByOneProcess(t *testing.T) {
	t.Parallel()
	r, rec, secret := setup(t, time.Hour), receive(t, accept), hooks.NewSecret()
	r.raise("raised before the start")
	stop := r.startAlerts(rec.URL, secret, egress.FormatWaypost, time.Now)
	r.startAlerts(rec.URL, secret, egress.FormatWaypost, time.Now)
	first := r.raise("one")
	r.settled()
	stop() // if this process holds the lease, the other continues from its checkpoint
	second := r.raise("two")
	r.settled()
	all := rec.all()
	if len(all) != 6 {
		t.Errorf("got %d deliveries, want each of the six events once", len(all))
	}
	for _, id := range []uuid.UUID{first, second} {
		if got := transitionsOf(all, id); !slices.Equal(got, transitions) {
			t.Errorf("got transitions %v, want %v", got, transitions)
		}
		events, err := r.log.Read(r.ctx, event.AlertStream(id), 0, 10)
		must(t, err)
		for _, e := range events {
			if !slices.ContainsFunc(all, func(d received) bool { return d.id == e.ID.String() && d.verified(secret) }) {
				t.Errorf("%s was not delivered with its ID and a valid signature", e.Type)
			}
		}
	}
}

// A receiver that is unavailable for a while doesn't block raising alerts. Once it is back,
// it receives all transitions in order, even from a process that started in between.
func TestAlertsAreToldOnceTheReceiverIsBack(t *testing.T) {
	t.Parallel()
	var back sync.Map
	rec := receive(t, func(int, *http.Request) int {
		if _, ok := back.Load("now"); ok {
			return http.StatusNoContent
		}
		return http.StatusServiceUnavailable
	})
	r, secret := setup(t, time.Hour), hooks.NewSecret()
	stop := r.startAlerts(rec.URL, secret, egress.FormatWaypost, time.Now)
	id := r.raise("away") // all three transitions are recorded while the receiver fails
	r.eventually("delivery is tried twice", func() bool { return len(rec.all()) >= 2 })
	stop()
	tried := len(rec.all())
	for _, d := range rec.all() {
		if !strings.Contains(string(d.body), "alert.raised") {
			t.Errorf("delivered out of order: %s", d.body)
		}
	}
	back.Store("now", true)
	r.startAlerts(rec.URL, secret, egress.FormatWaypost, time.Now)
	r.eventually("all transitions are delivered", func() bool { return len(transitionsOf(rec.all()[tried:], id)) == 3 })
	if got := transitionsOf(rec.all()[tried:], id); !slices.Equal(got, transitions) {
		t.Errorf("got transitions %v, want %v", got, transitions)
	}
}

// The receiver is not notified of alerts that a silence covers, except of those that it knows already. It is notified of an
// alert that outlasts its silence.
func TestSilencedAlertsAreNotTold(t *testing.T) {
	t.Parallel()
	rec := receive(t, accept)
	r, secret := setup(t, time.Hour), hooks.NewSecret()
	r.startAlerts(rec.URL, secret, egress.FormatWaypost, time.Now)
	all := alerts.New(r.log, time.Now, newID)
	operator := event.Cause{By: domain.Actor{Kind: domain.ActorKey, ID: "key-7"}}
	silence, err := all.StartSilence(r.ctx, alert.ErrorRate, "shop", "known", time.Now().Add(time.Hour), operator)
	must(t, err)
	raise := func(rule string, under *alert.Silence) uuid.UUID {
		id := alert.ID(alert.Key{Rule: rule, Sender: "shop", Severity: alert.Critical}, "")
		_, _, err := all.Raise(r.ctx, id, alert.AlertRaised{Rule: rule, Kind: alert.ErrorRate, Severity: alert.Critical, Sender: "shop", Silence: under})
		must(t, err)
		return id
	}
	set := func(id uuid.UUID, by *alert.Silence) {
		_, err := all.SetSilence(r.ctx, id, by)
		must(t, err)
	}
	resolve := func(id uuid.UUID) {
		_, err := all.Resolve(r.ctx, id, "over")
		must(t, err)
	}
	over := raise("over before the silence", &silence)
	resolve(over)
	known := raise("known before the silence", nil)
	set(known, &silence)
	resolve(known)
	outlasts := raise("outlasts the silence", &silence)
	taken := raise("acknowledged under the silence", &silence)
	_, err = all.Acknowledge(r.ctx, taken, "on it", operator, func(alert.Alert) bool { return true })
	must(t, err)
	r.settled()
	if got := transitionsOf(rec.all(), outlasts); len(got) != 0 {
		t.Errorf("during its silence, got %v", got)
	}
	ended, err := all.EndSilence(r.ctx, silence.ID, operator, func(alert.Silence) bool { return true })
	must(t, err)
	if ended.Active(time.Now()) || ended.Reason != "known" || ended.By.ID != "key-7" {
		t.Errorf("ended %+v", ended)
	}
	for _, id := range []uuid.UUID{outlasts, taken} {
		set(id, nil)
	}
	resolve(outlasts)
	resolve(taken)
	r.settled()
	for id, want := range map[uuid.UUID][]string{
		over: nil, known: {"alert.raised RAISED", "alert.resolved RESOLVED"}, outlasts: {"alert.raised RAISED", "alert.resolved RESOLVED"}, taken: nil,
	} {
		if got := transitionsOf(rec.all(), id); !slices.Equal(got, want) {
			t.Errorf("got transitions %v, want %v", got, want)
		}
	}
}

// Slack and PagerDuty are notified in their own formats. A permanently rejected
// notification doesn't block the following ones.
func TestAlertsInTheWordsOfOthers(t *testing.T) {
	t.Parallel()
	for format, words := range map[egress.AlertFormat][]string{
		egress.FormatSlack:     {`"mrkdwn"`, "ERROR_RATE raised", "ERROR_RATE acknowledged", "by KEY key-7", "ERROR_RATE resolved"},
		egress.FormatPagerDuty: {`"routing_key":"R0UT1NG"`, `"event_action":"trigger"`, `"event_action":"acknowledge"`, `"event_action":"resolve"`},
	} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			rec := receive(t, func(n int, _ *http.Request) int {
				if n <= 4 {
					return http.StatusBadRequest // rejects the first one permanently
				}
				return http.StatusAccepted
			})
			r := setup(t, time.Hour)
			r.startAlerts(rec.URL, "R0UT1NG", format, time.Now)
			r.raise("refused")
			r.eventually("the following transitions are delivered", func() bool { return len(rec.all()) >= 6 })
			var text strings.Builder
			for _, d := range rec.all() {
				if d.signature != "" {
					t.Error("the notification has a Standard Webhooks signature")
				}
				text.Write(d.body)
			}
			for _, w := range words {
				if !strings.Contains(text.String(), w) {
					t.Errorf("%s is missing in %s", w, text.String())
				}
			}
		})
	}
}

// Transitions that are a day old are not delivered.
func TestOldAlertsAreNotTold(t *testing.T) {
	t.Parallel()
	rec := receive(t, accept)
	r := setup(t, time.Hour)
	r.startAlerts(rec.URL, hooks.NewSecret(), egress.FormatWaypost, func() time.Time { return time.Now().Add(25 * time.Hour) })
	r.raise("old")
	r.settled()
	if all := rec.all(); len(all) != 0 {
		t.Errorf("%d old transitions were delivered", len(all))
	}
}

func TestSecretsThatCannotSign(t *testing.T) {
	t.Parallel()
	for secret, good := range map[string]bool{
		hooks.NewSecret(): true, "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0": true, "": false, "whsec_": false, "my secret": false,
	} {
		if err := hooks.CheckSecret(secret); (err == nil) != good {
			t.Errorf("%q: %v", secret, err)
		}
	}
}
