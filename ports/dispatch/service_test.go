package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

// fetched is the longest time until a lane has fetched a message that was queued.
const fetched = 10 * time.Millisecond

// slotAt80 is the time between two calls at 80/s, plus a margin for scheduling.
const slotAt80 = 13 * time.Millisecond

// An OTP message gets the next slot before 100,000 bulk messages, which are still sent
// at the full rate.
func TestOTPPassesABacklog(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		for n := range 100_000 {
			w.queue("acme", recipient(n), bulk)
		}
		w.dispatch(nil)
		time.Sleep(5 * time.Second)
		for n := range 50 {
			queued := time.Now()
			id := w.queue("acme", recipient(n), otp)
			time.Sleep(200 * time.Millisecond)
			calls := w.made()
			i := slices.IndexFunc(calls, func(c madeCall) bool { return c.MessageID == id })
			if i < 0 || calls[i].at.Sub(queued) > 50*time.Millisecond+slotAt80 {
				t.Fatalf("OTP %d was not called within 50 ms and a slot: %+v", n, w.message(id).Calls)
			}
		}
		if n := len(w.made()); n < 14*75 {
			t.Errorf("%d calls in 15 s at 80/s", n)
		}
		w.wantWithin("acme", 80)
	})
}

// The full rate is used however long it takes to record SendAttempted and however that
// time varies, and an OTP message waits only for its own SendAttempted.
func TestASlowLogTakesNothingFromTheRate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		rate                 int
		least, spread, stall time.Duration // of an append; every 3 s all appends stall
	}{
		{1, 5 * ms, 0, 0},
		{7, 5 * ms, 0, 0},
		{80, 5 * ms, 0, 0},
		{1000, 5 * ms, 0, 0},
		{80, 20 * ms, 60 * ms, 0},
		{1000, 20 * ms, 60 * ms, 0},
		{80, 120 * ms, 40 * ms, 0},
		{80, 10 * ms, 30 * ms, 250 * ms},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": c.rate}, func(w *world) {
				const seconds = 20
				for n := range c.rate * (seconds + 5) {
					w.queue("acme", recipient(n), bulk)
				}
				random, start := rand.New(rand.NewPCG(1, 2)), time.Now()
				longest := max(c.least+c.spread, c.stall)
				w.locked(func() {
					w.appending = func() time.Duration {
						takes := c.least + time.Duration(random.Int64N(int64(c.spread)+1))
						into := time.Since(start) % (3 * time.Second)
						return max(takes, c.stall-into)
					}
				})
				w.dispatch(func(o *dispatch.Options) { o.PairLimit = false })
				time.Sleep(5 * time.Second) // until it owns its lane and knows the latency of the log
				before := len(w.made())
				for range seconds {
					time.Sleep(time.Second)
				}
				if n := len(w.made()) - before; n < c.rate*seconds*98/100 {
					t.Errorf("%d calls in %d s at %d/s", n, seconds, c.rate)
				}
				w.wantWithin("acme", c.rate)
				for n := range 20 {
					// As with a fast log, plus the time of its own append.
					w.wantOTPWithin(recipient(n), longest+50*ms+time.Second/time.Duration(c.rate)+2*fetched, 2*longest+2*time.Second)
				}
			})
		})
	}
}

// wantOTPWithin queues an OTP message and fails the test unless it is called within most.
// It waits for wait.
func (w *world) wantOTPWithin(to string, most, wait time.Duration) {
	w.t.Helper()
	id := w.queue("acme", to, otp) // an append as well, and the lane must fetch the message
	queued := time.Now()
	time.Sleep(wait)
	for _, call := range w.made() {
		if took := call.at.Sub(queued); call.MessageID == id && took > most {
			w.t.Errorf("an OTP message was called after %s, want at most %s", took, most)
		}
	}
	if len(w.message(id).Calls) == 0 {
		w.t.Error("an OTP message was not called")
	}
}

