package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/ports/dispatch"
)

const number = "106540352242922"

func TestSendsWhatIsQueued(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	p.dispatch(nil)
	var ids []uuid.UUID
	for n := range 60 {
		ids = append(ids, p.queue("acme", n, nil))
	}
	for _, id := range ids {
		if m := p.reaches(id, message.StatusSent); m.WhatsAppID == "" {
			t.Errorf("message %s is SENT without a wamid", id)
		}
		p.wantHistory(id, "Queued", "SendAttempted", "Sent")
	}
	if got := p.api.Stats().Calls; got != 60 {
		t.Errorf("%d calls for 60 messages", got)
	}
}

func TestRetriesThreeTimesThenDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.ErrorRate, c.ErrorCodes = 1, []int{131000} })
	p.register("acme", number, 200)
	p.dispatch(nil)
	id := p.queue("acme", 1, nil)
	m := p.reaches(id, message.StatusDeadLettered)
	p.wantHistory(
		id, "Queued", "SendAttempted", "Failed", "RetryScheduled", "SendAttempted", "Failed", "RetryScheduled",
		"SendAttempted", "Failed", "RetryScheduled", "SendAttempted", "Failed", "DeadLettered",
	)
	if m.Attempts != 4 || len(m.Calls) != 4 {
		t.Fatalf("%d attempts in %d calls, want 4 in 4", m.Attempts, len(m.Calls))
	}
	for i, least := range []time.Duration{10, 20, 40} {
		if gap := m.Calls[i+1].StartedAt.Sub(m.Calls[i].EndedAt); gap < least*time.Millisecond {
			t.Errorf("retry %d came %s after the failure, want at least %d ms", i+1, gap, least)
		}
	}
}

func TestPermanentFailuresAreNotRetried(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.FailRecipients = map[string]int{recipient(1)[1:]: 131026} })
	p.register("acme", number, 200)
	p.dispatch(nil)
	bad, good := p.queue("acme", 1, nil), p.queue("acme", 2, nil)
	p.reaches(bad, message.StatusFailed)
	p.reaches(good, message.StatusSent)
	p.wantHistory(bad, "Queued", "SendAttempted", "Failed")
}

func TestThrottlesKeepTheAttempts(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.FailNumbers = map[string]int{number: 130429} })
	p.register("acme", number, 200)
	d := p.dispatch(nil)
	id := p.queue("acme", 1, nil)
	p.eventually("the message is throttled", func() bool { return p.message(id).Throttles > 0 })
	if s := d.Snapshot()["acme"]; s.ThrottledUntil.IsZero() || s.EffectiveRate != 0 {
		t.Errorf("throttled, and the lane says %+v", s)
	}
	p.control(func(c *simulator.Control) { c.FailNumbers = nil })
	m := p.reaches(id, message.StatusSent)
	if m.Attempts != 1 {
		t.Errorf("%d attempts used, want 1", m.Attempts)
	}
	if wait := m.Calls[1].StartedAt.Sub(m.Calls[0].EndedAt); wait < 900*time.Millisecond {
		t.Errorf("called again %s after a throttle, want a second", wait)
	}
}

// A throttle of the account stops its other numbers, one of the app those with the
// same token, and both as long as Retry-After says.
func TestThrottlesOfAccountAndAppReachOtherSenders(t *testing.T) {
	t.Parallel()
	for code, reached := range map[int]string{80007: "same-account", 4: "same-token"} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t, func(c *simulator.Control) {
				c.FailNumbers, c.RetryAfter = map[string]int{number: code}, simulator.Duration(4*time.Second)
			})
			for id, in := range map[string]struct{ number, account, token string }{
				"acme":         {number, "1001", ""},
				"same-account": {"106540352242923", "1001", "another"},
				"same-token":   {"106540352242924", "1002", ""},
			} {
				_, err := p.senders.Register(p.ctx, sender.Registration{
					ID: id, Name: id, PhoneNumberID: in.number, BusinessAccountID: in.account, Rate: 100,
				}, in.token, tester)
				p.must(err)
				p.tokens.know(id)
			}
			p.tokens.fallback = "token of all"
			d := p.dispatch(nil)
			id := p.queue("acme", 1, nil)
			p.eventually("the message is throttled", func() bool { return p.message(id).Throttles > 0 })
			throttled := d.Snapshot()
			for other, lane := range throttled {
				if waits := !lane.ThrottledUntil.IsZero(); waits != (other == "acme" || other == reached) {
					t.Errorf("%s waits: %v", other, waits)
				}
			}
			p.control(func(c *simulator.Control) { c.FailNumbers = nil })
			m := p.reaches(id, message.StatusSent)
			if wait := m.Calls[1].StartedAt.Sub(m.Calls[0].EndedAt); wait < 4*time.Second {
				t.Errorf("called again after %s, Retry-After was 4 s", wait)
			}
		})
	}
}

