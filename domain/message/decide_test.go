package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

func TestQueue(t *testing.T) {
	request := func(change func(*message.Request)) message.Request {
		r := message.Request{
			Sender: "support", To: "+491701234567", Content: message.Text{Body: "hello"},
			Priority: message.PriorityTransactional, OnAmbiguous: message.AmbiguityResend, Fingerprint: "f1",
		}
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		change func(*message.Request)
		want   func(*message.Queued)
		field  string
	}{
		"at once": {change: func(*message.Request) {}, want: func(*message.Queued) {}},
		"later": {
			change: func(r *message.Request) { r.SendAt, r.ExpiresAt = at(time.Hour), at(2*time.Hour) },
			want:   func(e *message.Queued) { e.SendAt, e.ExpiresAt = at(time.Hour), at(2*time.Hour) },
		},
		"a time that has passed is at once": {
			change: func(r *message.Request) { r.SendAt = at(-time.Hour) },
			want:   func(e *message.Queued) { e.SendAt = at(-time.Hour) },
		},
		"all that a business may say": {
			change: func(r *message.Request) {
				r.ReplyTo, r.IdempotencyKey, r.Labels = "wamid.x", "k1", []message.Label{{Name: "a", Value: "b"}}
			},
			want: func(e *message.Queued) {
				e.Personal.ReplyTo, e.Personal.IdempotencyKey = "wamid.x", "k1"
				e.Personal.Labels = []message.Label{{Name: "a", Value: "b"}}
			},
		},
		"wanted within 20 s": {
			change: func(r *message.Request) { r.DeliverWithin = new(20 * time.Second) },
			want:   func(e *message.Queued) { e.DeliverWithinSeconds = 20 },
		},
		"wanted whenever":          {change: func(r *message.Request) { r.DeliverWithin = new(time.Duration) }, want: func(*message.Queued) {}},
		"wanted too soon":          {change: func(r *message.Request) { r.DeliverWithin = new(time.Second - 1) }, field: "deliverWithin"},
		"wanted too late":          {change: func(r *message.Request) { r.DeliverWithin = new(30*24*time.Hour + 1) }, field: "deliverWithin"},
		"too far ahead":            {change: func(r *message.Request) { r.SendAt = at(367 * 24 * time.Hour) }, field: "sendAt"},
		"expired":                  {change: func(r *message.Request) { r.ExpiresAt = start }, field: "expiresAt"},
		"expires before due":       {change: func(r *message.Request) { r.SendAt, r.ExpiresAt = at(time.Hour), at(time.Hour) }, field: "expiresAt"},
		"a priority in lower case": {change: func(r *message.Request) { r.Priority = "bulk" }, field: "priority"},
		"a policy in lower case":   {change: func(r *message.Request) { r.OnAmbiguous = "dead_letter" }, field: "onAmbiguous"},
		"nothing to say":           {change: func(r *message.Request) { r.Content = message.Text{} }, field: "content.text.body"},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := message.Queue(request(c.change), start)
			if c.field != "" {
				if code, found := domain.CodeOf(err), strings.HasPrefix(err.Error(), c.field+": "); code != domain.CodeInvalidInput || !found || len(events) > 0 {
					t.Fatalf("got %v (%s), want the field %s", err, code, c.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			then(t, events, list(queued(c.want)))
		})
	}
}

func TestIDIsMadeOfSenderAndKey(t *testing.T) {
	one := message.ID("support", "order-1")
	// Worked out with Python's uuid.uuid5: any client can know the id beforehand.
	if got, want := one.String(), "cea67152-e1b5-569a-87be-ad53453ef241"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if one == message.ID("support", "order-2") || one == message.ID("sales", "order-1") {
		t.Error("another sender or key gives the same id")
	}
}

func TestAdvance(t *testing.T) {
	unsettled := func(attempts int, why string) message.DeadLettered {
		return message.DeadLettered{Attempts: attempts, Failure: message.Failure{
			Category: message.CategoryUnsettled, Class: message.ClassTransient, Message: why,
			Advice: "Check with the recipient whether it arrived; requeue it to send it again, or discard it.",
		}}
	}
	const (
		byPolicy = "the response was lost and no status settled it; the message's policy is not to send again"
		usedUp   = "the response to the last attempt was lost and no status settled it"
	)
	begun := func(call, attempt int, after time.Duration) message.SendAttempted {
		return message.SendAttempted{Call: call, Attempt: attempt, AnswerBy: at(after + answerAfter)}
	}
	scheduled := func(e *message.Queued) { e.SendAt = at(time.Minute) }
	retrying := list(attempted(1, 1), failed(1, 1, message.ClassTransient), retry(1, time.Second))
	with := func(q message.Queued, events ...message.Event) []message.Event { return append(list(q), events...) }
	within := func(e *message.Queued) { e.DeliverWithinSeconds = 20 }
	overdue := message.DeliveryOverdue{Since: at(20 * time.Second)}
	for name, c := range map[string]struct {
		given []message.Event
		probe bool
		after time.Duration
		want  []message.Event
	}{
		"nothing recorded":          {},
		"queued, due":               {given: with(queued()), want: list(attempted(1, 1))},
		"queued, due, as a probe":   {given: with(queued()), probe: true, want: list(probed(1, 1))},
		"queued by a clock ahead":   {given: with(queued()), after: -time.Minute, want: list(begun(1, 1, -time.Minute))},
		"queued for later, not due": {given: with(queued(scheduled)), after: time.Minute - 1},
		"queued for later, due":     {given: with(queued(scheduled)), after: time.Minute, want: list(begun(1, 1, time.Minute))},
		"queued, expired":           {given: with(queued(expiring(at(time.Second)))), after: time.Second, want: list(message.Expired{})},
		"queued, about to expire":   {given: with(queued(expiring(at(time.Second)))), want: list(attempted(1, 1))},
		"deferred, expired before it is due": {
			given: with(queued(expiring(at(time.Second))), attempted(1, 1), message.Deferred{Call: 1, Reason: message.DeferThrottled, DueAt: at(time.Minute)}),
			after: 2 * time.Second, want: list(message.Expired{}),
		},
		"retrying, not due": {given: with(queued(), retrying...), after: time.Second - 1},
		"retrying, due":     {given: with(queued(), retrying...), after: time.Second, want: list(begun(2, 2, time.Second))},
		"retrying, expired before it is due": {
			given: with(queued(expiring(at(500*time.Millisecond))), retrying...), after: 600 * time.Millisecond, want: list(message.Expired{}),
		},
		"sending, the answer may still come": {given: with(queued(), attempted(1, 1)), after: answerAfter - 1},
		"sending, the answer is lost": {
			given: with(queued(), attempted(1, 1)), after: answerAfter,
			want: list(message.OutcomeUnknown{Call: 1, Attempt: new(1), Cause: "no outcome was recorded in time", SettleBy: at(answerAfter + 30*time.Second)}),
		},
		"sending, expired, the answer may still come": {given: with(queued(expiring(at(time.Second))), attempted(1, 1)), after: 2 * time.Second},
		"ambiguous, settling":                         {given: with(queued(), attempted(1, 1), lost(1)), after: 30*time.Second - 1},
		"ambiguous, expired while settling": {
			given: with(queued(expiring(at(time.Second))), attempted(1, 1), lost(1)), after: 2 * time.Second,
		},
		"ambiguous, resent":              {given: with(queued(), attempted(1, 1), lost(1)), after: 30 * time.Second, want: list(begun(2, 2, 30*time.Second))},
		"ambiguous, expired, not resent": {given: with(queued(expiring(at(time.Second))), attempted(1, 1), lost(1)), after: 30 * time.Second, want: list(message.Expired{})},
		"ambiguous, left to people":      {given: with(queued(leftToPeople), attempted(1, 1), lost(1)), after: 30 * time.Second, want: list(unsettled(1, byPolicy))},
		"ambiguous, left to people in lower case": {
			given: with(queued(func(e *message.Queued) { e.OnAmbiguous = "dead_letter" }), attempted(1, 1), lost(1)), after: 30 * time.Second,
			want: list(unsettled(1, byPolicy)),
		},
		"ambiguous, budget used up": {given: with(queued(), attempted(1, 4), lost(1)), after: 30 * time.Second, want: list(unsettled(4, usedUp))},
		"ambiguous, a lost probe used no attempt": {
			given: with(queued(), probed(1, 4), lost(1)), after: 30 * time.Second, want: list(begun(2, 4, 30*time.Second)),
		},
		"ambiguous, one attempt left": {given: with(queued(), attempted(1, 3), lost(1)), after: 30 * time.Second, want: list(begun(2, 4, 30*time.Second))},
		"sent":                        {given: with(queued(), attempted(1, 1), sent(1)), after: time.Hour},
		"sent, delivery not overdue":  {given: with(queued(within), attempted(1, 1), sent(1)), after: 20*time.Second - 1},
		"sent, delivery overdue":      {given: with(queued(within), attempted(1, 1), sent(1)), after: 20 * time.Second, want: list(overdue)},
		"sent, delivery reported overdue": {
			given: with(queued(within), attempted(1, 1), sent(1), overdue), after: time.Hour,
		},
		"sent again later, delivery overdue since the first call": {
			given: with(queued(within), attempted(1, 1), lost(1), attempted(2, 2), sent(1), again(sentAt(2, time.Second))),
			after: 20 * time.Second, want: list(overdue),
		},
		"sent after a requeue, delivery not overdue yet": {
			given: with(queued(within), attempted(1, 1), sent(1), afterAcceptance(failed(1, 1, message.ClassTransient)),
				deadLettered(1, message.ClassTransient), message.Requeued{}, attempted(2, 1), sentAt(2, time.Minute)),
			after: 80*time.Second - 1,
		},
		"delivered in time": {given: with(queued(within), attempted(1, 1), sent(1), delivered(1)), after: time.Hour},
		"read in time":      {given: with(queued(within), attempted(1, 1), sent(1), read(1)), after: time.Hour},
		"delivered":         {given: with(queued(), attempted(1, 1), sent(1), delivered(1)), after: time.Hour},
		"read":              {given: with(queued(), attempted(1, 1), sent(1), read(1)), after: time.Hour},
		"failed":            {given: with(queued(), attempted(1, 1), final(failed(1, 1, message.ClassPermanent))), after: time.Hour},
		"dead letter":       {given: with(queued(), attempted(1, 1), lost(1), deadLettered(1, message.ClassTransient)), after: time.Hour},
		"requeued, a fresh budget": {
			given: with(queued(), attempted(1, 4), failed(1, 4, message.ClassTransient), deadLettered(4, message.ClassTransient), message.Requeued{}),
			want:  list(attempted(2, 1)),
		},
		"discarded": {given: with(queued(), attempted(1, 1), lost(1), deadLettered(1, message.ClassTransient), message.Discarded{}), after: time.Hour},
		"cancelled": {given: with(queued(), message.Cancelled{}), after: time.Hour},
		"expired":   {given: with(queued(), message.Expired{}), after: time.Hour},
		"sent while a resend was in progress": {
			given: with(queued(), attempted(1, 1), lost(1), attempted(2, 2), settled(1)), after: time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			then(t, message.Advance(given(c.given...), policy(), c.probe, at(c.after)), c.want)
		})
	}
}

