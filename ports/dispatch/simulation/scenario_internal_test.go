package simulation

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost/waypost/domain/message"
)

// quiet returns a plan with n messages, one sender, one process, and no faults.
func quiet(n int) plan {
	p := plan{
		processes: 1, senders: []senderPlan{{id: "acme", number: "100000", account: "500", rate: 20}},
		policy: message.Policy{
			RetryDelays: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, CallTimeout: 30 * time.Second,
			SettleAfter: 90 * time.Second, ThrottleLimit: 20,
		},
		settleAfterOutage: 5 * time.Minute,
		faults:            faults{end: time.Second, lag: 5 * time.Millisecond, statusDelay: 300 * time.Millisecond, repeatGap: 3 * time.Second},
	}
	for i := range n {
		p.messages = append(p.messages, messagePlan{
			key: string(rune('a' + i)), to: "+1202555000" + string(rune('0'+i%10)), priority: message.PriorityTransactional,
			onAmbiguous: message.AmbiguityResend, at: time.Duration(i) * 50 * time.Millisecond,
		})
	}
	return p
}

func playPlan(t *testing.T, p plan) Report {
	t.Helper()
	var r Report
	synctest.Test(t, func(t *testing.T) { r = play(t.Context(), 1, p, NoDefect) })
	if len(r.Violations) > 0 || t.Failed() {
		t.Fatalf("%q\n%s", r.Violations, r.History())
	}
	return r
}

// Responses are lost, Waypost is down for minutes, and WhatsApp sends the statuses minutes
// after it is back: nothing is sent a second time.
func TestWebhooksLateByMinutesAfterAnOutageSettle(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(*faults){
		"of the process": func(f *faults) {
			f.crashes = []crash{{at: 600 * time.Millisecond, back: 20 * time.Minute}}
		},
		"of the event store": func(f *faults) {
			f.storeAway = []span{{600 * time.Millisecond, 20 * time.Minute}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := quiet(10)
			f := &p.faults
			f.end, f.cut, f.repeatGap = 20*time.Minute, 1, 4*time.Minute
			outage(f)
			r := playPlan(t, p)
			if r.Stats.TakenTwice != 0 || r.Stats.Accepted != r.Stats.Messages || r.Stats.Messages != 10 {
				t.Errorf("%+v\n%s", r.Stats, r.History())
			}
			if r.Stats.Lost == 0 {
				t.Error("no response was lost, so the test proves nothing")
			}
		})
	}
}

// If no status arrives, the message is sent again by policy, and that is counted when
// WhatsApp reports both calls.
func TestWithoutAStatusThePolicyActs(t *testing.T) {
	t.Parallel()
	p := quiet(10)
	f := &p.faults
	f.end, f.cut, f.statusDropped = time.Minute, 1, 1
	for i := range p.messages {
		if i%2 == 0 {
			p.messages[i].onAmbiguous = message.AmbiguityDeadLetter
		}
	}
	r := playPlan(t, p)
	if r.Stats.TakenTwice < 5 {
		t.Errorf("%d messages were accepted twice, want at least 5\n%s", r.Stats.TakenTwice, r.History())
	}
	if r.Stats.DeadLetters < 5 {
		t.Errorf("%d dead letters, want at least 5", r.Stats.DeadLetters)
	}
}

// A message that WhatsApp cannot accept is called four times, after 1, 2, and 4 s.
func TestRetriesComeAfterOneTwoAndFourSeconds(t *testing.T) {
	t.Parallel()
	p := quiet(1)
	p.faults.end, p.faults.transient = time.Minute, 1
	var w *world
	synctest.Test(t, func(t *testing.T) { w = playWorld(t.Context(), 1, p, NoDefect) })
	var failed, called []time.Duration
	s := w.messageStream(message.ID("acme", "a"))
	for i, e := range s.events {
		switch e.Event.(type) {
		case message.Failed:
			failed = append(failed, s.at[i])
		case message.SendAttempted:
			called = append(called, s.at[i])
		}
	}
	if len(failed) < 4 || len(called) < 4 {
		t.Fatalf("%d calls, %d failed", len(called), len(failed))
	}
	for i, delay := range p.policy.RetryDelays {
		if gap := called[i+1] - failed[i]; gap < delay-50*time.Millisecond || gap > delay+50*time.Millisecond {
			t.Errorf("retry %d came %s after the failure, want %s", i+1, gap, delay)
		}
	}
}