// A template that WhatsApp refuses waits, the sender's other messages go on.
func TestAPausedTemplateIsDeferred(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.FailTemplates = map[string]int{"spring_sale": 132015} })
	p.register("acme", number, 200)
	table, err := whatsapp.LoadErrorTable()
	p.must(err)
	d := p.dispatch(func(o *dispatch.Options) { o.HoldsTemplate = table.HoldsTemplate })
	held := p.queue("acme", 1, func(q *message.Queued) {
		q.Kind, q.Template = message.KindTemplate, "spring_sale"
		q.Personal.Content = []byte(`{"name":"spring_sale","language":{"code":"en"}}`)
	})
	p.eventually("the template is held", func() bool { return slices.Contains(d.Snapshot()["acme"].HeldTemplates, "spring_sale") })
	p.reaches(p.queue("acme", 2, nil), message.StatusSent)
	p.wantHistory(held, "Queued", "SendAttempted", "Deferred")
	if m := p.message(held); m.Attempts != 0 || m.Status != message.StatusQueued {
		t.Errorf("the template's message is %s after %d attempts", m.Status, m.Attempts)
	}
}

func TestThrottledTooOftenIsADeadLetter(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.FailNumbers = map[string]int{number: 130429} })
	p.register("acme", number, 200)
	p.dispatch(func(o *dispatch.Options) { o.Policy.ThrottleLimit = 1 })
	m := p.reaches(p.queue("acme", 1, nil), message.StatusDeadLettered)
	if m.Failure.Category != message.CategoryRateLimit {
		t.Errorf("dead-lettered for %s", m.Failure.Category)
	}
}

func TestOnlyTheRecipientOfAPairLimitWaits(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.FailRecipients = map[string]int{recipient(1)[1:]: 131056} })
	p.register("acme", number, 200)
	p.dispatch(nil)
	slow := p.queue("acme", 1, nil)
	p.eventually("the recipient is limited", func() bool { return p.message(slow).Throttles > 0 })
	second, other := p.queue("acme", 1, nil), p.queue("acme", 2, nil)
	p.reaches(other, message.StatusSent)
	if got := len(p.message(second).Calls); got != 0 {
		t.Errorf("%d calls to a recipient that is limited", got)
	}
	p.control(func(c *simulator.Control) { c.FailRecipients = nil })
	for _, id := range []uuid.UUID{slow, second} {
		if m := p.reaches(id, message.StatusSent); m.Attempts != 1 {
			t.Errorf("%d attempts used, want 1", m.Attempts)
		}
	}
}

func TestABadTokenHoldsTheSenderAndANewOneReleasesIt(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.InvalidTokens = []string{"token-of-acme"} })
	p.register("acme", number, 50)
	p.register("other", "106540352242923", 50)
	d := p.dispatch(nil)
	var held []uuid.UUID
	for n := range 20 {
		held = append(held, p.queue("acme", n, nil))
	}
	p.eventually("the sender is held", func() bool {
		s, err := p.senders.Load(p.ctx, "acme")
		return err == nil && s.State() == sender.StateHeld
	})
	if !d.Snapshot()["acme"].Held {
		t.Error("the lane does not say that it is held")
	}
	p.reaches(p.queue("other", 1, nil), message.StatusSent)

	if _, err := p.senders.Update(p.ctx, "acme", sender.Changes{}, "a better token", tester); err != nil {
		t.Fatal(err)
	}
	for _, id := range held {
		if m := p.reaches(id, message.StatusSent); m.Attempts != 1 {
			t.Errorf("%d attempts used, want 1", m.Attempts)
		}
	}
	p.eventually("the sender is released", func() bool {
		s, err := p.senders.Load(p.ctx, "acme")
		return err == nil && s.State() == sender.StateActive
	})
}