func TestFinishCall(t *testing.T) {
	accepted := message.Accepted{WhatsAppID: wamid(1)}
	unreachable := refused(message.ClassTransient)
	unreachable.Unreachable = true
	pair := refused(message.ClassThrottled)
	pair.Scope, pair.RetryAfterSeconds = message.ScopePair, 3
	number := refused(message.ClassThrottled)
	number.Scope = message.ScopeNumber
	// pending is a message with its second call in flight.
	pending := list(queued(), attempted(1, 1), failed(1, 1, message.ClassTransient), retry(1, time.Second), attempted(2, 2))
	// closed is a message whose first call has been accepted since.
	closed := list(queued(), attempted(1, 1), lost(1), attempted(2, 2), settled(1))
	// abandoned is one whose second call had no outcome when it was requeued.
	abandoned := append(append([]message.Event(nil), closed...), afterAcceptance(failed(1, 1, message.ClassTransient)),
		deadLettered(2, message.ClassTransient), message.Requeued{}, attempted(3, 1))
	rateLimit := deadLettered(0, message.ClassThrottled)
	rateLimit.Failure.Category = message.CategoryRateLimit
	throttledOut := list(queued())
	for i := range policy().ThrottleLimit {
		throttledOut = append(throttledOut, attempted(i+1, 1), message.Deferred{Call: i + 1, Reason: message.DeferThrottled, DueAt: start})
	}
	limit := policy().ThrottleLimit
	throttledOut = append(throttledOut, attempted(limit+1, 1))
	for name, c := range map[string]struct {
		given  []message.Event
		call   int
		result message.CallResult
		want   []message.Event
	}{
		"accepted":            {list(queued(), attempted(1, 1)), 1, accepted, list(sent(1))},
		"accepted again":      {list(queued(), attempted(1, 1), sent(1)), 1, accepted, nil},
		"no such call":        {list(queued()), 1, accepted, nil},
		"call 0":              {list(queued(), attempted(1, 1)), 0, accepted, nil},
		"a status came first": {list(queued(), attempted(1, 1), settled(1), delivered(1)), 1, accepted, nil},
		"a failed status came first": {
			list(queued(), attempted(1, 1), settled(1), final(afterAcceptance(failed(1, 1, message.ClassPermanent)))), 1, accepted, nil,
		},
		"accepted late, ambiguous":       {list(queued(), attempted(1, 1), lost(1)), 1, accepted, list(sent(1))},
		"accepted late, a resend begun":  {list(queued(), attempted(1, 1), lost(1), attempted(2, 2)), 1, accepted, list(sent(1))},
		"accepted late, a resend sent":   {list(queued(), attempted(1, 1), lost(1), attempted(2, 2), sent(2)), 1, accepted, list(again(sent(1)))},
		"the resend accepted too":        {closed, 2, message.Accepted{WhatsAppID: wamid(2)}, list(again(sent(2)))},
		"accepted late, left to people":  {list(queued(leftToPeople), attempted(1, 1), lost(1), deadLettered(1, message.ClassTransient)), 1, accepted, list(sent(1))},
		"transient, first":               {list(queued(), attempted(1, 1)), 1, refused(message.ClassTransient), list(failed(1, 1, message.ClassTransient), retry(1, time.Second))},
		"transient, second":              {pending, 2, refused(message.ClassTransient), list(failed(2, 2, message.ClassTransient), retry(2, 2*time.Second))},
		"transient, third":               {list(queued(), attempted(1, 3)), 1, refused(message.ClassTransient), list(failed(1, 3, message.ClassTransient), retry(3, 4*time.Second))},
		"transient, budget used up":      {list(queued(), attempted(1, 4)), 1, refused(message.ClassTransient), list(failed(1, 4, message.ClassTransient), deadLettered(4, message.ClassTransient))},
		"transient, closed before":       {closed, 2, refused(message.ClassTransient), list(failed(2, 2, message.ClassTransient))},
		"transient, reported before":     {pending, 1, refused(message.ClassTransient), nil},
		"transient, abandoned":           {abandoned, 2, refused(message.ClassTransient), nil},
		"probe, unreachable":             {list(queued(), probed(1, 1)), 1, unreachable, list(message.Deferred{Call: 1, Reason: message.DeferProbeFailed, DueAt: start})},
		"probe, answered with a failure": {list(queued(), probed(1, 1)), 1, refused(message.ClassTransient), list(failed(1, 1, message.ClassTransient), retry(1, time.Second))},
		"unreachable, no probe":          {list(queued(), attempted(1, 1)), 1, unreachable, list(failed(1, 1, message.ClassTransient), retry(1, time.Second))},
		"permanent":                      {list(queued(), attempted(1, 1)), 1, refused(message.ClassPermanent), list(final(failed(1, 1, message.ClassPermanent)))},
		"permanent, closed before":       {closed, 2, refused(message.ClassPermanent), list(failed(2, 2, message.ClassPermanent))},
		"sender": {list(queued(), attempted(1, 1)), 1, refused(message.ClassSender), list(
			message.Deferred{Call: 1, Reason: message.DeferSenderHeld, Code: new(190), DueAt: start})},
		"throttled": {pending, 2, number, list(
			message.Deferred{Call: 2, Attempt: 1, Reason: message.DeferThrottled, Scope: message.ScopeNumber, Code: new(130429), DueAt: start})},
		"throttled, one recipient": {list(queued(), attempted(1, 1)), 1, pair, list(
			message.Deferred{Call: 1, Reason: message.DeferPair, Scope: message.ScopePair, Code: new(130429), DueAt: at(3 * time.Second)})},
		"throttled, closed before": {closed, 2, number, list(failed(2, 2, message.ClassThrottled))},
		"throttled once too often": {throttledOut, limit + 1, number, list(failed(limit+1, 1, message.ClassThrottled), rateLimit)},
		"lost": {list(queued(), attempted(1, 1)), 1, message.Lost{Cause: "cut", HTTPStatus: 502}, list(
			message.OutcomeUnknown{Call: 1, Attempt: new(1), Cause: "cut", HTTPStatus: 502, SettleBy: at(30 * time.Second)})},
		"probe, lost": {list(queued(), attempted(1, 1), failed(1, 1, message.ClassTransient), retry(1, time.Second), probed(2, 2)), 2, message.Lost{Cause: "cut"}, list(
			message.OutcomeUnknown{Call: 2, Attempt: new(1), Cause: "cut", SettleBy: at(30 * time.Second)})},
		"lost, closed before":       {closed, 2, message.Lost{Cause: "cut"}, nil},
		"lost, reported before":     {list(queued(), attempted(1, 1), lost(1)), 1, message.Lost{Cause: "cut"}, nil},
		"lost, accepted before":     {list(queued(), attempted(1, 1), sent(1)), 1, message.Lost{Cause: "cut"}, nil},
		"not called":                {pending, 2, message.NotCalled{}, list(message.Deferred{Call: 2, Attempt: 1, Reason: message.DeferNotCalled, DueAt: start})},
		"not called, closed before": {closed, 2, message.NotCalled{}, nil},
		"put": {list(queued(), attempted(1, 1)), 1, message.Postponed{Reason: message.DeferThrottled, Scope: message.ScopeApp, Code: new(4), DueAt: at(time.Minute)}, list(
			message.Deferred{Call: 1, Reason: message.DeferThrottled, Scope: message.ScopeApp, Code: new(4), DueAt: at(time.Minute)})},
		"put, closed before": {closed, 2, message.Postponed{Reason: message.DeferThrottled, DueAt: start}, nil},
		"put, abandoned":     {abandoned, 2, message.Postponed{Reason: message.DeferThrottled, DueAt: start}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			then(t, message.FinishCall(given(c.given...), c.call, c.result, policy(), start), c.want)
		})
	}
}

