package postgres_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/query"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// known is a log whose metrics can be computed by hand. Times are in seconds after start.
type known struct {
	*bundle
}

func at(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }

func (k known) at(second int, id uuid.UUID, events ...domain.Event) {
	k.tb.Helper()
	k.now = at(second).Add(-time.Second)
	k.append(event.MessageStream(id), events...)
}

func failed(call, code int, class message.Class, category message.Category) message.Failed {
	return message.Failed{
		Call: call, Attempt: call, Final: class == message.ClassPermanent,
		Failure: message.Failure{Code: &code, Class: class, Category: category, Message: "no"},
	}
}

func attempt(call, second int) message.SendAttempted {
	return message.SendAttempted{Call: call, Attempt: call, AnswerBy: at(second + 32)}
}

func accepted(call, second int) message.Sent {
	return message.Sent{Call: call, At: at(second), By: message.ByAnswer}
}

// record writes the known log and returns a message that is sent and not delivered.
func (k known) record() (undelivered uuid.UUID) {
	var m [11]uuid.UUID
	for i := range m {
		m[i] = uuid.New()
	}
	text := func(i int) message.Queued { return queued("acme", fmt.Sprint(i)) }

	// Sent before the window, delivered in it, 669 s after the call.
	k.at(-602, m[0], text(0))
	k.at(-600, m[0], attempt(1, -600))
	k.at(-599, m[0], accepted(1, -599))
	// Read, with everything as it should be; lags of 1, 2 and 1 s, latency 2 s.
	k.at(10, m[1], text(1))
	k.at(11, m[1], attempt(1, 11))
	k.at(12, m[1], accepted(1, 12))
	k.at(14, m[1], message.Confirmed{Call: 1, At: at(13)})
	k.at(15, m[1], message.Delivered{Call: 1, At: at(13), CalledAt: at(11)})
	k.at(20, m[1], message.Read{Call: 1, At: at(19), CalledAt: at(11)})
	// Retried once; read without a delivered: lag 1 s, latency 5 s. The late delivered adds
	// a status and a lag of 1 s.
	k.at(21, m[2], text(2))
	k.at(22, m[2], attempt(1, 22))
	k.at(23, m[2], failed(1, 131000, message.ClassTransient, message.CategoryServer), message.RetryScheduled{Attempt: 1, DueAt: at(24)})
	k.at(24, m[2], attempt(2, 24))
	k.at(25, m[2], accepted(2, 25))
	k.at(30, m[2], message.Read{Call: 2, At: at(29), CalledAt: at(24)})
	k.at(31, m[2], message.Delivered{Call: 2, At: at(30), CalledAt: at(24)})
	// Throttled, then lost, then settled by its echo: lag 4 s, latency 2 s.
	code := 130429
	k.at(31, m[3], text(3))
	k.at(32, m[3], attempt(1, 32))
	k.at(33, m[3], message.Deferred{Call: 1, Reason: message.DeferThrottled, Scope: message.ScopeNumber, Code: &code, DueAt: at(34)})
	k.at(34, m[3], attempt(2, 34))
	k.at(35, m[3], message.OutcomeUnknown{Call: 2, Cause: "timeout", SettleBy: at(65)})
	k.at(40, m[3], message.Sent{Call: 2, At: at(34), By: message.ByStatus}, message.Delivered{Call: 2, At: at(36), CalledAt: at(34)})
	// Failed finally; failed after acceptance by a policy cap; dead.
	k.at(41, m[4], text(4))
	k.at(42, m[4], attempt(1, 42))
	k.at(43, m[4], failed(1, 131026, message.ClassPermanent, message.CategoryRecipient))
	k.at(44, m[5], text(5))
	k.at(45, m[5], attempt(1, 45))
	k.at(46, m[5], accepted(1, 46))
	declined := failed(1, 131049, message.ClassPermanent, message.CategoryPolicy)
	declined.AfterAcceptance, declined.At = true, at(49)
	k.at(50, m[5], declined)
	k.at(51, m[6], text(6))
	k.at(52, m[6], attempt(1, 52))
	last := failed(1, 131000, message.ClassTransient, message.CategoryServer)
	k.at(53, m[6], last, message.DeadLettered{Attempts: 1, Failure: last.Failure})
	// Scheduled; due and never called; expired.
	scheduled := text(7)
	scheduled.SendAt = at(1000)
	k.at(54, m[7], scheduled)
	k.at(55, m[8], text(8))
	k.at(56, m[9], text(9))
	k.at(60, m[9], message.Expired{})
	// Lost and sent again, then the echo of the first comes: twice. Its lag is 4 s.
	k.at(61, m[10], text(10))
	k.at(62, m[10], attempt(1, 62))
	k.at(63, m[10], message.OutcomeUnknown{Call: 1, Cause: "timeout", SettleBy: at(64)})
	k.at(64, m[10], attempt(2, 64))
	k.at(65, m[10], accepted(2, 65))
	k.at(66, m[10], message.Sent{Call: 1, At: at(62), By: message.ByStatus, Again: true}, message.Confirmed{Call: 1, At: at(62)})
	k.at(70, m[0], message.Delivered{Call: 1, At: at(69), CalledAt: at(-600)})

	k.at(100, uuid.New(), queued("bolt", "1")) // another sender's
	k.project()
	return m[10]
}