// A retry that becomes due is sent before the backlog of its class.
func TestRetriesPassABacklog(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		failed := map[uuid.UUID]bool{}
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			if len(failed) < 20 && !failed[r.MessageID] {
				failed[r.MessageID] = true
				return message.Refused{Failure: message.Failure{Class: message.ClassTransient, Category: message.CategoryServer}}
			}
			return nil
		}
		for n := range 2000 {
			w.queue("acme", recipient(n), nil)
		}
		w.dispatch(nil)
		time.Sleep(10 * time.Second)
		var again map[uuid.UUID]bool
		w.locked(func() { again = maps.Clone(failed) })
		for id := range again {
			m := w.message(id)
			want(t, m, message.StatusSent, 2, 2)
			if gap := m.Calls[1].StartedAt.Sub(m.Calls[0].EndedAt); gap < time.Second || gap > time.Second+20*slotAt80+late {
				t.Errorf("the retry came %s after the failure", gap)
			}
		}
	})
}

// Each lower class with waiting messages gets one slot in ten.
func TestLowerClassesKeepATenth(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 50}, func(w *world) {
		for n := range 1000 {
			for _, p := range []message.Priority{message.PriorityOTP, message.PriorityTransactional, message.PriorityBulk} {
				w.queue("acme", recipient(n), func(q *message.Queued) { q.Priority = p })
			}
		}
		w.dispatch(nil)
		time.Sleep(10 * time.Second)
		counts := map[message.Priority]int{}
		all := 0
		for _, c := range w.made() {
			counts[w.message(c.MessageID).Priority]++
			all++
		}
		for _, p := range []message.Priority{message.PriorityTransactional, message.PriorityBulk} {
			if share := float64(counts[p]) / float64(all); share < 0.09 || share > 0.11 {
				t.Errorf("%s got %.3f of the calls", p, share)
			}
		}
	})
}

// metaPairs enforces Meta's limit for one recipient.
type metaPairs map[string]time.Time

func (m metaPairs) admits(to string, now time.Time) bool {
	whole := m[to]
	if whole.Before(now) {
		whole = now
	}
	if whole.Add(6*time.Second).Sub(now) > 45*6*time.Second {
		return false
	}
	m[to] = whole.Add(6 * time.Second)
	return true
}

// One recipient with 10,000 messages gets as many as Meta allows, never more, and
// delays no other recipient.
func TestOneRecipientWithManyMessagesSlowsNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		pairs, refused := metaPairs{}, 0
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			if !pairs.admits(r.To, time.Now()) {
				refused++
			}
			return nil
		}
		for range 10_000 {
			w.queue("acme", recipient(1), nil)
		}
		for n := range 4000 {
			w.queue("acme", recipient(10+n), nil)
		}
		for range 500 { // and some that have fewer
			for n := range 4 {
				w.queue("acme", recipient(5000+n), nil)
			}
		}
		w.dispatch(nil)
		time.Sleep(70 * time.Second)
		to := map[string]int{}
		for _, c := range w.made() {
			to[c.To]++
		}
		if n := to[recipient(1)]; n < 45+9 || n > 45+12 {
			t.Errorf("%d messages to the one recipient in 70 s, want 45 and one every 6 s", n)
		}
		others := 0
		for n := range 4000 {
			others += to[recipient(10+n)]
		}
		if others != 4000 {
			t.Errorf("%d of 4000 messages to others were sent in 70 s at 80/s", others)
		}
		time.Sleep(5 * time.Minute)
		to = map[string]int{}
		for _, c := range w.made() {
			to[c.To]++
		}
		for _, n := range []int{1, 5000, 5001, 5002, 5003} {
			if got := to[recipient(n)]; got < 45+50 || got > 45+62 {
				t.Errorf("%d messages to recipient %d in 6 minutes", got, n)
			}
		}
		w.locked(func() {
			if refused > 0 {
				t.Errorf("%d calls above Meta's limit for a recipient", refused)
			}
		})
		w.wantWithin("acme", 80)
	})
}

func TestThePairLimitCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		for range 200 {
			w.queue("acme", recipient(1), nil)
		}
		w.dispatch(func(o *dispatch.Options) { o.PairLimit = false })
		time.Sleep(5 * time.Second)
		if n := w.count(message.StatusSent); n != 200 {
			t.Errorf("%d of 200 went", n)
		}
	})
}