// The next call is at the later of the settling's end and the schedule's delay.
func TestLostAnswersWaitForTheLaterOfSettlingAndSchedule(t *testing.T) {
	for _, c := range []struct {
		settleAfter time.Duration
		attempt     int
		want        time.Duration
	}{
		{30 * time.Second, 1, 30 * time.Second},
		{0, 1, time.Second},
		{0, 2, 2 * time.Second},
		{3 * time.Second, 3, 4 * time.Second},
		{0, 4, 0},
	} {
		p := policy()
		p.SettleAfter = c.settleAfter
		events := message.FinishCall(given(queued(), attempted(1, c.attempt)), 1, message.Lost{Cause: "cut"}, p, start)
		then(t, events, list(message.OutcomeUnknown{Call: 1, Attempt: &c.attempt, Cause: "cut", SettleBy: at(c.want)}))
	}
}

// The call, then retries 1, 2 and 4 seconds after each failure, then people.
func TestRetrySchedule(t *testing.T) {
	m, p, now := given(queued()), policy(), start
	for attempt, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 0} {
		m = m.Apply(recorded(now, message.Advance(m, p, false, now))...)
		m = m.Apply(recorded(now, message.FinishCall(m, attempt+1, refused(message.ClassTransient), p, now))...)
		if want == 0 {
			break
		}
		if got := m.DueAt.Sub(now); got != want || m.Status != message.StatusRetrying {
			t.Errorf("after attempt %d it is %s and due in %s, want %s", attempt+1, m.Status, got, want)
		}
		if events := message.Advance(m, p, false, m.DueAt.Add(-1)); len(events) > 0 {
			t.Errorf("attempt %d begins too early: %s", attempt+2, show(events))
		}
		now = m.DueAt
	}
	if m.Status != message.StatusDeadLettered || m.Attempts != 4 || len(m.Calls) != 4 {
		t.Errorf("it is %s after %d attempts in %d calls", m.Status, m.Attempts, len(m.Calls))
	}
}