func expect[T comparable](t *testing.T, name string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func TestFiguresOfAKnownLog(t *testing.T) {
	t.Parallel()
	k := known{setup(t)}
	k.record()
	read := postgres.NewReadModel(k.pool)
	acme := "acme"
	m, err := read.Metrics(k.ctx, &acme, 5*time.Minute, at(300))
	must(t, err)

	for _, f := range []struct {
		name      string
		got, want int64
	}{
		{"queued", m.Queued, 10},
		{"sent", m.Sent, 5},           // 1, 2, 3, 5, 10
		{"delivered", m.Delivered, 4}, // 0, 1, 2, 3
		{"read", m.Read, 2},           // 1, 2
		{"failed", m.Failed, 2},       // 4, 5
		{"deadLettered", m.DeadLettered, 1},
		{"expired", m.Expired, 1},
		{"faults", m.Faults, 2}, // 4, 6; not the policy cap
		{"retried", m.Retried, 1},
		{"throttled", m.Throttled, 1},
		{"ambiguous", m.Ambiguous, 2}, // 3, 10
		{"settled", m.Settled, 2},
		{"sentTwice", m.SentTwice, 1},
		{"calls", m.Calls, 10},      // 1 2·2 3·2 4 5 6 10·2
		{"statuses", m.Statuses, 9}, // 1·3 2·2 3 5 10 0
		{"queueDepth", m.QueueDepth, 1},
		{"scheduled", m.Scheduled, 1},
		{"queueChange", m.QueueChange, 1}, // 9 became due, 8 left
		{"drained", m.Drained, 8},
	} {
		expect(t, f.name, f.got, f.want)
	}
	expect(t, "sentPerMinute", m.SentPerMinute(), 1)
	expect(t, "queueGrowthPerMinute", m.QueueGrowthPerMinute(), 0.2)
	rate, _ := m.DeliveryRate()
	expect(t, "deliveryRate", rate, 3.0/5)
	rate, _ = m.ErrorRate()
	expect(t, "errorRate", rate, 2.0/7)
	average, _ := m.AverageLatency()
	expect(t, "averageDeliveryLatency", average, (2+5+2+669)*time.Second/4)
	lag, _ := m.AverageLag()
	expect(t, "averageWebhookLag", lag, (1+2+1+1+1+4+1+4+1)*time.Second/9)
	for p, want := range map[float64]time.Duration{0.5: 2 * time.Second, 0.75: 5 * time.Second, 0.99: 669 * time.Second} {
		if got, ok := m.Latencies.Percentile(p); !ok || (got-want).Abs() > want/32 {
			t.Errorf("percentile %v is %v, want %v", p, got, want)
		}
	}
	if m.OldestDueAge == nil || *m.OldestDueAge != 245*time.Second {
		t.Errorf("oldestDueAge is %v, want that of what was queued at 55", m.OldestDueAge)
	}
	type failureType struct {
		class    message.Class
		category message.Category
		code     int
		n        int64
	}
	got := map[failureType]bool{}
	for _, f := range m.Failures {
		got[failureType{f.Class, f.Category, *f.Code, f.Count}] = true
	}
	want := map[failureType]bool{
		{message.ClassTransient, message.CategoryServer, 131000, 2}:    true,
		{message.ClassThrottled, "", 130429, 1}:                        true,
		{message.ClassPermanent, message.CategoryRecipient, 131026, 1}: true,
		{message.ClassPermanent, message.CategoryPolicy, 131049, 1}:    true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("failures %v, want %v", got, want)
	}
	expect(t, "rate of the first", m.FailureRate(2), 2.0/19)

	all, err := read.Metrics(k.ctx, nil, 5*time.Minute, at(300))
	must(t, err)
	expect(t, "queued over all", all.Queued, 11)
	expect(t, "queueDepth over all", all.QueueDepth, 2)

	// A window of whole seconds that neither begins nor ends with a minute.
	part, err := read.Metrics(k.ctx, &acme, 30*time.Second, at(55))
	must(t, err)
	expect(t, "queued from 25 to 55", part.Queued, 5) // 3, 4, 5, 6, 7
	expect(t, "sent from 25 to 55", part.Sent, 3)     // 2, 3, 5
}

func TestSeriesOfAKnownLog(t *testing.T) {
	t.Parallel()
	k := known{setup(t)}
	undelivered := k.record()
	read := postgres.NewReadModel(k.pool)
	acme := "acme"
	series := func(from, to int, step time.Duration) []query.Metrics {
		points, err := read.MetricSeries(k.ctx, &acme, at(from), at(to), step, at(1200))
		must(t, err)
		return points
	}
	minutes := series(0, 300, time.Minute)
	expect(t, "points", len(minutes), 5)
	first, second := minutes[0], minutes[1]
	expect(t, "queued at first", first.Queued, 9)
	expect(t, "queued then", second.Queued, 1)
	expect(t, "depth at the first end", first.QueueDepth, 2) // 8, 9
	expect(t, "scheduled at the first end", first.Scheduled, 1)
	expect(t, "depth at the second end", second.QueueDepth, 1)
	rate, _ := first.DeliveryRate()
	expect(t, "deliveryRate at first", rate, 3.0/4)
	if _, known := minutes[2].ErrorRate(); minutes[2].Queued != 0 || known {
		t.Errorf("a gap is %+v, want zeros", minutes[2])
	}
	if !minutes[3].From.Equal(at(180)) || minutes[3].OldestDueAge != nil {
		t.Errorf("a past point is %+v", minutes[3])
	}
	// Up to now, 20 minutes later: scheduled messages have become due.
	last := series(900, 1200, time.Minute)
	expect(t, "depth before it is due", last[0].QueueDepth, 1)
	expect(t, "scheduled before it is due", last[0].Scheduled, 1)
	expect(t, "depth once it is due", last[1].QueueDepth, 2)
	expect(t, "scheduled once it is due", last[1].Scheduled, 0)

	// Per second, the metrics are the same.
	var sum, bySecond int64
	for _, p := range minutes {
		sum += p.Queued + 10*p.Sent + 100*p.Delivered + 1000*p.Calls + 10000*p.Statuses
	}
	for _, p := range series(0, 300, time.Second) {
		bySecond += p.Queued + 10*p.Sent + 100*p.Delivered + 1000*p.Calls + 10000*p.Statuses
	}
	expect(t, "sum by the second", bySecond, sum)

	// A late event changes no past metric.
	k.at(400, undelivered, message.Delivered{Call: 2, At: at(66), CalledAt: at(64)})
	k.project()
	if again := series(0, 300, time.Minute); !reflect.DeepEqual(again, minutes) {
		t.Errorf("past figures have changed:\n%+v\n%+v", minutes, again)
	}
	late := series(360, 420, time.Minute)
	expect(t, "delivered late", late[0].Delivered, 1)
}

// Seconds are deleted after some hours. A window then shows the same, per minute.
func TestSecondsAreForgotten(t *testing.T) {
	t.Parallel()
	k := known{setup(t)}
	k.record()
	later := int((query.SecondsKept + 10*time.Minute) / time.Second)
	k.at(later, uuid.New(), queued("acme", "later"))
	k.project()
	var seconds int
	must(t, k.pool.QueryRow(k.ctx, `SELECT (SELECT count(*) FROM metric WHERE width = 1 AND at < $1)
		+ (SELECT count(*) FROM metric_latency WHERE width = 1) + (SELECT count(*) FROM metric_cohort WHERE width = 1)
		+ (SELECT count(*) FROM metric_error WHERE width = 1)`, at(600)).Scan(&seconds))
	expect(t, "seconds that are left", seconds, 0)
	acme := "acme"
	m, err := postgres.NewReadModel(k.pool).Metrics(k.ctx, &acme, query.SecondsKept+20*time.Minute, at(later+1))
	must(t, err)
	expect(t, "queued", m.Queued, 11) // the ten of the first minute, and the last
	expect(t, "delivered", m.Delivered, 4)
	expect(t, "dead", m.DeadLettered, 1)
}

// Whatever happens, and wherever batches end: the messages that became due minus those that
// left are the due messages, and the same holds for scheduled messages.
func TestFlowsAddUpToTheQueues(t *testing.T) {
	b := setup(t)
	read := postgres.NewReadModel(b.pool)
	rapid.Check(t, func(rt *rapid.T) {
		histories := make([]*history, rapid.IntRange(1, 4).Draw(rt, "messages"))
		for i := range histories {
			histories[i] = &history{id: uuid.New(), sender: "acme"}
		}
		for range rapid.IntRange(1, 15).Draw(rt, "appends") {
			h := rapid.SampledFrom(histories).Draw(rt, "message")
			if events := h.next(rt, b.now); len(events) > 0 {
				if _, calls := events[0].(message.SendAttempted); calls && len(h.message.Calls) == 0 { // never before sendAt
					if q := h.records[0].Event.(message.Queued); q.SendAt.After(b.now) {
						b.now = q.SendAt
					}
				}
				b.append(event.MessageStream(h.id), events...)
				h.record(b.now, events...)
			}
		}
		b.project()
		ends := []time.Time{b.now.Add(time.Second), b.now.Add(30 * time.Second), b.now.Add(time.Hour)}
		for _, h := range histories { // also within the second of a sendAt, before and after it
			if second := h.message.SendAt.Truncate(time.Second); second.After(b.now) {
				ends = append(ends, second, h.message.SendAt)
			}
		}
		for _, end := range ends {
			now := end.Truncate(time.Microsecond) // as Postgres stores it
			if now.Equal(now.Truncate(time.Second)) {
				now = now.Add(time.Microsecond) // a window doesn't include a second that starts at its end
			}
			m, err := read.Metrics(b.ctx, nil, 24*time.Hour, now)
			if err != nil {
				rt.Fatal(err)
			}
			if m.QueueChange != m.QueueDepth || m.ScheduledChange != m.Scheduled {
				rt.Fatalf("due %d, scheduled %d by the events; %d and %d by the queues",
					m.QueueChange, m.ScheduledChange, m.QueueDepth, m.Scheduled)
			}
		}
	})
}