// A template that WhatsApp pauses holds back its own messages, however many, and no
// others. One call at a time finds out when the template is accepted again.
func TestAPausedTemplateHoldsItsMessagesAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		paused, refused := true, 0
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			if paused && w.status[r.MessageID].Template == "spring_sale" {
				refused++
				code := 132015
				return message.Refused{Failure: message.Failure{Code: &code, Class: message.ClassPermanent, Category: message.CategoryTemplate}}
			}
			return nil
		}
		template := func(name string) func(*message.Queued) {
			return func(q *message.Queued) { q.Kind, q.Template = message.KindTemplate, name }
		}
		for n := range 3000 {
			w.queue("acme", recipient(n), template("spring_sale"))
		}
		for n := range 3000 {
			w.queue("acme", recipient(n), template("receipt"))
		}
		w.dispatch(nil)
		time.Sleep(50 * time.Second)
		if n := w.count(message.StatusSent); n != 3000 {
			t.Errorf("%d of 3000 messages of another template were sent", n)
		}
		time.Sleep(20 * time.Minute)
		w.locked(func() {
			if refused > 20 {
				t.Errorf("%d calls with a paused template", refused)
			}
		})
		w.locked(func() { paused = false })
		time.Sleep(16*time.Minute + time.Minute)
		if n := w.count(message.StatusSent); n != 6000 {
			t.Errorf("%d of 6000 messages were sent", n)
		}
		for _, c := range w.made() {
			if m := w.message(c.MessageID); m.Attempts != 1 {
				t.Fatalf("%d attempts used", m.Attempts)
			}
		}
	})
}

// secretLimit refuses calls above a rate that is less than the sender's.
type secretLimit struct {
	rate  int
	times []time.Time
}

func (l *secretLimit) takes(now time.Time) bool {
	for len(l.times) > 0 && now.Sub(l.times[0]) >= time.Second {
		l.times = l.times[1:]
	}
	l.times = append(l.times, now)
	return len(l.times) <= l.rate*105/100
}

// WhatsApp accepts half of the sender's registered rate. The lane finds that limit, uses
// it fully, and doesn't exceed it with a burst later.
func TestASecretLimitIsFound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	for _, secret := range []int{4, 20, 37} {
		t.Run(fmt.Sprint(secret), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 40}, func(w *world) {
				limit, code := secretLimit{rate: secret}, 130429
				var refused []time.Time
				w.answer = func(dispatch.CallRequest) message.CallResult {
					if limit.takes(time.Now()) {
						return nil
					}
					refused = append(refused, time.Now())
					return message.Refused{
						Failure: message.Failure{Code: &code, Class: message.ClassThrottled, Category: message.CategoryRateLimit},
						Scope:   message.ScopeNumber,
					}
				}
				for n := range 18_000 {
					w.queue("acme", recipient(n), nil)
				}
				w.dispatch(nil)
				time.Sleep(30 * time.Second)
				before := w.count(message.StatusSent)
				const minutes = 2
				begun := time.Now()
				time.Sleep(minutes * time.Minute)
				rate := float64(w.count(message.StatusSent)-before) / (minutes * 60)
				if rate < 0.9*float64(secret) {
					t.Errorf("it settled at %.1f/s where WhatsApp accepts %d/s", rate, secret)
				}
				var later []time.Time
				for _, c := range w.made() {
					if c.at.After(begun) {
						later = append(later, c.at)
					}
				}
				if n := mostInASecond(later); n > secret*105/100+max(6, secret/5) {
					t.Errorf("%d calls in one second where WhatsApp accepts %d", n, secret)
				}
				w.locked(func() {
					t.Logf("a secret limit of %d/s: settled at %.1f/s, %d calls refused in %d s", secret, rate, len(refused), minutes*60+30)
					limit.rate = 1000
				})
				time.Sleep(4 * time.Minute)
				before = w.count(message.StatusSent)
				time.Sleep(10 * time.Second)
				if rate := float64(w.count(message.StatusSent)-before) / 10; rate < 39 {
					t.Errorf("4 minutes after WhatsApp accepts the full rate again, it sends %.1f/s of 40", rate)
				}
				w.wantWithin("acme", 40)
			})
		})
	}
}