func TestRecordReport(t *testing.T) {
	const (
		permanent = message.ClassPermanent
		transient = message.ClassTransient
	)
	reported := func(class message.Class) message.Failed { return afterAcceptance(failed(1, 1, class)) }
	states := map[string][]message.Event{
		"sending":     list(queued(), attempted(1, 1)),
		"ambiguous":   list(queued(), attempted(1, 1), lost(1)),
		"retrying":    list(queued(), attempted(1, 1), failed(1, 1, transient), retry(1, time.Second)),
		"resending":   list(queued(), attempted(1, 1), lost(1), attempted(2, 2)),
		"resent":      list(queued(), attempted(1, 1), lost(1), attempted(2, 2), sent(2)),
		"sent":        list(queued(), attempted(1, 1), sent(1)),
		"confirmed":   list(queued(), attempted(1, 1), sent(1), confirmed(1)),
		"delivered":   list(queued(), attempted(1, 1), sent(1), delivered(1)),
		"read":        list(queued(), attempted(1, 1), sent(1), read(1)),
		"failed":      list(queued(), attempted(1, 1), sent(1), final(reported(permanent))),
		"unsettled":   list(queued(leftToPeople), attempted(1, 1), lost(1), deadLettered(1, transient)),
		"dead letter": list(queued(), attempted(1, 1), sent(1), reported(transient), deadLettered(1, transient)),
		"requeued":    list(queued(), attempted(1, 1), sent(1), reported(transient), deadLettered(1, transient), message.Requeued{}),
		"discarded":   list(queued(leftToPeople), attempted(1, 1), lost(1), deadLettered(1, transient), message.Discarded{}),
		"expired":     list(queued(), attempted(1, 1), lost(1), message.Expired{}),
		"cancelled":   list(queued(), attempted(1, 1), failed(1, 1, transient), retry(1, time.Second), message.Cancelled{}),
	}
	type outcome struct {
		sent, delivered, read, permanent, transient []message.Event
	}
	// settling is what a status adds to a call that is not recorded as accepted.
	settling := outcome{
		sent: list(settled(1), confirmed(1)), delivered: list(settled(1), delivered(1)), read: list(settled(1), read(1)),
		permanent: list(settled(1), final(reported(permanent))),
		transient: list(settled(1), reported(transient), deadLettered(1, transient)),
	}
	secondAttempt := settling
	secondAttempt.transient = list(settled(1), reported(transient), deadLettered(2, transient))
	for state, want := range map[string]outcome{
		"sending": settling, "ambiguous": settling, "retrying": settling, "resending": secondAttempt,
		"unsettled": settling, "discarded": settling, "expired": settling, "cancelled": settling,
		"resent": {
			sent: list(again(settled(1)), confirmed(1)), delivered: list(again(settled(1)), delivered(1)),
			read: list(again(settled(1)), read(1)), permanent: list(again(settled(1)), reported(permanent)),
			transient: list(again(settled(1)), reported(transient)),
		},
		"sent": {
			sent: list(confirmed(1)), delivered: list(delivered(1)), read: list(read(1)),
			permanent: list(final(reported(permanent))), transient: list(reported(transient), deadLettered(1, transient)),
		},
		"confirmed": {
			delivered: list(delivered(1)), read: list(read(1)),
			permanent: list(final(reported(permanent))), transient: list(reported(transient), deadLettered(1, transient)),
		},
		"delivered":   {sent: list(confirmed(1)), read: list(read(1)), permanent: list(reported(permanent)), transient: list(reported(transient))},
		"read":        {sent: list(confirmed(1)), delivered: list(delivered(1)), permanent: list(reported(permanent)), transient: list(reported(transient))},
		"failed":      {sent: list(confirmed(1)), delivered: list(delivered(1)), read: list(read(1))},
		"dead letter": {sent: list(confirmed(1)), delivered: list(delivered(1)), read: list(read(1))},
		// A delivery ends the resend that is pending.
		"requeued": {sent: list(confirmed(1)), delivered: list(settled(1), delivered(1)), read: list(settled(1), read(1))},
	} {
		for _, c := range []struct {
			name string
			r    message.StatusUpdate
			want []message.Event
		}{
			{"sent", report(message.ReportSent, 1, ""), want.sent},
			{"delivered", report(message.ReportDelivered, 1, ""), want.delivered},
			{"read", report(message.ReportRead, 1, ""), want.read},
			{"failed finally", report(message.ReportFailed, 1, permanent), want.permanent},
			{"failed for now", report(message.ReportFailed, 1, transient), want.transient},
		} {
			t.Run(state+", "+c.name, func(t *testing.T) {
				m := given(states[state]...)
				events, known := message.RecordStatusUpdate(m, c.r)
				if !known {
					t.Fatal("the call is not known")
				}
				then(t, events, c.want)
				repeated, _ := message.RecordStatusUpdate(m.Apply(recorded(start, events)...), c.r)
				then(t, repeated, nil)
			})
		}
	}
}

