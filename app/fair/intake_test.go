package fair_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/fair"
	"github.com/waypost/waypost/app/request"
	"github.com/waypost/waypost/domain"
)

var smallIntake = fair.IntakeLimits{AtOnce: 4, OTPAtOnce: 2, Waiting: 20, OTPWaiting: 20, Patience: 8 * time.Second}

// flood lets n messages of a caller enter, each one appending for a time. It returns how
// many were accepted and refused so far, and the most that were in progress at once.
type flood struct {
	accepted, refused, most atomic.Int64

	tasks sync.WaitGroup
}

func (f *flood) begin(ctx context.Context, i *fair.Intake, n int, caller string, otp bool, appendTime time.Duration) {
	var now atomic.Int64
	until := i.Until()
	for range n {
		f.tasks.Go(func() {
			leave, err := i.Enter(request.WithCaller(ctx, caller), until, otp)
			if err != nil {
				if domain.CodeOf(err) == domain.CodeUnavailable && domain.RetryAfterOf(err) >= time.Second {
					f.refused.Add(1)
				}
				return
			}
			in := now.Add(1)
			for {
				if most := f.most.Load(); in <= most || f.most.CompareAndSwap(most, in) {
					break
				}
			}
			time.Sleep(appendTime)
			now.Add(-1)
			f.accepted.Add(1)
			leave()
		})
	}
	synctest.Wait()
}

// Appends in progress and waiting appends are bounded, and what is beyond the bounds is
// refused at once with a hint.
func TestIntakeIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := fair.NewIntake(fair.NewGate(), time.Now, smallIntake)
		var one, two, three flood
		one.begin(t.Context(), i, 100, "one", false, time.Second)
		if s := i.Stats(); s.Waiting != 10 || one.refused.Load() != 86 {
			t.Errorf("%d wait, want half of the queue; %d are refused", s.Waiting, one.refused.Load())
		}
		two.begin(t.Context(), i, 100, "two", false, time.Second)
		three.begin(t.Context(), i, 100, "three", false, time.Second)
		if s := i.Stats(); s.Waiting != 20 || two.refused.Load() != 90 || three.refused.Load() != 100 {
			t.Errorf("%d wait, want the whole queue; %d and %d are refused", s.Waiting, two.refused.Load(), three.refused.Load())
		}
		for _, f := range []*flood{&one, &two, &three} {
			f.tasks.Wait()
			if f.most.Load() > 4 {
				t.Errorf("%d appends were in progress", f.most.Load())
			}
		}
		if one.accepted.Load() != 14 || two.accepted.Load() != 10 {
			t.Errorf("accepted %d and %d", one.accepted.Load(), two.accepted.Load())
		}
		if s := i.Stats(); s.Waiting != 0 || s.Refused != 276 {
			t.Errorf("at the end, %+v", s)
		}
	})
}

// The messages of a request wait for its patience in all. The client's own deadline ends the
// wait sooner.
func TestIntakeWaitsForABoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := fair.NewIntake(fair.NewGate(), time.Now, smallIntake)
		var busy flood
		busy.begin(t.Context(), i, 4, "busy", false, time.Minute)
		until := i.Until()
		for n := range 3 { // the first one waits for all of the time
			if _, err := i.Enter(t.Context(), until, false); domain.RetryAfterOf(err) != time.Second {
				t.Errorf("message %d: %v", n, err)
			}
		}
		if waited := time.Since(until.Add(-smallIntake.Patience)); waited != smallIntake.Patience {
			t.Errorf("waited for %s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := i.Enter(ctx, i.Until(), false); domain.RetryAfterOf(err) == 0 || time.Since(begun) != time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		gone := errors.New("gone")
		ctx, end := context.WithCancelCause(t.Context())
		end(gone)
		if _, err := i.Enter(ctx, i.Until(), false); !errors.Is(err, gone) {
			t.Errorf("got %v, want the cause", err)
		}
		busy.tasks.Wait()
		if leave, err := i.Enter(t.Context(), until, false); err != nil {
			t.Errorf("with a free place, the time is over: %v", err)
		} else {
			leave()
		}
	})
}