// A number that WhatsApp blocks for a while recovers soon after.
func TestABlockedNumberRecovers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		blocked, code := false, 130429
		w.answer = func(dispatch.CallRequest) message.CallResult {
			if !blocked {
				return nil
			}
			return message.Refused{
				Failure: message.Failure{Code: &code, Class: message.ClassThrottled, Category: message.CategoryRateLimit},
				Scope:   message.ScopeNumber,
			}
		}
		for n := range 20_000 {
			w.queue("acme", recipient(n), nil)
		}
		w.dispatch(nil)
		time.Sleep(5 * time.Second)
		w.locked(func() { blocked = true })
		time.Sleep(30 * time.Second)
		w.locked(func() { blocked = false })
		time.Sleep(50 * time.Second) // the longest wait is 32 s
		before := w.count(message.StatusSent)
		time.Sleep(10 * time.Second)
		if rate := float64(w.count(message.StatusSent)-before) / 10; rate < 70 {
			t.Errorf("%.1f/s of 80 after the block", rate)
		}
	})
}

// Throttles apply to the lanes of their scope, and Retry-After is respected.
func TestThrottlesReachTheirScope(t *testing.T) {
	t.Parallel()
	for scope, reached := range map[message.ThrottleScope][]string{
		message.ScopePair: nil, message.ScopeNumber: {"a"}, message.ScopeAccount: {"a", "b"}, message.ScopeApp: {"a", "b"},
	} {
		t.Run(string(scope), func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"a": 80, "b": 80}, func(w *world) {
				code, once := 4, true
				w.answer = func(dispatch.CallRequest) message.CallResult {
					if !once {
						return nil
					}
					once = false
					return message.Refused{
						Failure: message.Failure{Code: &code, Class: message.ClassThrottled, Category: message.CategoryRateLimit},
						Scope:   scope, RetryAfterSeconds: 7,
					}
				}
				w.dispatch(nil)
				time.Sleep(time.Second)
				id := w.queue("a", recipient(1), nil)
				time.Sleep(100 * time.Millisecond)
				others := map[string]uuid.UUID{"a": w.queue("a", recipient(2), nil), "b": w.queue("b", recipient(2), nil)}
				time.Sleep(5 * time.Second)
				for from, other := range others {
					waits := w.message(other).Status == message.StatusQueued
					should := false
					for _, r := range reached {
						should = should || r == from
					}
					if waits != should {
						t.Errorf("sender %s waits: %v, want %v", from, waits, should)
					}
				}
				time.Sleep(5 * time.Second)
				m := w.message(id)
				want(t, m, message.StatusSent, 1, 2)
				wantGap(t, "the call after Retry-After", m.Calls[1].StartedAt.Sub(m.Calls[0].EndedAt), 7*time.Second)
				for from, other := range others {
					if s := w.message(other).Status; s != message.StatusSent {
						t.Errorf("the message of %s is %s", from, s)
					}
				}
			})
		})
	}
}

// An outage of one hour with 100,000 queued messages loses none of them, however the
// calls end, and sending resumes when it is over.
func TestAnOutageOfAnHour(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("20,000 messages and an hour of virtual time")
	}
	refused := message.Refused{
		Failure:     message.Failure{Class: message.ClassTransient, Category: message.CategoryNetwork, Message: "refused"},
		Unreachable: true,
	}
	for name, result := range map[string]message.CallResult{"refused": refused, "lost": message.Lost{Cause: "cut"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, map[string]int{"acme": 80}, func(w *world) {
				away := true
				w.answer = func(dispatch.CallRequest) message.CallResult {
					if away {
						return result
					}
					return nil
				}
				for n := range 20_000 {
					w.queue("acme", recipient(n), nil)
				}
				w.dispatch(nil)
				time.Sleep(time.Hour)
				calls := len(w.made())
				if calls > 200 {
					t.Errorf("%d calls while WhatsApp was unavailable", calls)
				}
				w.locked(func() { away = false })
				time.Sleep(3 * time.Minute)
				if n := w.count(message.StatusDeadLettered); n >= 100 {
					t.Errorf("%d dead letters", n)
				}
				if n := w.count(message.StatusSent); n < 100*80 {
					t.Errorf("%d messages sent in the minutes after", n)
				}
				t.Logf("%d calls in the hour, %d dead letters", calls, w.count(message.StatusDeadLettered))
			})
		})
	}
}

