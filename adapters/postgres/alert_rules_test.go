package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/alert"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// script is what is recorded when, in seconds after start.
type script struct {
	k     known
	steps map[int][]func()
}

func (s *script) at(second int, do func()) { s.steps[second] = append(s.steps[second], do) }

func (s *script) events(second int, id uuid.UUID, events ...domain.Event) {
	s.at(second, func() { s.k.at(second, id, events...) })
}

func (s *script) sender(second int, id string, events ...domain.Event) {
	s.at(second, func() {
		s.k.now = at(second).Add(-time.Second)
		s.k.append("sender-"+id, events...)
	})
}

// message queues a message, calls it in that second, and adds the given outcome.
func (s *script) message(second int, of string, outcome ...domain.Event) {
	id := uuid.New()
	s.events(second, id, append([]domain.Event{queued(of, id.String()), attempt(1, second)}, outcome...)...)
}

func delivered(calledAt, second int) message.Delivered {
	return message.Delivered{Call: 1, At: at(second), CalledAt: at(calledAt)}
}

// The default rules, evaluated on the data of real stores for a quarter of an hour in which
// most senders have a problem.
func TestRulesAgainstRealFigures(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("one goroutine works for long")
	}
	k := known{setup(t)}
	s := &script{k: k, steps: map[int][]func(){}}
	const end = 780
	for n, id := range []string{"errs", "caps", "slow", "silent", "grow", "full", "stalled", "paused", "later", "campaign", "held", "expiring"} {
		rate := 80
		if id == "full" {
			rate = 1
		}
		s.sender(0, id, sender.SenderRegistered{Sender: id, Name: id, PhoneNumberID: fmt.Sprint(n), MessagesPerSecond: rate})
	}
	refused := failed(1, 131026, message.ClassPermanent, message.CategoryRecipient)
	capped := failed(1, 131049, message.ClassPermanent, message.CategoryPolicy)
	cappedLater := capped
	cappedLater.AfterAcceptance = true
	for i := 1; i <= 60; i++ {
		if i%12 == 0 { // five of sixty fail
			s.message(i, "errs", refused)
		} else {
			s.message(i, "errs", accepted(1, i), delivered(i, i+1))
		}
		// WhatsApp keeps most of a campaign back, before and after it has taken it.
		s.message(i, "caps", capped)
		s.message(i, "caps", accepted(1, i), cappedLater)
		if i <= 25 {
			s.message(i, "slow", accepted(1, i), delivered(i-8, i))
			s.message(i, "silent", accepted(1, i))
		}
	}
	// Of what comes each minute less leaves; a lane at its full rate only warns.
	for i := range 150 {
		for _, id := range []string{"grow", "full"} {
			s.events(10, uuid.New(), queued(id, fmt.Sprint(i)))
		}
	}
	for second := 15; second < 600; second += 15 {
		for i := range 20 {
			s.events(second, uuid.New(), queued("full", fmt.Sprint("more", second, i)))
		}
		for range 15 { // one per second
			s.message(second, "full", accepted(1, second), delivered(second, second+1))
		}
		for i := range 5 {
			s.events(second, uuid.New(), queued("grow", fmt.Sprint("more", second, i)))
		}
		s.message(second, "grow", accepted(1, second), delivered(second, second+1))
	}
	for _, id := range []string{"grow", "full"} { // all of it leaves in the end
		s.at(600, func() { k.cancelAll(600, id) })
	}
	stuck, waiting := uuid.New(), uuid.New()
	s.events(10, stuck, queued("stalled", "1"))
	s.events(500, stuck, attempt(1, 500), accepted(1, 500), delivered(500, 501))
	// What only runs out of time has not left.
	for second := 10; second < 500; second += 30 {
		id := uuid.New()
		s.events(second, id, queued("expiring", id.String()))
		s.events(second+25, id, message.Expired{})
	}
	kept := uuid.New()
	s.events(10, kept, queued("expiring", "kept"))
	s.events(500, kept, attempt(1, 500), accepted(1, 500), delivered(500, 501))
	s.sender(5, "paused", sender.SenderPaused{Reason: "lunch", Priorities: []string{"OTP", "TRANSACTIONAL", "BULK"}})
	s.events(10, waiting, queued("paused", "1"))
	s.events(500, waiting, message.Cancelled{Reason: "no"})
	s.sender(50, "held", sender.SenderHeld{Fault: sender.Fault{Category: "auth", Message: "token expired"}})
	s.sender(300, "held", sender.SenderReleased{})
	// What is scheduled is no growth, and what becomes due all at once neither.
	for i := range 150 {
		q := queued("later", fmt.Sprint(i))
		q.SendAt = at(100_000)
		s.events(20, uuid.New(), q)
		q = queued("campaign", fmt.Sprint(i))
		q.SendAt = at(200)
		id := uuid.New()
		s.events(30, id, q)
		called := 205 + 2*i
		s.events(called, id, attempt(1, called), accepted(1, called), delivered(called, called+1))
	}
	s.at(100, func() { must(t, postgres.NewLeases(k.pool).AddRejections(k.ctx, at(100), 10)) })
	s.message(400, "silent", accepted(1, 400), delivered(400, 401))

	raised := k.watch(s, end)
	for what, want := range map[string][2]int{ // raised and resolved not before
		"ERROR_RATE/errs/CRITICAL":        {110, 400},
		"DELIVERY_LATENCY/slow/CRITICAL":  {80, 360},
		"QUEUE_GROWTH/grow/CRITICAL":      {255, 600},
		"QUEUE_GROWTH/full/WARNING":       {255, 600},
		"QUEUE_STALLED/stalled/CRITICAL":  {130, 500},
		"QUEUE_STALLED/expiring/CRITICAL": {130, 500},
		"QUEUE_STALLED/paused/WARNING":    {130, 500},
		"SENDER_HELD/held/CRITICAL":       {50, 300},
		"WEBHOOK_SILENCE/silent/CRITICAL": {121, 400},
		"WEBHOOK_REJECTED//WARNING":       {100, 400},
	} {
		got := raised[what]
		if len(got) != 2 || got[0] < want[0] || got[0] > want[0]+30 || got[1] < want[1] {
			t.Errorf("%s was raised and resolved at %v; want about %v", what, got, want)
		}
		delete(raised, what)
	}
	if len(raised) != 0 {
		t.Errorf("also raised: %v", raised)
	}
}