func TestALostAnswerIsSettledByItsStatus(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.DropResponseRate = 1 })
	p.register("acme", number, 200)
	p.dispatch(func(o *dispatch.Options) { o.Policy.SettleAfter = patience })
	id := p.queue("acme", 1, nil)
	p.reaches(id, message.StatusAmbiguous)
	_, err := p.messages.Change(p.ctx, id, tester, func(m message.Message) ([]message.Event, error) {
		events, _ := message.RecordReport(m, message.Report{Kind: message.ReportDelivered, Call: 1, WhatsAppID: "wamid.1", At: time.Now()})
		return events, nil
	})
	p.must(err)
	p.reaches(id, message.StatusDelivered)
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown", "Sent", "Delivered")
}

func TestALostAnswerThatNothingSettles(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.DropResponseRate = 1 })
	p.register("acme", number, 200)
	p.dispatch(func(o *dispatch.Options) { // as often as it takes until the answers come again
		o.Policy.RetryDelays = slices.Repeat(o.Policy.RetryDelays[:1], 100)
	})
	again := p.queue("acme", 1, nil)
	never := p.queue("acme", 2, func(q *message.Queued) { q.OnAmbiguous = message.AmbiguityDeadLetter })
	p.reaches(never, message.StatusDeadLettered)
	p.wantHistory(never, "Queued", "SendAttempted", "OutcomeUnknown", "DeadLettered")
	p.eventually("it is sent again", func() bool { return len(p.message(again).Calls) > 1 })
	p.control(func(c *simulator.Control) { c.DropResponseRate = 0 })
	m := p.reaches(again, message.StatusSent)
	if gap := m.Calls[1].StartedAt.Sub(m.Calls[0].EndedAt); gap < 100*time.Millisecond {
		t.Errorf("sent again after %s, before its settling had ended", gap)
	}
}

func TestSettlingWaitsAfterAnOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.DropResponseRate = 1 })
	p.register("acme", number, 200)
	recording := time.Now().Add(time.Hour) // the outage began after the call and its end lies ahead
	p.dispatch(func(o *dispatch.Options) { o.RecordingSince = func() time.Time { return recording } })
	id := p.queue("acme", 1, func(q *message.Queued) { q.OnAmbiguous = message.AmbiguityDeadLetter })
	m := p.reaches(id, message.StatusAmbiguous)
	time.Sleep(time.Until(m.DueAt) + 500*time.Millisecond)
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown")
}

func TestTwoOwnersFromOneRevision(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	id := p.queue("acme", 1, nil)
	policy := p.settings().Policy
	won := make(chan error, 2)
	var owners [2]*command.Messages
	var loaded [2]command.Loaded
	for i := range owners { // both before one of them appends
		owners[i] = command.NewMessages(p.log, time.Now, newID, 10)
		var err error
		loaded[i], err = owners[i].Load(p.ctx, id)
		p.must(err)
	}
	for i, owner := range owners {
		l := loaded[i]
		go func() {
			err := owner.Append(p.ctx, &l, tester, message.Advance(l.Message, policy, false, time.Now())...)
			won <- err
		}()
	}
	first, second := <-won, <-won
	var lost *event.WrongRevisionError
	if (first == nil) == (second == nil) || !errors.As(errors.Join(first, second), &lost) {
		t.Fatalf("one of two owners must win and one be told so: %v, %v", first, second)
	}
	p.wantHistory(id, "Queued", "SendAttempted")
}