// While webhooks are late, only OTP messages are accepted, and few at a time. As soon as
// nothing is behind, all continue.
func TestIntakeWaitsForTheGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := fair.NewGate()
		i := fair.NewIntake(gate, time.Now, smallIntake)
		webhook := gate.Begin(time.Now())
		time.Sleep(60 * time.Millisecond)
		if _, closed := gate.Closed(time.Now()); closed {
			t.Error("calls wait before accepting does")
		}
		var bulk, otp flood
		bulk.begin(t.Context(), i, 12, "bulk", false, time.Millisecond)
		otp.begin(t.Context(), i, 6, "otp", true, time.Millisecond)
		otp.tasks.Wait()
		if bulk.accepted.Load() != 0 || otp.accepted.Load() != 6 || otp.most.Load() != 2 {
			t.Errorf("accepted %d, and %d OTPs, %d at once", bulk.accepted.Load(), otp.accepted.Load(), otp.most.Load())
		}
		if s := i.Stats(); s.Waiting != 12 {
			t.Errorf("%d wait", s.Waiting)
		}
		gate.End(webhook, time.Now())
		begun := time.Now()
		bulk.tasks.Wait()
		if bulk.accepted.Load() != 12 || time.Since(begun) > 3*time.Millisecond {
			t.Errorf("accepted %d within %s after the webhook", bulk.accepted.Load(), time.Since(begun))
		}
	})
}

// A flood of webhooks that are never recorded in time slows down accepting but never stops
// it: each request gets its turn before it is refused.
func TestIntakeContinuesInAFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(fair.NewGate())
		i := fair.NewIntake(l.gate, time.Now, smallIntake)
		ctx, stop := context.WithCancel(t.Context())
		for range 1000 {
			l.tasks.Go(func() {
				for ctx.Err() == nil {
					l.webhook(func() { l.appends(time.Millisecond) })
				}
			})
		}
		time.Sleep(2 * time.Second)
		refused := 0
		for range 50 {
			leave, err := i.Enter(t.Context(), i.Until(), false)
			if err != nil {
				refused++
				continue
			}
			time.Sleep(20 * time.Millisecond)
			leave()
		}
		stop()
		l.tasks.Wait()
		if refused > 0 {
			t.Errorf("%d of 50 requests were refused", refused)
		}
	})
}

// While appends of calls take long, accepting waits and calls don't. On a log that takes
// long for every append, accepting doesn't wait.
func TestAcceptingWaitsForSlowAppends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := fair.NewGate()
		log := &pacedLog{took: 5 * time.Millisecond}
		timed := g.Timed(log, time.Now)
		accepting := func() bool { _, _, closed := g.AcceptingClosed(time.Now()); return !closed }
		log.append(t, timed, false)
		log.took = 80 * time.Millisecond
		var changes sync.WaitGroup
		changes.Go(func() { log.append(t, timed, true) }) // messages that are accepted don't count
		time.Sleep(70 * time.Millisecond)
		if !accepting() {
			t.Error("accepting waits for itself")
		}
		changes.Wait()
		changes.Go(func() { log.append(t, timed, false) })
		time.Sleep(70 * time.Millisecond)
		if _, closed := g.Closed(time.Now()); accepting() || closed {
			t.Errorf("accepting waits: %t, calls wait: %t", !accepting(), closed)
		}
		changes.Wait()
		if !accepting() {
			t.Error("accepting waits although nothing is behind")
		}
		time.Sleep(3 * time.Minute) // the fast append is forgotten
		log.took = 500 * time.Millisecond
		log.append(t, timed, false)
		for range 10 {
			changes.Go(func() { log.append(t, timed, false) })
			time.Sleep(100 * time.Millisecond)
			if !accepting() {
				t.Error("accepting waits for a log that is always slow")
			}
		}
		changes.Wait()
	})
}

// pacedLog models an event log in virtual time whose appends take a time.
type pacedLog struct {
	event.Log

	took time.Duration
}

func (l *pacedLog) Append(context.Context, string, event.Expected, ...event.Proposed) (event.Appended, error) {
	time.Sleep(l.took)
	return event.Appended{}, nil
}

// append appends to a log, to a new stream if it accepts a message.
func (l *pacedLog) append(t *testing.T, timed event.Log, accepts bool) {
	t.Helper()
	expected := event.ExactRevision(0)
	if accepts {
		expected = event.NoStream()
	}
	if _, err := timed.Append(t.Context(), "message-1", expected); err != nil {
		t.Error(err)
	}
}

