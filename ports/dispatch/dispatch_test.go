package dispatch_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/adapters/eventstored"
	"github.com/waypost/waypost/adapters/postgres"
	"github.com/waypost/waypost/adapters/whatsapp"
	"github.com/waypost/waypost/adapters/whatsapp/simulator"
	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/work"
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

// A message to a user ID is sent to the person's number if it is known, and its history says so.
func TestAKnownNumberIsUsedForAUserID(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	const known, hidden = "US.1", "US.2"
	p.dispatch(func(o *dispatch.Options) {
		o.NumberOf = func(_ context.Context, userID string) (string, error) {
			if userID == known {
				return recipient(7), nil
			}
			return "", nil
		}
	})
	for user, to := range map[string]string{known: recipient(7), hidden: ""} {
		id := p.queue("acme", 0, func(q *message.Queued) { q.Personal.To, q.Personal.ToUserID = "", user })
		m := p.reaches(id, message.StatusSent)
		if m.Calls[0].To != to || m.ToUserID != user || m.To != "" {
			t.Errorf("the message to %s was sent to %q", user, m.Calls[0].To)
		}
		want := user
		if to != "" {
			want = to[1:]
		}
		events, _ := p.events(id)
		for _, e := range events {
			if sent, ok := e.Event.(message.Sent); ok && sent.Personal.RecipientID != want {
				t.Errorf("WhatsApp got the recipient %s instead of %s", sent.Personal.RecipientID, want)
			}
			if attempted, ok := e.Event.(message.SendAttempted); ok && attempted.ToNumber != (to != "") {
				t.Errorf("the history says of the call to %s: %+v", user, attempted)
			}
		}
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
		p.wantWait(id, i, least*time.Millisecond)
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
		t.Errorf("throttled, and its status is %+v", s)
	}
	p.control(func(c *simulator.Control) { c.FailNumbers = nil })
	m := p.reaches(id, message.StatusSent)
	if m.Attempts != 1 {
		t.Errorf("%d attempts used, want 1", m.Attempts)
	}
	p.wantWait(id, 0, time.Second)
}

// A throttle of the account stops its other numbers, a throttle of the app stops the
// numbers with the same token, and both last as long as Retry-After says.
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
			p.reaches(id, message.StatusSent)
			p.wantWait(id, 0, 4*time.Second)
		})
	}
}

// Messages of a template that WhatsApp refuses wait. The sender's other messages
// are sent.
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
	refused := p.writes(slow)[0]
	for _, at := range p.writes(second) {
		if wait := at.Sub(refused); wait < time.Second {
			t.Errorf("the limited recipient was called %s after the refused call, want at least 1s", wait)
		}
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
		t.Error("the status of the lane does not show that it is held")
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
		events, _ := message.RecordStatusUpdate(m, message.StatusUpdate{Kind: message.ReportDelivered, Call: 1, WhatsAppID: "wamid.1", At: time.Now()})
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
	p.dispatch(func(o *dispatch.Options) { // as often as necessary until responses come again
		o.Policy.RetryDelays = slices.Repeat(o.Policy.RetryDelays[:1], 100)
	})
	again := p.queue("acme", 1, nil)
	never := p.queue("acme", 2, func(q *message.Queued) { q.OnAmbiguous = message.AmbiguityDeadLetter })
	p.reaches(never, message.StatusDeadLettered)
	p.wantHistory(never, "Queued", "SendAttempted", "OutcomeUnknown", "DeadLettered")
	p.eventually("it is sent again", func() bool { return len(p.message(again).Calls) > 1 })
	p.control(func(c *simulator.Control) { c.DropResponseRate = 0 })
	p.reaches(again, message.StatusSent)
	p.wantWait(again, 0, 100*time.Millisecond)
}

func TestSettlingWaitsAfterAnOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.DropResponseRate = 1 })
	p.register("acme", number, 200)
	recording := time.Now().Add(time.Hour) // the outage began after the call and has not ended
	list := &overdueCounter{List: postgres.NewWorkList(p.pool)}
	p.dispatch(func(o *dispatch.Options) {
		o.RecordingSince = func() time.Time { return recording }
		o.List = list
	})
	id := p.queue("acme", 1, func(q *message.Queued) { q.OnAmbiguous = message.AmbiguityDeadLetter })
	p.reaches(id, message.StatusAmbiguous)
	p.eventually("its settling has been due for a while", func() bool { return list.due.Load() >= 3 })
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown")
}

// overdueCounter counts the items of a work list that were fetched when they were due.
type overdueCounter struct {
	work.List

	due atomic.Int64
}

func (l *overdueCounter) Overdue(ctx context.Context, now time.Time, senders []string, limit int) ([]work.Item, event.Position, error) {
	items, position, err := l.List.Overdue(ctx, now, senders, limit)
	for _, i := range items {
		if i.State == work.Unsettled && i.DueAt.Before(time.Now()) {
			l.due.Add(1)
		}
	}
	return items, position, err
}