// cancelAll ends all that is open of a sender.
func (k known) cancelAll(second int, of string) {
	rows, err := k.pool.Query(k.ctx, `SELECT id FROM message WHERE sender = $1 AND status = 'QUEUED'`, of)
	must(k.tb, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	must(k.tb, err)
	for _, id := range ids {
		k.at(second, id, message.Cancelled{Reason: "enough"})
	}
}

// watch plays the script and evaluates the rules every five seconds; the evaluator does so
// every second. It returns when each alert was raised and resolved.
func (k known) watch(s *script, end int) map[string][]int {
	k.tb.Helper()
	rules := alert.Rules(nil)
	read := postgres.NewReadModel(k.pool)
	watches := map[string]*alert.Watch{}
	open := map[string][]alert.Key{}
	raised := map[string][]int{}
	for second := range end + 1 {
		for _, do := range s.steps[second] {
			do()
		}
		if second%5 != 0 {
			continue
		}
		k.project()
		facts, err := read.AlertFacts(k.ctx, alert.NeedsOf(rules), at(second).Add(time.Millisecond))
		must(k.tb, err)
		for _, r := range rules {
			findings, known := alert.Assess(r, facts, nil)
			if !known {
				k.tb.Fatalf("%s cannot be assessed", r.Kind)
			}
			if watches[r.ID] == nil {
				watches[r.ID] = alert.NewWatch()
			}
			raise, resolve := watches[r.ID].Step(r, findings, open[r.ID], at(second))
			for _, f := range raise {
				key := alert.Key{Rule: r.ID, Sender: f.Sender, Severity: f.Severity}
				open[r.ID] = append(open[r.ID], key)
				what := fmt.Sprintf("%s/%s/%s", r.Kind, f.Sender, f.Severity)
				raised[what] = append(raised[what], second)
			}
			for _, key := range resolve {
				open[r.ID] = slices.DeleteFunc(open[r.ID], func(o alert.Key) bool { return o == key })
				what := fmt.Sprintf("%s/%s/%s", r.Kind, key.Sender, key.Severity)
				raised[what] = append(raised[what], second)
			}
		}
	}
	return raised
}