// Whatever webhooks and appends do, calls wait only while accepting waits. Accepting waits
// for at most twice the time for which the gate is closed at most, if it asks again in time.
func TestAcceptingWaitsBeforeCalls(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, now := fair.NewGate(), time.Unix(1_800_000_000, 0)
		var recording []*fair.Recording
		var since time.Time // when accepting began to wait, or zero
		ask := func() (again time.Time, waits bool) {
			_, callsWait := g.Closed(now)
			again, _, waits = g.AcceptingClosed(now)
			switch {
			case callsWait && !waits:
				t.Fatal("calls wait, and accepting doesn't")
			case !waits:
				since = time.Time{}
			case since.IsZero():
				since = now
			case now.Sub(since) > 8*time.Second:
				t.Fatalf("accepting waits for %s", now.Sub(since))
			}
			return again, waits
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				recording = append(recording, g.Begin(now))
			case 1:
				if n := len(recording); n > 0 {
					at := rapid.IntRange(0, n-1).Draw(t, "webhook")
					g.End(recording[at], now)
					recording = append(recording[:at], recording[at+1:]...)
				}
			case 2:
				g.Appended(time.Duration(rapid.IntRange(1, 300).Draw(t, "took"))*time.Millisecond, now)
			case 3:
				until := now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(t, "pause")) * time.Millisecond)
				if again, waits := ask(); waits && !again.After(until) {
					now = again
					if _, waits := ask(); waits {
						t.Fatal("accepting waits although it asks again at the time that the gate named")
					}
				}
				now = until
			}
			ask()
		}
	})
}

// overload offers twice the messages that the log sustains, in requests of 100, and makes a
// call for each accepted message as soon as the gate is open. The log appends one thing at a
// time: one for each message, two for its call, and one for each of its three webhooks. It
// returns the number of calls per second, and the p99 of the time to record a webhook.
func overload(t *testing.T, intakeOf func(*fair.Gate) *fair.Intake) (perSecond int, p99 time.Duration) {
	t.Helper()
	const appendTime, seconds, offered = time.Millisecond, 20, 2 * 166
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(fair.NewGate())
		intake, begun := intakeOf(l.gate), time.Now()
		over := func() bool { return time.Since(begun) > seconds*time.Second }
		var queued, requested atomic.Int64
		for range 4 { // clients
			l.tasks.Go(func() {
				for !over() {
					n := requested.Add(100) - 100
					time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / offered)))
					l.request(t, intake, func() {
						l.appends(appendTime)
						queued.Add(1)
					})
				}
			})
		}
		called := 0
		for ; !over(); time.Sleep(time.Millisecond) {
			for int64(called) < queued.Load() {
				if l.calls(int(time.Second), time.Nanosecond, appendTime) == 0 {
					break
				}
				called++
			}
		}
		l.tasks.Wait()
		perSecond, p99 = called/seconds, l.percentile(99)
	})
	return perSecond, p99
}

// request accepts 100 messages as app/command does: 48 at a time.
func (l *load) request(t *testing.T, intake *fair.Intake, record func()) {
	until := intake.Until()
	slots := make(chan struct{}, 48)
	var messages sync.WaitGroup
	for range 100 {
		slots <- struct{}{}
		messages.Go(func() {
			defer func() { <-slots }()
			leave, err := intake.Enter(t.Context(), until, false)
			if err != nil {
				t.Error(err)
				return
			}
			defer leave()
			record()
		})
	}
	messages.Wait()
}

// At twice the load that the log sustains, webhooks are recorded in time although callers
// queue messages as fast as they can, and the log is still fully used. No one is refused.
func TestIntakeUnderOverload(t *testing.T) {
	t.Parallel()
	best, late := overload(t, func(*fair.Gate) *fair.Intake { return nil })
	if late < time.Second {
		t.Errorf("without an intake, the slowest webhooks take only %s, so the test proves nothing", late)
	}
	perSecond, p99 := overload(t, func(g *fair.Gate) *fair.Intake {
		return fair.NewIntake(g, time.Now, fair.DefaultIntakeLimits())
	})
	t.Logf("%d calls per second, webhooks p99 %s; without an intake %d and %s", perSecond, p99, best, late)
	if p99 > time.Second || perSecond < best*95/100 {
		t.Errorf("%d calls per second, webhooks p99 %s", perSecond, p99)
	}
}
