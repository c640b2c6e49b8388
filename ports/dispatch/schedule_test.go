package dispatch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// late is how much later than its time anything can happen while Waypost is idle.
const late = 50 * time.Millisecond

func wantGap(t *testing.T, what string, gap, want time.Duration) {
	t.Helper()
	if gap < want || gap > want+late {
		t.Errorf("%s came after %s, want %s and at most %s more", what, gap, want, late)
	}
}

// refusal returns the failure that the error table defines for a code.
func refusal(row whatsapp.ErrorRow, code int) message.Refused {
	return message.Refused{
		Failure: message.Failure{Code: &code, Category: row.Category, Class: row.Class, Message: row.Title},
		Scope:   row.Scope,
	}
}

// Every row of the error table affects a message and its lane as its class
// requires.
func TestEveryErrorActsByItsClass(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	table, err := whatsapp.LoadErrorTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows() {
		code := 0
		if _, err := fmt.Sscan(row.Key, &code); err != nil || row.Class == "" {
			continue // a response without a code
		}
		t.Run(row.Key, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				refusals := 1 << 30
				if row.Class != message.ClassTransient && row.Class != message.ClassPermanent || row.HoldsTemplate {
					refusals = 1
				}
				w.answer = func(dispatch.CallRequest) message.CallResult {
					if refusals--; refusals < 0 {
						return nil
					}
					return refusal(row, code)
				}
				d, _ := w.dispatch(nil)
				time.Sleep(time.Second) // it owns its lane
				id := w.queue("acme", recipient(1), func(q *message.Queued) {
					if row.HoldsTemplate {
						q.Kind, q.Template = message.KindTemplate, "spring_sale"
					}
				})
				time.Sleep(500 * time.Millisecond)
				held := d.Snapshot()["acme"].Held
				time.Sleep(2 * time.Minute)
				m := w.message(id)
				var gaps []time.Duration
				for i := range m.Calls[1:] {
					gaps = append(gaps, m.Calls[i+1].StartedAt.Sub(m.Calls[i].EndedAt))
				}
				wantClass(t, row, m, gaps)
				if held != (row.Class == message.ClassSender) {
					t.Errorf("held: %v", held)
				}
			})
		})
	}
}

// wantClass fails the test unless a message was treated as the class of a row requires,
// given the gaps between its calls.
func wantClass(t *testing.T, row whatsapp.ErrorRow, m message.Message, gaps []time.Duration) {
	t.Helper()
	switch {
	case row.HoldsTemplate:
		want(t, m, message.StatusSent, 1, 2)
		wantGap(t, "the next try of the template", gaps[0], time.Minute)
	case row.Class == message.ClassTransient:
		want(t, m, message.StatusDeadLettered, 4, 4)
		for i, gap := range gaps {
			wantGap(t, fmt.Sprintf("retry %d", i+1), gap, time.Second<<i)
		}
	case row.Class == message.ClassPermanent:
		want(t, m, message.StatusFailed, 1, 1)
	case row.Class == message.ClassThrottled:
		want(t, m, message.StatusSent, 1, 2)
		wantGap(t, "the call after the throttle", gaps[0], time.Second)
	case row.Class == message.ClassSender:
		want(t, m, message.StatusSent, 1, 2)
		if gaps[0] < time.Second || gaps[0] > 2*time.Second {
			t.Errorf("it was sent %s after the hold, which ends with a probe after 1 s", gaps[0])
		}
	}
}

func want(t *testing.T, m message.Message, status message.Status, attempts, calls int) {
	t.Helper()
	if m.Status != status || m.Attempts != attempts || len(m.Calls) != calls {
		t.Fatalf("it is %s after %d attempts in %d calls, want %s after %d in %d", m.Status, m.Attempts, len(m.Calls), status, attempts, calls)
	}
}

// Lost responses that nothing settles are retried by the schedule as well.
func TestLostAnswersGoByTheScheduleWithoutSettling(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		w.answer = func(dispatch.CallRequest) message.CallResult { return message.Lost{Cause: "cut"} }
		w.dispatch(func(o *dispatch.Options) { o.Policy.SettleAfter = 0 })
		id := w.queue("acme", recipient(1), nil)
		time.Sleep(20 * time.Second)
		m := w.message(id)
		want(t, m, message.StatusDeadLettered, 4, 4)
		for i := range m.Calls[1:] {
			wantGap(t, fmt.Sprintf("call %d", i+2), m.Calls[i+1].StartedAt.Sub(m.Calls[i].EndedAt), time.Second<<i)
		}
	})
}

// Messages with a sendAt are sent at that time, whatever else waits.
func TestScheduledMessagesGoOnTime(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		for n := range 5000 {
			w.queue("acme", recipient(n), nil)
		}
		start := time.Now()
		for n := range 500 { // 50 per second
			w.queue("acme", recipient(5000+n), func(q *message.Queued) {
				q.SendAt = start.Add(2*time.Second + time.Duration(n)*20*time.Millisecond)
			})
		}
		w.dispatch(nil)
		time.Sleep(15 * time.Second)
		scheduled, tooLate := 0, 0
		for _, c := range w.made() {
			m := w.message(c.MessageID)
			if m.SendAt.IsZero() {
				continue
			}
			scheduled++
			if after := c.at.Sub(m.SendAt); after < 0 {
				t.Errorf("%s before its time", -after)
			} else if after > 100*time.Millisecond {
				tooLate++
			}
		}
		if scheduled != 500 || tooLate > 5 {
			t.Errorf("%d of 500 were sent, %d of them more than 100 ms late", scheduled, tooLate)
		}
		w.wantWithin("acme", 80)
	})
}

// While a sender is held, its messages wait unchanged and its health is queried after
// 1, 2, 4 … 60 s. A new token makes Waypost query it immediately. Sending resumes
// automatically.
func TestHoldsProbeWithBackoffAndResumeAlone(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80, "other": 80}, func(w *world) {
		code, well := 190, false
		fault := message.Failure{Code: &code, Category: message.CategoryAuth, Class: message.ClassSender, Message: "the token ended"}
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			if r.SenderID == "acme" && !well {
				return message.Refused{Failure: fault}
			}
			return nil
		}
		w.healthy = func() (bool, message.Failure) { return well, fault }
		w.dispatch(nil)
		for n := range 1000 {
			w.queue("acme", recipient(n), nil)
		}
		time.Sleep(5 * time.Minute)
		if n := len(w.made()); n > 20 {
			t.Errorf("%d calls of a held sender", n)
		}
		other := w.queue("other", recipient(1), nil)
		time.Sleep(time.Second)
		if m := w.message(other); m.Status != message.StatusSent {
			t.Errorf("another sender's message is %s", m.Status)
		}
		var probes []time.Time
		w.locked(func() { probes = slices.Clone(w.probes) })
		for i, wait := range []int{2, 4, 8, 16, 32, 60, 60} {
			if gap := probes[i+1].Sub(probes[i]); gap < time.Duration(wait)*time.Second || gap > time.Duration(wait)*time.Second+200*time.Millisecond {
				t.Errorf("query %d came %s after the one before, want %d s", i+2, gap, wait)
			}
		}
		w.locked(func() { well = true })
		_, err := w.senders.Update(w.ctx, "acme", sender.Changes{}, "a better token", tester)
		w.must(err)
		time.Sleep(20 * time.Second)
		if n := w.count(message.StatusSent); n != 1001 {
			t.Errorf("%d of 1001 messages were sent", n)
		}
		for _, c := range w.made() {
			if m := w.message(c.MessageID); m.Attempts != 1 {
				t.Fatalf("%d attempts used", m.Attempts)
			}
		}
	})
}