// A hanging sender, a held one, and a paused one slow down no other.
func TestAHangingSenderSlowsNobody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("many messages of one lane, in virtual time")
	}
	inWorld(t, map[string]int{"fine": 80, "hangs": 80, "held": 80, "paused": 80}, func(w *world) {
		code := 190
		w.latency = func(r dispatch.CallRequest) time.Duration {
			if r.SenderID == "hangs" {
				return 30 * time.Second
			}
			return 50 * time.Millisecond
		}
		w.answer = func(r dispatch.CallRequest) message.CallResult {
			switch r.SenderID {
			case "hangs":
				return message.Lost{Cause: "no answer in time"}
			case "held":
				return message.Refused{Failure: message.Failure{Code: &code, Class: message.ClassSender, Category: message.CategoryAuth}}
			}
			return nil
		}
		w.healthy = func() (bool, message.Failure) {
			return false, message.Failure{Class: message.ClassSender, Message: "bad"}
		}
		_, err := w.senders.Change(w.ctx, "paused", tester, func(s sender.Sender) ([]domain.Event, error) { return sender.Pause(s, nil, "maintenance") })
		w.must(err)
		for n := range 5000 {
			for _, from := range []string{"fine", "hangs", "held", "paused"} {
				w.queue(from, recipient(n), nil)
			}
		}
		w.dispatch(nil)
		time.Sleep(51 * time.Second)
		made := map[string]int{}
		for _, c := range w.made() {
			made[c.SenderID]++
		}
		if made["fine"] < 50*80*98/100 {
			t.Errorf("%d calls of the healthy sender in 50 s", made["fine"])
		}
		if made["paused"] != 0 || made["hangs"] > 200 {
			t.Errorf("calls %v", made)
		}
		w.wantWithin("fine", 80)
	})
}

// A new rate applies within one second.
func TestARateChangeActsWithinASecond(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 40}, func(w *world) {
		for n := range 5000 {
			w.queue("acme", recipient(n), nil)
		}
		w.dispatch(nil)
		time.Sleep(5 * time.Second)
		for _, rate := range []int{200, 20} {
			_, err := w.senders.Change(w.ctx, "acme", tester, func(s sender.Sender) ([]domain.Event, error) { return sender.SetRate(s, rate) })
			w.must(err)
			time.Sleep(2 * time.Second) // one until it applies, one for the window to pass
			before := len(w.made())
			time.Sleep(5 * time.Second)
			if n := len(w.made()) - before; n < rate*5*97/100 || n > rate*5+rate/10 {
				t.Errorf("%d calls in 5 s at %d/s", n, rate)
			}
		}
	})
}

// Inbound messages count toward the rate.
func TestInboundTrafficIsTakenOffTheRate(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		for n := range 2000 {
			w.queue("acme", recipient(n), nil)
		}
		d, _ := w.dispatch(func(o *dispatch.Options) {
			o.Inbound = func(context.Context, time.Time) (map[string]int, error) { return map[string]int{"acme": 30}, nil }
		})
		time.Sleep(3 * time.Second)
		if r := d.Snapshot()["acme"].EffectiveRate; r != 50 {
			t.Errorf("the effective rate is %v/s, want 50/s", r)
		}
		before := len(w.made())
		time.Sleep(10 * time.Second)
		if n := len(w.made()) - before; n < 490 || n > 505 {
			t.Errorf("%d calls in 10 s at 80/s with 30/s inbound", n)
		}
	})
}

// A lane without work costs few counts, but its first calls are not made at a rate from before
// they were queued.
func TestInboundTrafficIsCountedWhenWorkArrives(t *testing.T) {
	t.Parallel()
	inWorld(t, map[string]int{"acme": 80}, func(w *world) {
		var counts atomic.Int64
		w.dispatch(func(o *dispatch.Options) {
			o.Inbound = func(context.Context, time.Time) (map[string]int, error) {
				counts.Add(1)
				return map[string]int{}, nil
			}
		})
		time.Sleep(3*time.Second + 10*time.Millisecond)
		before := counts.Load()
		time.Sleep(10 * time.Second)
		if n := counts.Load() - before; n < 9 || n > 12 {
			t.Errorf("%d counts in 10 s without work, want 1 per second", n)
		}
		before = counts.Load()
		w.queue("acme", recipient(1), nil)
		synctest.Wait()
		if counts.Load() == before {
			t.Error("inbound messages were not counted when work arrived")
		}
		for n := range 800 {
			w.queue("acme", recipient(n), nil)
		}
		before = counts.Load()
		time.Sleep(5 * time.Second)
		if n := counts.Load() - before; n < 45 {
			t.Errorf("%d counts in 5 s of sending, want 10 per second", n)
		}
	})
}