func TestTwoProcessesShareTheLanes(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 100)
	p.register("other", "106540352242923", 100)
	p.dispatch(nil)
	p.dispatch(func(o *dispatch.Options) {
		o.Messages = command.NewMessages(p.log, time.Now, newID, 1000)
		o.Senders = command.NewSenders(p.log, time.Now, newID, p.tokens)
	})
	var ids []uuid.UUID
	for n := range 40 {
		ids = append(ids, p.queue("acme", n, nil), p.queue("other", n, nil))
	}
	for _, id := range ids {
		p.reaches(id, message.StatusSent)
		p.wantHistory(id, "Queued", "SendAttempted", "Sent")
	}
}

func TestPausedLanesStillExpireAndSettle(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	_, err := p.senders.Change(p.ctx, "acme", tester, func(s sender.Sender) ([]domain.Event, error) {
		return sender.Pause(s, nil, "maintenance")
	})
	p.must(err)
	id := p.queue("acme", 1, func(q *message.Queued) { q.ExpiresAt = time.Now().Add(200 * time.Millisecond) })
	waiting := p.queue("acme", 2, nil)
	p.dispatch(nil)
	p.reaches(id, message.StatusExpired)
	p.wantHistory(waiting, "Queued")
	_, err = p.senders.Change(p.ctx, "acme", tester, sender.Resume)
	p.must(err)
	p.reaches(waiting, message.StatusSent)
}

func TestADrainThatRunsOutOfTimeRecordsLostAnswers(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.HangNumbers = []string{number} })
	p.register("acme", number, 200)
	caller := &stampedCaller{Caller: p}
	d := p.dispatch(func(o *dispatch.Options) { o.Caller, o.Policy.SettleAfter = caller, patience })
	id := p.queue("acme", 1, nil)
	p.eventually("the call is written", func() bool {
		caller.mu.Lock()
		defer caller.mu.Unlock()
		return len(caller.writes) > 0
	})
	ctx, cancel := context.WithTimeout(p.ctx, 800*time.Millisecond)
	defer cancel()
	d.Drain(ctx)
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown")
}

func TestOTPGoesFirstAndOthersKeepATenth(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 20)
	classes := map[uuid.UUID]message.Priority{}
	for n := range 60 {
		for _, c := range []message.Priority{message.PriorityBulk, message.PriorityTransactional, message.PriorityOTP} {
			if n < 20 || c == message.PriorityOTP {
				classes[p.queue("acme", n, func(q *message.Queued) { q.Priority = c })] = c
			}
		}
	}
	p.eventually("all stand in the work-list", func() bool {
		var n int
		return p.pool.QueryRow(p.ctx, `SELECT count(*) FROM work_item`).Scan(&n) == nil && n == len(classes)
	})
	p.dispatch(nil)
	p.eventually("30 calls", func() bool { return p.api.Stats().Calls >= 30 })
	counts := map[message.Priority]int{}
	for id, c := range classes {
		if len(p.message(id).Calls) > 0 {
			counts[c]++
		}
	}
	if counts[message.PriorityOTP] < 20 || counts[message.PriorityTransactional] < 2 || counts[message.PriorityBulk] < 2 {
		t.Errorf("of the first calls went %v", counts)
	}
}

func TestACallOfACrashedProcessIsDeclaredLost(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	id := p.queue("acme", 1, nil)
	l, err := p.messages.Load(p.ctx, id)
	p.must(err)
	err = p.messages.Append(p.ctx, &l, tester, message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now().Add(1500 * time.Millisecond)})
	p.must(err)
	p.dispatch(nil)
	m := p.reaches(id, message.StatusSent)
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown", "SendAttempted", "Sent")
	if m.Calls[0].EndedAt.Before(m.Calls[0].AnswerBy) {
		t.Error("declared lost while its owner might still have had the answer")
	}
}

