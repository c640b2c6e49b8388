package lane

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

// A fetch requests the priorities of new items, or all if they are not known.
func TestArrivalsAreAskedForByPriority(t *testing.T) {
	l := New(sender.Sender{ID: "acme", Rate: 80}, &Shared{})
	requested := func() (found []message.Priority) {
		plan, _ := l.PlanFetch(false, time.Time{})
		for _, r := range plan.Requests {
			found = append(found, r.Priority)
		}
		return found
	}
	if got := requested(); len(got) != len(priorities) {
		t.Errorf("a new lane requests %v", got)
	}
	for class := range l.queues {
		l.queues[class].drained = true
	}
	if got := requested(); len(got) != 0 {
		t.Errorf("without new items, a lane requests %v", got)
	}
	l.Arrived(message.PriorityBulk)
	if got := requested(); len(got) != 1 || got[0] != message.PriorityBulk {
		t.Errorf("after new bulk messages, a lane requests %v", got)
	}
	l.Arrived("")
	if got := requested(); len(got) != len(priorities) {
		t.Errorf("after new items, a lane requests %v", got)
	}
}

// A fetch reads past the items of a paused campaign once. When the campaign is resumed, they are
// requested from the first one that stayed in the work list.
func TestAFetchPassesAPauseOnce(t *testing.T) {
	paused := true
	shared := newShared()
	shared.Paused = func(label string) bool { return paused && label == "spring" }
	l := New(sender.Sender{ID: "acme", Rate: 80}, shared)
	request := func() (of work.FetchRequest, revisits []work.FetchRequest, plan FetchPlan) {
		plan, _ = l.PlanFetch(true, time.Now())
		for _, r := range plan.Requests {
			switch {
			case r.Priority != message.PriorityBulk:
			case r.Label != "":
				revisits = append(revisits, r)
			default:
				of = r
			}
		}
		return of, revisits, plan
	}
	_, _, plan := request()
	var items []work.Item
	for n := range 2 * maxHeld {
		items = append(items, work.Item{
			MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true, Priority: message.PriorityBulk,
			QueuedPosition: event.Position(n + 1), Labels: []string{"spring"},
		})
	}
	l.Take(&plan, items, 1000, time.Now())
	if picked, _, _ := l.Pick(time.Now(), time.Now(), nil); len(picked) > 0 {
		t.Fatalf("%d flights of a paused campaign picked", len(picked))
	}
	r, revisits, plan := request()
	if r.After != 1000 || !slices.Equal(r.SkipLabels, []string{"spring"}) || len(revisits) > 0 {
		t.Errorf("during the pause, the lane requests %+v and %+v", r, revisits)
	}
	l.Take(&plan, nil, 2000, time.Now())
	paused = false
	r, revisits, _ = request()
	if r.After != 2000 || len(revisits) != 1 || revisits[0].After != maxHeld || revisits[0].Label != "spring" {
		t.Errorf("after the pause, the lane requests %+v and %+v", r, revisits)
	}
}

// Items of another gate that a revisit passes over, because their campaign is paused, are requested
// when it is resumed.
func TestARevisitPassesAPause(t *testing.T) {
	paused, held := false, true
	shared := newShared()
	shared.Paused = func(string) bool { return paused }
	l := New(sender.Sender{ID: "acme", Rate: 80}, shared)
	l.gates.reported = func(string) bool { return held }
	take := func(n int, labels ...string) {
		plan, _ := l.PlanFetch(true, time.Now())
		var items []work.Item
		for range 2 * maxHeld {
			n++
			items = append(items, work.Item{
				MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true, Priority: message.PriorityBulk,
				QueuedPosition: event.Position(n), Template: "sale", Labels: labels,
			})
		}
		l.Take(&plan, items, event.Position(n), time.Now())
		l.Pick(time.Now(), time.Now(), nil)
	}
	take(0, "spring") // behind the template
	paused = true
	take(100, "spring") // behind the label
	held = false
	revisit := func() (found []work.FetchRequest) {
		plan, _ := l.PlanFetch(true, time.Now())
		for _, r := range plan.Requests {
			if revisits(&r) {
				found = append(found, r)
			}
		}
		return found
	}
	if got := revisit(); len(got) != 1 || got[0].Template != "sale" || !slices.Equal(got[0].SkipLabels, []string{"spring"}) {
		t.Fatalf("after the template's hold, the lane requests %+v", got)
	}
	paused = false
	if got := revisit(); len(got) == 0 || got[0].Label != "spring" || got[0].After != maxHeld {
		t.Errorf("after the pause, the lane requests %+v, want those of the label after %d", got, maxHeld)
	}
}

func newShared() *Shared {
	return &Shared{
		Clock: time.Now, MayCall: func(time.Time) bool { return true },
		Failures: pace.NewFailures(), Alarm: NewAlarm(),
	}
}

// pick gives a lane an item and returns what it picks.
func pick(l *Lane, item work.Item) []*Flight {
	l.Take(&FetchPlan{}, []work.Item{item}, 0, time.Now())
	picked, _, _ := l.Pick(time.Now(), time.Now(), nil)
	return picked
}

// A lane that returns to the same process doesn't dispatch an item before the work list
// has projected the last event recorded for it.
func TestFinishedFlightsOutliveTheirLane(t *testing.T) {
	shared, acme := newShared(), sender.Sender{ID: "acme", Rate: 80}
	item := work.Item{MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true}
	l := New(acme, shared)
	picked := pick(l, item)
	if len(picked) != 1 {
		t.Fatalf("%d flights picked, want 1", len(picked))
	}
	l.Retire()
	again := New(acme, shared)
	if n := len(pick(again, item)); n != 0 {
		t.Errorf("%d flights picked while one is with the handler", n)
	}
	picked[0].Conclude(Done(7))
	l.Finish(picked[0], true)
	shared.Known.Projected(6)
	if n := len(pick(again, item)); n != 0 {
		t.Errorf("%d flights picked before the outcome is projected", n)
	}
	shared.Known.Projected(7)
	if n := len(pick(again, item)); n != 1 {
		t.Errorf("%d flights picked after the outcome is projected, want 1", n)
	}
}