func TestReportsFindTheirCall(t *testing.T) {
	m := given(queued(), attempted(1, 1), sent(1))
	byWamid := message.StatusUpdate{Kind: message.ReportDelivered, WhatsAppID: wamid(1), At: start}
	events, known := message.RecordStatusUpdate(m, byWamid)
	if !known {
		t.Error("a wamid of one of its calls is not known")
	}
	then(t, events, list(delivered(1)))
	for name, r := range map[string]message.StatusUpdate{
		"another wamid":         {Kind: message.ReportDelivered, WhatsAppID: "wamid.other"},
		"no wamid":              {Kind: message.ReportDelivered},
		"a call never made":     {Kind: message.ReportDelivered, Call: 2, WhatsAppID: wamid(1)},
		"a call that cannot be": {Kind: message.ReportDelivered, Call: -1},
	} {
		if events, known := message.RecordStatusUpdate(m, r); known || len(events) > 0 {
			t.Errorf("%s: known %t, gives %s", name, known, show(events))
		}
	}
}

// A failure that is reported for a delivered message is recorded and shown; the
// message stays delivered.
func TestFailureAfterDeliveryIsShown(t *testing.T) {
	m := given(queued(), attempted(1, 1), sent(1), delivered(1), afterAcceptance(failed(1, 1, message.ClassPermanent)))
	if m.Status != message.StatusDelivered || m.Failure == nil || *m.Failure.Code != 131026 || !m.DueAt.IsZero() {
		t.Errorf("it is %s with the failure %+v", m.Status, m.Failure)
	}
}

