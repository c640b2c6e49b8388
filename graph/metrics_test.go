package graph_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/postgres"
	lagging "github.com/waypost/waypost/app/process"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/graph"
)

const figures = `window at queued sent delivered read failed deadLettered expired retried throttled ambiguous settled
	sentTwice sentPerMinute deliveryRate errorRate errorsByType { class category code count rate }
	averageDeliveryLatency p50DeliveryLatency p95DeliveryLatency p99DeliveryLatency averageWebhookLag
	queueDepth scheduled queueGrowthPerMinute oldestDueAge`

func TestMetricsOverGraphQL(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue("waits")
	dead, _ := p.queue("dies")
	p.deadLetter(dead)
	p.project()

	m := at(t, p.ok("admin", `{ metrics(senderId: "acme", window: "PT1M") { `+figures+` } }`, nil), "metrics")
	for field, want := range map[string]any{
		"window": "PT1M", "queued": 2.0, "deadLettered": 1.0, "sent": 0.0, "queueDepth": 1.0, "errorRate": 1.0,
		"deliveryRate": nil, "p50DeliveryLatency": nil, "queueGrowthPerMinute": 1.0,
	} {
		if got := at(t, m, field); got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if e := at(t, m, "errorsByType", 0); at(t, e, "class") != "TRANSIENT" || at(t, e, "category") != "network" ||
		at(t, e, "code") != nil || at(t, e, "count") != 1.0 || at(t, e, "rate") != 1.0 {
		t.Errorf("errors by type %v", e)
	}

	now := time.Now().UTC().Truncate(time.Minute)
	series := at(t, p.ok("admin", `query($from: Time!, $to: Time!) { metricSeries(from: $from, to: $to) { at metrics { `+figures+` } } }`,
		map[string]any{"from": now.Add(-4 * time.Minute), "to": now.Add(time.Minute)}), "metricSeries").([]any)
	var queued float64
	for _, point := range series {
		queued += at(t, point, "metrics", "queued").(float64)
	}
	if len(series) != 5 || queued != 2 {
		t.Errorf("%d points with %v queued, want 5 with 2", len(series), queued)
	}

	s := at(t, p.ok("admin", `{ senders { id queueDepth drainPerMinute emptyIn effectiveRate throttledUntil hold { nextProbeAt } } }`, nil), "senders", 0)
	if at(t, s, "drainPerMinute") != 1.0 || at(t, s, "emptyIn") != "PT1M" || at(t, s, "effectiveRate") != 0.0 {
		t.Errorf("sender %v", s)
	}
}

// A lane that has stopped because WhatsApp doesn't respond says so.
func TestSenderShowsAnOutageOfWhatsApp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	const ask = `{ sender(id: "acme") { state breaker { since failures nextProbeAt lastFailure } } }`
	if s := at(t, p.ok("admin", ask, nil), "sender"); at(t, s, "breaker") != nil {
		t.Errorf("without an outage: %v", s)
	}
	since := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	must(t, postgres.NewLeases(p.pool).PublishLaneStatus(p.ctx, map[string]query.LaneStatus{
		"acme": {Breaker: &query.Breaker{Since: since, Failures: 12, LastFailure: "HTTP 503", NextProbeAt: since.Add(4 * time.Second)}},
	}))
	s := at(t, p.ok("admin", ask, nil), "sender")
	if at(t, s, "state") != "ACTIVE" || at(t, s, "breaker", "since") != "2026-12-01T12:00:00Z" || at(t, s, "breaker", "failures") != 12.0 ||
		at(t, s, "breaker", "nextProbeAt") != "2026-12-01T12:00:04Z" || at(t, s, "breaker", "lastFailure") != "HTTP 503" {
		t.Errorf("sender %v", s)
	}
}

func TestMetricsHaveBounds(t *testing.T) {
	t.Parallel()
	p := setup(t)
	limited := p.keys.add("limited", []string{"acme"}, graph.ScopeRead)
	const series = `metricSeries(from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", `
	for _, c := range []struct{ name, key, query, code string }{
		{"empty window", "admin", `{ metrics(window: "PT0S") { sent } }`, "INVALID_INPUT"},
		{"window of a year", "admin", `{ metrics(window: "P365D") { sent } }`, "INVALID_INPUT"},
		{"too many points", "admin", `{ ` + series + `step: "PT10S") { at } }`, "INVALID_INPUT"},
		{"seconds in the distant past", "admin", `{ ` + series + `step: "PT90S") { at } }`, "INVALID_INPUT"},
		{"too long", "admin", `{ metricSeries(from: "2026-01-01T00:00:00Z", to: "2026-03-01T00:00:00Z", step: "PT1H") { at } }`, "INVALID_INPUT"},
		{"backwards", "admin", `{ metricSeries(from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z") { at } }`, "INVALID_INPUT"},
		{"all senders by a limited key", limited, `{ metrics { sent } }`, "INVALID_INPUT"},
		{"another sender by a limited key", limited, `{ metrics(senderId: "bolt") { sent } }`, "FORBIDDEN"},
		{"its own sender", limited, `{ metrics(senderId: "acme") { sent } }`, ""},
		{"minutes in the distant past", "admin", `{ ` + series + `step: "PT1M") { at } }`, ""},
	} {
		if code := p.ask(c.key, c.query, nil).code(); code != c.code {
			t.Errorf("%s: %q, want %q", c.name, code, c.code)
		}
	}
}

func TestMetricsComeAgainAndAgain(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.queue("one")
	p.project()
	s := p.stream(p.request("admin", `subscription { metrics(every: "PT0.2S") { at queued } }`, nil))
	var last string
	for range 3 {
		var r struct {
			Data struct {
				Metrics struct {
					At     string
					Queued int
				}
			}
		}
		must(t, json.Unmarshal([]byte(s.next()), &r))
		if m := r.Data.Metrics; m.Queued != 1 || m.At == last {
			t.Fatalf("got %+v after %s", m, last)
		}
		last = r.Data.Metrics.At
	}
}

// A read model that is not being updated is behind by the age of the first event that
// it lacks.
func TestLagIsThatOfTheLog(t *testing.T) {
	t.Parallel()
	p := setup(t)
	clock := time.Now()
	lag := lagging.NewMeasureLag(p.log, p.log, laggards{p}, func() time.Time { return clock })
	m, err := lag.ReadModel(p.ctx, clock)
	must(t, err)
	if m.Behind != 0 {
		t.Errorf("behind by %v without an event that is wanted", m.Behind)
	}
	before := time.Now().Round(0) // events have wall time, so an adjusted clock must show here as well
	p.queue("one")
	after := time.Now().Round(0)
	clock = after.Add(time.Minute)
	m, err = lag.ReadModel(p.ctx, clock)
	must(t, err)
	if most := time.Minute + after.Sub(before); m.Behind < time.Minute || m.Behind > most {
		t.Errorf("behind by %v, want the minute since the message was queued, at most %s", m.Behind, most)
	}
}

// laggards are read models that have seen the sender and nothing since.
type laggards struct{ p *platform }

func (l laggards) ReadModel(ctx context.Context, now time.Time) (query.ReadModel, error) {
	return l.p.options.Queries.ReadModel(ctx, now)
}

func (l laggards) Projected(context.Context) ([]query.Projected, error) {
	return []query.Projected{
		{Group: "ahead", Position: 1 << 60, Types: []string{"Queued"}},
		{Group: "stopped", Position: 0, Types: []string{"Queued", "Sent"}},
	}, nil
}