// A retired lane forgets what waited in memory, and what failed with the handler.
func TestARetiredLaneForgetsWhatIsNotDone(t *testing.T) {
	shared, acme := newShared(), sender.Sender{ID: "acme", Rate: 80}
	queued := work.Item{MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true}
	l := New(acme, shared)
	l.Take(&FetchPlan{}, []work.Item{queued}, 0, time.Now())
	l.Retire()
	again := New(acme, shared)
	failed := pick(again, queued)
	if len(failed) != 1 {
		t.Fatalf("%d flights picked that another lane had queued, want 1", len(failed))
	}
	again.Retire()
	again.Finish(failed[0], false)
	if n := len(pick(New(acme, shared), queued)); n != 1 {
		t.Errorf("%d flights picked that failed with another lane, want 1", n)
	}
}

// While the gate is closed, a lane picks OTP messages only. The webhook that opens the gate
// wakes the loop that picks.
func TestAClosedGateHoldsBackAllButOTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newShared()
		shared.Gate = fair.NewGate()
		shared.Gate.OnOpen(shared.Alarm.Ring)
		l := New(sender.Sender{ID: "acme", Rate: 80}, shared)
		webhook := shared.Gate.Begin(time.Now())
		time.Sleep(200 * time.Millisecond)
		items := map[message.Priority]work.Item{}
		for _, p := range priorities {
			items[p] = work.Item{MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true, Priority: p}
		}
		if n := len(pick(l, items[message.PriorityBulk])) + len(pick(l, items[message.PriorityTransactional])); n != 0 {
			t.Errorf("%d flights picked while the gate is closed", n)
		}
		if n := len(pick(l, items[message.PriorityOTP])); n != 1 {
			t.Errorf("%d OTP flights picked while the gate is closed, want 1", n)
		}
		_, wait, _ := l.Pick(time.Now(), time.Now(), nil)
		if wait <= 0 || wait > 4*time.Second {
			t.Errorf("the lane waits for %s although the gate can't stay closed for longer than 4s", wait)
		}
		shared.Gate.End(webhook, time.Now())
		select {
		case <-shared.Alarm.C():
		default:
			t.Error("the open gate did not wake the loop")
		}
		time.Sleep(100 * time.Millisecond) // the slots of all become due
		if picked, _, _ := l.Pick(time.Now(), time.Now(), nil); len(picked) != 2 {
			t.Errorf("%d flights picked after the gate opened, want 2", len(picked))
		}
	})
}

// A slot that becomes due while the lanes are being picked is not forgotten.
func TestAnAlarmKeepsTheEarliestTime(t *testing.T) {
	now := time.Now()
	a := NewAlarm()
	rings := func() bool {
		select {
		case <-a.C():
			return true
		default:
			return false
		}
	}
	a.Set(now.Add(time.Second))
	a.RingBefore(now.Add(time.Second))
	if rings() {
		t.Error("it rings at the time that is set already")
	}
	a.RingBefore(now.Add(time.Millisecond))
	a.Advance(now.Add(time.Minute))
	if !rings() {
		t.Error("it doesn't ring for an earlier time")
	}
	a.RingBefore(now.Add(time.Millisecond))
	if rings() {
		t.Error("it rings twice for one time")
	}
}

// A throttle of a recipient holds back its other messages, by the recipient's data key: the
// work list contains no phone numbers.
func TestAPairThrottleHoldsItsRecipient(t *testing.T) {
	now := time.Now()
	l := New(sender.Sender{ID: "acme", Rate: 80}, newShared())
	to := func(recipient string) work.Item {
		return work.Item{MessageID: uuid.New(), Sender: "acme", State: work.Ready, Fresh: true, Recipient: recipient}
	}
	first := pick(l, to("a key"))
	if len(first) != 1 {
		t.Fatalf("%d flights picked, want 1", len(first))
	}
	first[0].PairThrottled(now, 0)
	if n := len(pick(l, to("a key"))); n != 0 {
		t.Errorf("%d flights to a throttled recipient picked", n)
	}
	if n := len(pick(l, to("another key"))); n != 1 {
		t.Errorf("%d flights to another recipient picked, want 1", n)
	}
}

// The read model of messages can be behind the work list. Its row of a message that has failed since
// then doesn't end the wait for the retry.
func TestOnlyANewerRowEndsTheWaitForARetry(t *testing.T) {
	now := time.Now()
	for position, ends := range map[event.Position]bool{5: false, 15: true} {
		l := New(sender.Sender{ID: "acme", Rate: 80}, newShared())
		retry := work.Item{MessageID: uuid.New(), Sender: l.ID(), Priority: message.PriorityOTP, State: work.Ready, DueAt: now.Add(time.Second), Position: 10}
		plan, _ := l.PlanFetch(true, now)
		l.Take(&plan, []work.Item{retry}, retry.Position, now)
		undelivered := work.Item{MessageID: retry.MessageID, Sender: l.ID(), Priority: retry.Priority, State: work.Undelivered, DueAt: now, Position: position}
		if f := l.TakeOverdue(&undelivered, now); (f != nil) != ends {
			t.Errorf("a row at position %d ends the wait of an item at %d: %t", position, retry.Position, f != nil)
		}
	}
}