func TestOperatorsDecide(t *testing.T) {
	transient := message.ClassTransient
	deadLetter := list(attempted(1, 1), lost(1), deadLettered(1, transient))
	with := func(q message.Queued, events ...message.Event) []message.Event { return append(list(q), events...) }
	cancel := func(m message.Message) ([]message.Event, error) { return message.Cancel(m, "why") }
	requeue := func(m message.Message) ([]message.Event, error) { return message.Requeue(m, "why", at(time.Second)) }
	discard := func(m message.Message) ([]message.Event, error) { return message.Discard(m, "why", at(time.Second)) }
	late := func(m message.Message) ([]message.Event, error) { return message.Requeue(m, "why", at(answerAfter)) }
	overtaken := with(queued(), attempted(1, 1), lost(1), attempted(2, 2), settled(1),
		afterAcceptance(failed(1, 1, transient)), deadLettered(2, transient))
	for name, c := range map[string]struct {
		given    []message.Event
		decide   func(message.Message) ([]message.Event, error)
		want     []message.Event
		conflict string
	}{
		"cancel queued":      {with(queued()), cancel, list(message.Cancelled{Reason: "why"}), ""},
		"cancel retrying":    {with(queued(), attempted(1, 1), failed(1, 1, transient), retry(1, time.Second)), cancel, list(message.Cancelled{Reason: "why"}), ""},
		"cancel cancelled":   {with(queued(), message.Cancelled{}), cancel, nil, ""},
		"cancel sending":     {with(queued(), attempted(1, 1)), cancel, nil, "in progress or unsettled"},
		"cancel ambiguous":   {with(queued(), attempted(1, 1), lost(1)), cancel, nil, "in progress or unsettled"},
		"cancel sent":        {with(queued(), attempted(1, 1), sent(1)), cancel, nil, "is SENT"},
		"cancel delivered":   {with(queued(), attempted(1, 1), sent(1), delivered(1)), cancel, nil, "is DELIVERED"},
		"cancel read":        {with(queued(), attempted(1, 1), sent(1), read(1)), cancel, nil, "is READ"},
		"cancel failed":      {with(queued(), attempted(1, 1), final(failed(1, 1, transient))), cancel, nil, "is FAILED"},
		"cancel dead letter": {with(queued(), deadLetter...), cancel, nil, "is DEAD_LETTERED"},
		"cancel expired":     {with(queued(), message.Expired{}), cancel, nil, "is EXPIRED"},
		"cancel discarded":   {append(with(queued(), deadLetter...), message.Discarded{}), cancel, nil, "is DISCARDED"},

		"requeue dead letter":             {with(queued(), deadLetter...), requeue, list(message.Requeued{Reason: "why"}), ""},
		"requeue queued":                  {with(queued()), requeue, nil, "not a dead letter"},
		"requeue requeued":                {append(with(queued(), deadLetter...), message.Requeued{}), requeue, nil, "not a dead letter"},
		"requeue discarded":               {append(with(queued(), deadLetter...), message.Discarded{}), requeue, nil, "not a dead letter"},
		"requeue expired":                 {with(queued(expiring(at(time.Second))), deadLetter...), requeue, nil, "has expired"},
		"requeue while a call is open":    {overtaken, requeue, nil, "still in progress"},
		"requeue once its answer is lost": {overtaken, late, list(message.Requeued{Reason: "why"}), ""},

		"discard dead letter": {with(queued(), deadLetter...), discard, list(message.Discarded{Reason: "why"}), ""},
		"discard discarded":   {append(with(queued(), deadLetter...), message.Discarded{}), discard, nil, ""},
		"discard sent":        {with(queued(), attempted(1, 1), sent(1)), discard, nil, "not a dead letter"},
		"discard expired":     {with(queued(expiring(at(time.Second))), deadLetter...), discard, nil, "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := c.decide(given(c.given...))
			then(t, events, c.want)
			if c.conflict == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if domain.CodeOf(err) != domain.CodeConflict || !strings.Contains(err.Error(), c.conflict) {
				t.Errorf("got %v, want a conflict that says %q", err, c.conflict)
			}
		})
	}
}