func TestTwoOwnersFromOneRevision(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	id := p.queue("acme", 1, nil)
	policy := p.settings().Policy
	var owners [2]*command.Messages
	var decided, ended sync.WaitGroup
	decided.Add(len(owners))
	for i := range owners {
		owner := command.NewMessages(p.log, time.Now, newID, 10)
		owners[i] = owner
		ended.Go(func() {
			both := sync.OnceFunc(func() { // both decide before one of them appends
				decided.Done()
				decided.Wait()
			})
			_, err := owner.Change(p.ctx, id, tester, func(m message.Message) ([]message.Event, error) {
				defer both()
				return message.Advance(m, policy, false, time.Now()), nil
			})
			p.must(err)
		})
	}
	ended.Wait()
	if first, second := owners[0].Conflicts(), owners[1].Conflicts(); first+second != 1 {
		t.Fatalf("one of two owners must win, and the other must decide again: %d and %d conflicts", first, second)
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
	d.Drain(announcedEnd{p.ctx, time.Now().Add(800 * time.Millisecond)})
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown")
}

// announcedEnd is a context that ends later than its deadline. A drain abandons calls
// before the deadline, and the records take as long as the machine needs.
type announcedEnd struct {
	context.Context

	at time.Time
}

func (c announcedEnd) Deadline() (time.Time, bool) { return c.at, true }

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
	p.eventually("the work list has all messages", func() bool {
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
		t.Errorf("the first calls were %v", counts)
	}
}

func TestACallOfACrashedProcessIsDeclaredLost(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	p.register("acme", number, 200)
	id := p.queue("acme", 1, nil)
	_, err := p.messages.Change(p.ctx, id, tester, record(message.SendAttempted{Call: 1, Attempt: 1, AnswerBy: time.Now().Add(1500 * time.Millisecond)}))
	p.must(err)
	p.dispatch(nil)
	m := p.reaches(id, message.StatusSent)
	p.wantHistory(id, "Queued", "SendAttempted", "OutcomeUnknown", "SendAttempted", "Sent")
	if m.Calls[0].EndedAt.Before(m.Calls[0].AnswerBy) {
		t.Error("declared lost while its owner could still have received the response")
	}
}

func TestAnOutcomeOutlivesAnOutageOfTheEventStore(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, func(c *simulator.Control) { c.Latency = simulator.Duration(500 * time.Millisecond) })
	p.register("acme", number, 200)
	log := &logCounter{Log: p.log}
	p.dispatch(func(o *dispatch.Options) { o.Messages = command.NewMessages(log, time.Now, newID, 1000) })
	id := p.queue("acme", 1, nil)
	p.eventually("the call is in flight", func() bool { return p.api.Stats().Calls > 0 })
	p.must(p.server.Close(p.ctx))
	p.eventually("its outcome is being recorded", func() bool { return log.appends.Load() >= 2 })
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
	p.eventually("the breaker opens", func() bool {
		o := d.Snapshot()["acme"].Outage
		if o != nil && (o.Failures < 10 || o.LastFailure == "" || !o.NextProbeAt.After(o.Since)) {
			t.Fatalf("outage %+v", *o)
		}
		return o != nil
	})
	p.eventually("a probing call fails", func() bool {
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
		t.Errorf("a dispatcher without options: %v", err)
	}
}

// logCounter counts the reads of streams and the appends that have begun, and records
// which streams a subscription has delivered an event of.
type logCounter struct {
	event.Log

	reads, appends atomic.Int64
	delivered      sync.Map // by stream
}

func (l *logCounter) Read(ctx context.Context, stream string, from event.Revision, limit int) ([]event.Recorded, error) {
	l.reads.Add(1)
	return l.Log.Read(ctx, stream, from, limit)
}

func (l *logCounter) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	l.appends.Add(1)
	return l.Log.Append(ctx, stream, expected, events...)
}

func (l *logCounter) Subscribe(ctx context.Context, s event.Subscription, handle func(context.Context, event.Batch) error) error {
	return l.Log.Subscribe(ctx, s, func(ctx context.Context, b event.Batch) error {
		err := handle(ctx, b)
		for _, e := range b.Events {
			l.delivered.Store(e.Stream, true)
		}
		return err
	})
}

// has reports whether a subscription has delivered an event of the message.
func (l *logCounter) has(id uuid.UUID) bool {
	_, delivered := l.delivered.Load(event.MessageStream(id))
	return delivered
}

// Messages that other processes queue for the senders of this process are cached
// without a read, unless a person was just forgotten.
func TestMessagesQueuedElsewhereAreAtHand(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, nil)
	log := &logCounter{Log: p.log}
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
	queued := func(from string) uuid.UUID {
		id := p.queue(from, 1, nil)
		p.eventually("the message is followed", func() bool { return log.has(id) })
		return id
	}
	var first []uuid.UUID // those before the subscription are not followed
	p.eventually("messages are followed", func() bool {
		first = append(first, p.queue("acme", 1, nil))
		return slices.ContainsFunc(first, log.has)
	})
	if loads(queued("acme")) != 0 {
		t.Error("a queued message was not cached")
	}
	if loads(queued("other")) != 1 {
		t.Error("a message of another sender was cached")
	}

	messages.Forget([]event.KeyID{"a key"})
	if loads(queued("acme")) != 1 {
		t.Error("a message was cached that may have been read before a person was forgotten")
	}
	later.Store(61)
	if loads(queued("acme")) != 0 {
		t.Error("a message that was queued a minute later was not cached")
	}
}