// severed is the world as one process sees it, until the process is cut off.
type severed struct {
	*world

	mu  sync.Mutex
	cut bool
}

var errCutOff = errors.New("cut off")

func (s *severed) off() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut
}

func (s *severed) Heartbeat(
	ctx context.Context, p uuid.UUID, roles []string, since time.Time, ttl time.Duration,
) (time.Time, error) {
	if s.off() {
		return time.Time{}, errCutOff
	}
	return s.world.Heartbeat(ctx, p, roles, since, ttl)
}

func (s *severed) Claim(ctx context.Context, p uuid.UUID, senders []string) ([]string, int, error) {
	if s.off() {
		return nil, 0, errCutOff
	}
	return s.world.Claim(ctx, p, senders)
}

// A process that joins gets its share of the lanes. If a process loses its lease, others
// take its lanes within 5 s. A process that ends gives its lanes back. All this time, no
// sender exceeds its rate, over all processes.
func TestLanesMoveBetweenProcesses(t *testing.T) {
	t.Parallel()
	rates := map[string]int{}
	for n := range 10 {
		rates[fmt.Sprintf("s%d", n)] = 10
	}
	inWorld(t, rates, func(w *world) {
		for n := range 400 {
			for from := range rates {
				w.queue(from, recipient(n), nil)
			}
		}
		cutting := &severed{world: w}
		first, second, third := newID(), newID(), newID()
		w.dispatch(func(o *dispatch.Options) { o.Process, o.Leases = first, cutting })
		time.Sleep(5 * time.Second)
		_, endSecond := w.dispatch(func(o *dispatch.Options) { o.Process = second })
		time.Sleep(5 * time.Second)
		if n := w.owners(); n[first] != 5 || n[second] != 5 {
			t.Errorf("after one joined: %v", n)
		}
		w.dispatch(func(o *dispatch.Options) { o.Process = third })
		time.Sleep(5 * time.Second)
		if n := w.owners(); n[first] > 4 || n[second] > 4 || n[third] < 2 {
			t.Errorf("after another joined: %v", n)
		}
		cutting.mu.Lock()
		cutting.cut = true
		cutting.mu.Unlock()
		cutAt := time.Now()
		time.Sleep(5 * time.Second)
		if n := w.owners(); n[second] != 5 || n[third] != 5 {
			t.Errorf("5 s after one was cut off: %v", n)
		}
		time.Sleep(5 * time.Second)
		endSecond()
		time.Sleep(5 * time.Second)
		if n := w.owners(); n[third] != 10 {
			t.Errorf("after one ended: %v", n)
		}
		last := map[string]time.Time{}
		for _, c := range w.made() {
			if before, ok := last[c.SenderID]; ok && c.at.Sub(before) > 5*time.Second {
				t.Errorf("%s made no calls for %s, %s after the cut", c.SenderID, c.at.Sub(before), before.Sub(cutAt))
			}
			last[c.SenderID] = c.at
		}
		for from, rate := range rates {
			w.wantWithin(from, rate)
		}
		w.wantNoneTwice()
	})
}

// owners returns the number of lanes that each process owns.
func (w *world) owners() map[uuid.UUID]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[uuid.UUID]int{}
	for _, owner := range w.lanes {
		n[owner]++
	}
	return n
}

// wantNoneTwice fails the test if a message was called more than once.
func (w *world) wantNoneTwice() {
	w.t.Helper()
	seen := map[uuid.UUID]bool{}
	for _, c := range w.made() {
		if seen[c.MessageID] {
			w.t.Errorf("message %s was called twice", c.MessageID)
		}
		seen[c.MessageID] = true
	}
}

var _ work.Leases = (*severed)(nil)