// A message that was throttled to death has used no attempt.
func TestThrottledDeadLetterHasUsedNoAttempt(t *testing.T) {
	p := policy()
	p.ThrottleLimit = 0
	m := given(queued(), attempted(1, 1))
	m = m.Apply(recorded(start, message.FinishCall(m, 1, refused(message.ClassThrottled), p, start))...)
	if m.Status != message.StatusDeadLettered || m.Attempts != 0 || m.Failure.Category != message.CategoryRateLimit {
		t.Errorf("it is %s with %d attempts and %+v", m.Status, m.Attempts, m.Failure)
	}
}

// What was said while a message waited or was given up does not outlive its acceptance.
func TestAcceptanceEndsWaiting(t *testing.T) {
	m := given(queued(leftToPeople), attempted(1, 1), lost(1), deadLettered(1, message.ClassTransient), settled(1))
	if m.Status != message.StatusSent || m.Reason != "" || !m.DeadLetteredAt.IsZero() || !m.DueAt.IsZero() {
		t.Errorf("it is %s, %q, dead-lettered %s, due %s", m.Status, m.Reason, m.DeadLetteredAt, m.DueAt)
	}
	if m := given(queued(), attempted(1, 1), final(failed(1, 1, message.ClassPermanent))); !m.DueAt.IsZero() {
		t.Errorf("a failed message is due at %s", m.DueAt)
	}
}