func TestAnOutcomeOutlivesAnOutageOfTheEventStore(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.Latency = simulator.Duration(500 * time.Millisecond) })
	p.register("acme", number, 200)
	p.dispatch(func(o *dispatch.Options) { o.Policy.CallTimeout = patience })
	id := p.queue("acme", 1, nil)
	p.eventually("the call is under way", func() bool { return p.api.Stats().Calls > 0 })
	p.must(p.server.Close(p.ctx))
	time.Sleep(time.Second) // the answer comes while the store is away
	var err error
	p.server, err = eventstored.Open(p.ctx, p.store)
	p.must(err)
	p.reaches(id, message.StatusSent)
	p.wantHistory(id, "Queued", "SendAttempted", "Sent")
	if got := p.api.Stats().Calls; got != 1 {
		t.Errorf("%d calls", got)
	}
}

func TestAnOutageOfWhatsAppCostsAHandfulOfMessages(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 50)
	addr := p.api.Addr()
	p.must(p.api.Close(p.ctx))
	d := p.dispatch(nil)
	var ids []uuid.UUID
	for n := range 60 {
		ids = append(ids, p.queue("acme", n, nil))
	}
	p.eventually("the breaker opens", func() bool { return d.Snapshot()["acme"].BreakerOpen })
	p.eventually("a call probes in vain", func() bool {
		for _, id := range ids {
			if slices.Contains(p.history(id), "Deferred") {
				return true
			}
		}
		return false
	})
	var err error
	p.api, err = simulator.Start(p.ctx, simulator.Options{Addr: addr, AppSecret: "secret"})
	p.must(err)
	sent := 0
	p.eventually("every message has ended", func() bool {
		sent = 0
		for _, id := range ids {
			switch p.message(id).Status {
			case message.StatusSent:
				sent++
			case message.StatusDeadLettered:
			default:
				return false
			}
		}
		return true
	})
	if sent < 50 {
		t.Errorf("%d of 60 messages were sent", sent)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := dispatch.New(dispatch.Options{}); err == nil || !strings.Contains(err.Error(), "dispatch needs") {
		t.Errorf("a dispatcher of nothing: %v", err)
	}
}

// readCounter counts the reads of streams.
type readCounter struct {
	event.Log

	reads atomic.Int64
}

func (l *readCounter) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	l.reads.Add(1)
	return l.Log.Read(ctx, stream, from, limit)
}

// What others queue for the senders of this process is at hand without a read, unless
// a person was just forgotten.
func TestMessagesQueuedElsewhereAreAtHand(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	log := &readCounter{Log: p.log}
	var later atomic.Int64 // seconds
	clock := func() time.Time { return time.Now().Add(time.Duration(later.Load()) * time.Second) }
	messages := command.NewMessages(log, clock, newID, 1000)
	following, stop := context.WithCancel(p.ctx)
	var follow sync.WaitGroup
	follow.Go(func() {
		if err := messages.Follow(following, func(sender string) bool { return sender == "acme" }); following.Err() == nil {
			t.Errorf("follow: %v", err)
		}
	})
	defer follow.Wait()
	defer stop()

	loads := func(id uuid.UUID) (reads int64) {
		before := log.reads.Load()
		l, err := messages.LoadAt(p.ctx, id, 0)
		p.must(err)
		if l.Message.To != recipient(1) || l.Revision != 0 {
			t.Errorf("loaded %+v", l)
		}
		return log.reads.Load() - before
	}
	followed := func() bool {
		id := p.queue("acme", 1, nil)
		time.Sleep(50 * time.Millisecond) // it is handed over meanwhile
		return loads(id) == 0
	}
	p.eventually("what is queued is at hand", followed)
	others := p.queue("other", 1, nil)
	p.eventually("what is queued later is at hand", followed)
	if loads(others) != 1 {
		t.Error("a message of another sender was kept")
	}

	messages.Forget([]event.KeyID{"a key"})
	fresh := p.queue("acme", 1, nil)
	time.Sleep(50 * time.Millisecond)
	if loads(fresh) != 1 {
		t.Error("a message was kept that may have been read before a person was forgotten")
	}
	later.Store(61)
	p.eventually("a minute later what is queued is at hand", followed)
}