// Of two calls that arrived, the earlier time counts, in whatever order they are reported.
func TestTheEarlierDeliveryCounts(t *testing.T) {
	one, two := delivered(1), delivered(2)
	two.At = at(time.Second)
	for _, order := range [][]message.Event{{one, two}, {two, one}} {
		m := given(append(list(queued(), attempted(1, 1), lost(1), attempted(2, 2), sent(2), again(settled(1))), order...)...)
		if !m.DeliveredAt.Equal(start) || !m.SentTwice {
			t.Errorf("delivered at %s, sent twice %t", m.DeliveredAt, m.SentTwice)
		}
	}
}

func TestWithLeavesItsReceiver(t *testing.T) {
	m := given(queued(), attempted(1, 1))
	before := exported(t, m)
	m.Apply(recorded(start, list(sent(1), delivered(1)))...)
	if after := exported(t, m); after != before {
		t.Errorf("it was\n%s\nit is\n%s", before, after)
	}
}

// A delivery that comes after all ends the delay, and a requeue starts a new one.
func TestALateDeliveryWins(t *testing.T) {
	late := func(e *message.Queued) { e.DeliverWithinSeconds = 20 }
	events := list(queued(late), attempted(1, 1), sent(1), message.DeliveryOverdue{Since: at(20 * time.Second)})
	if m := given(events...); m.Status != message.StatusSent || !m.OverdueSince.Equal(at(20*time.Second)) {
		t.Errorf("the message is %s, overdue since %s", m.Status, m.OverdueSince)
	}
	for _, e := range list(delivered(1), read(1), final(afterAcceptance(failed(1, 1, message.ClassPermanent)))) {
		if m := given(append(events, e)...); m.Status == message.StatusSent || !m.OverdueSince.IsZero() || !m.DueAt.IsZero() {
			t.Errorf("after %s, the message is %s, overdue since %s, due at %s", e.EventType(), m.Status, m.OverdueSince, m.DueAt)
		}
	}
}

func BenchmarkFold1000Events(b *testing.B) {
	history := recorded(start, list(queued()))
	for call := 1; len(history) < 1000; call++ {
		history = append(history, recorded(start, list(attempted(call, 1),
			message.Deferred{Call: call, Reason: message.DeferThrottled, DueAt: start}))...)
	}
	history = history[:1000]
	b.ReportAllocs()
	for b.Loop() {
		if m := message.Fold(history...); !m.Status.Open() {
			b.Fatal(m.Status)
		}
	}
}

func BenchmarkDecision(b *testing.B) {
	m, p := given(queued(), attempted(1, 1)), policy()
	var result message.CallResult = message.Accepted{WhatsAppID: wamid(1)}
	b.ReportAllocs()
	for b.Loop() {
		if events := message.FinishCall(m, 1, result, p, start); len(events) != 1 {
			b.Fatal(show(events))
		}
	}
}
