package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

const (
	// maxConflicts is how often a decision is made again at once when someone else
	// came first; after that it waits a moment between two tries.
	maxConflicts = 10
	// maxBegun is how long after SendAttempted was decided on the call may still
	// be made: a successor waits longer than that before it takes the lane.
	maxBegun = time.Second
	// appendTimeout bounds one append or load.
	appendTimeout = 10 * time.Second
	// recordRetry and maxRecordRetry are the waits between two tries to record an
	// outcome while the event store is away.
	recordRetry    = 50 * time.Millisecond
	maxRecordRetry = 2 * time.Second
)

// CallRequest is one call to be made.
type CallRequest struct {
	SenderID string
	// PhoneNumberID is the number that is called from, TokenID the version of the
	// access token in the vault, empty for the server's default.
	PhoneNumberID string
	TokenID       string
	// To is the recipient in E.164.
	To      string
	Kind    message.Kind
	Content json.RawMessage
	// ReplyTo is the wamid that the message answers; empty for none.
	ReplyTo string
	// MessageID and Call are what the callback data are made of.
	MessageID uuid.UUID
	Call      int
	// Written is told when the request was written to the connection, with the
	// time of the process's monotonic clock; it is quick and never nil.
	Written func(time.Time)
}

// Caller makes calls to WhatsApp.
type Caller interface {
	// Send makes a call and says what came of it, within the call timeout. When
	// ctx ends before anything was written the call was not made; after that its
	// answer is lost.
	Send(ctx context.Context, r CallRequest) message.CallResult
	// Probe asks WhatsApp whether the sender may send. An error says that nothing
	// was learnt; not healthy without an error comes with the failure.
	Probe(ctx context.Context, s sender.Sender) (healthy bool, f message.Failure, err error)
}

var errTooManyConflicts = errors.New("the message is being changed by too many at once")

// handle is the Watermill handler: it does what is due for the message of m.
func (d *Dispatcher) handle(m *wm.Message) error {
	growStack()
	f, ok := m.Context().Value(flightKey{}).(*flight)
	if !ok {
		return errors.New("handle a message of the send work-list: it was not handed out by this subscriber")
	}
	end, err := d.advance(m.Context(), f)
	if err != nil {
		return fmt.Errorf("dispatch message %s: %w", f.item.MessageID, err)
	}
	f.end = end
	return nil
}

// growStack gives a new goroutine the stack at once that handling a message takes.
// Otherwise it is doubled two or three times on the way, each time with all frames to be
// copied: measured, 3 % of all CPU.
//
//go:noinline
func growStack() {
	var room [9 << 10]byte
	runtime.KeepAlive(&room)
}

// cause is who acts in dispatch, in a span.
func cause(s trace.Span) command.Cause {
	return command.Cause{By: domain.Platform("dispatch"), Traceparent: s.Traceparent()}
}

// advance decides what is due, records it, and makes the call if one is due.
func (d *Dispatcher) advance(ctx context.Context, f *flight) (ending, error) {
	revision := f.item.Revision
	var span trace.Span
	defer func() { span.End() }()
	for range maxConflicts {
		loaded, err := d.load(ctx, f.item.MessageID, revision)
		if domain.CodeOf(err) == domain.CodeNotFound {
			return ending{kind: endDone, position: f.item.Position}, nil
		}
		if err != nil {
			return ending{}, err
		}
		now := d.clock()
		if until, held := d.settlingHeld(&loaded.Message, now); held {
			return ending{kind: endLater, until: until}, nil
		}
		events := message.Advance(loaded.Message, d.policy, f.probe, now)
		if len(events) == 0 {
			return done(&loaded), nil
		}
		_, calls := events[len(events)-1].(message.SendAttempted)
		if calls && !f.call {
			return ending{kind: endNeedSlot}, nil
		}
		begun := time.Now()
		if calls && !d.mayCall(f, begun, begun) {
			return ending{kind: endLater, until: now.Add(firstNack)}, nil
		}
		if calls && !span.On() {
			span = d.traceCall(ctx, &loaded)
		}
		err = d.append(ctx, &loaded, events, span)
		var wrong *event.WrongRevisionError
		switch {
		case errors.As(err, &wrong):
			revision = loaded.Revision + 1
		case err != nil:
			return ending{}, err
		case calls:
			return d.call(ctx, f, &loaded, begun, span)
		default:
			return done(&loaded), nil
		}
	}
	return ending{}, errTooManyConflicts
}

// traceCall begins the span of a call with what is recorded before and after it, where
// the message was queued or was called last.
func (d *Dispatcher) traceCall(ctx context.Context, l *command.Loaded) trace.Span {
	_, span := d.trace.Begin(ctx, trace.Start{
		Kind: trace.Consumer, Name: "send message", Parent: l.Traceparent, Root: l.Traceparent == "",
	})
	if span.On() {
		span.Text("waypost.message.id", l.ID.String())
		span.Text("waypost.sender.id", l.Message.Sender)
		span.Text("waypost.message.type", string(l.Message.Kind))
		span.Text("waypost.priority", string(l.Message.Priority))
	}
	return span
}

func (d *Dispatcher) load(ctx context.Context, id uuid.UUID, at event.Revision) (command.Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return d.messages.LoadAt(ctx, id, at)
}

// append records events and brings l up to them.
func (d *Dispatcher) append(ctx context.Context, l *command.Loaded, events []message.Event, span trace.Span) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return d.messages.Append(ctx, l, cause(span), events...)
}

// done ends a flight of which everything is recorded.
func done(l *command.Loaded) ending { return ending{kind: endDone, position: l.Position} }

// settlingHeld reports whether a lost answer waits longer than its event says:
// since the call this installation could not record webhooks all the time, so a
// status that would have settled it may still come, or come again.
func (d *Dispatcher) settlingHeld(m *message.Message, now time.Time) (time.Time, bool) {
	if m.Status != message.StatusAmbiguous || now.Before(m.DueAt) || d.policy.SettleAfter <= 0 || len(m.Calls) == 0 {
		return time.Time{}, false
	}
	d.mu.Lock()
	since, recording := d.recordingSince, d.recordingNow
	d.mu.Unlock()
	if !recording {
		return now.Add(time.Second), true
	}
	called := m.Calls[len(m.Calls)-1].StartedAt
	until := since.Add(d.settleAfterOutage)
	return until, since.After(called) && now.Before(until)
}

// mayCall reports whether the call of a flight may be made: the lane is still
// this process's and not stopped, and not too long has passed.
func (d *Dispatcher) mayCall(f *flight, begun, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mayCallLocked(f, begun, now)
}

func (d *Dispatcher) mayCallLocked(f *flight, begun, now time.Time) bool {
	l := f.lane
	return !l.gone && !l.hold.active && !d.stopping && d.leased(now) && now.Sub(begun) < maxBegun &&
		(f.probe || !l.breaker.open()) && !d.clock().Before(d.throttledUntil(l))
}

// await waits for the flight's slot, once SendAttempted stands, and until the slot's
// time has come. It reports whether it has one.
func (d *Dispatcher) await(f *flight, begun time.Time) bool {
	d.mu.Lock()
	now := time.Now()
	d.leads.took(now.Sub(f.picked), now)
	d.recorded(f)
	may := d.mayCallLocked(f, begun, now)
	if may {
		f.lane.wait(f)
		again := f.lane.grant(now, d.clock())
		if !again.IsZero() && again.Before(d.lookAt) {
			d.lookAt = again
			signal(d.sub.turn)
		}
	}
	turn := f.turn
	d.mu.Unlock()
	if !may {
		return false
	}
	patience := time.NewTimer(time.Until(begun.Add(maxBegun)))
	defer patience.Stop()
	select {
	case <-turn:
	case <-patience.C:
	case <-d.calling.Done():
	}
	d.mu.Lock()
	f.lane.endWait(f)
	d.mu.Unlock()
	return f.slot != nil && sleep(d.calling, time.Until(f.slot.notBefore)) == nil
}

// unchanged reports whether nothing has happened to the message while its call waited:
// a status may have told that an earlier call was taken, or its recipient been erased.
// Of a message whose answer was lost the log says so, since any process may have
// recorded the status; of the others this one knows.
func (d *Dispatcher) unchanged(ctx context.Context, l *command.Loaded, begun time.Time) bool {
	latest, known := d.messages.Latest(l)
	lost := slices.ContainsFunc(l.Message.Calls, func(c message.Call) bool { return c.Lost })
	if known && (!latest || !lost) {
		return latest
	}
	ctx, cancel := context.WithDeadline(ctx, begun.Add(maxBegun))
	defer cancel()
	stands, err := d.messages.Load(ctx, l.ID)
	return err == nil && stands.Revision == l.Revision && !stands.Message.Erased()
}

// call makes the call that SendAttempted announced, and records what came of it.
func (d *Dispatcher) call(ctx context.Context, f *flight, l *command.Loaded, begun time.Time, span trace.Span) (ending, error) {
	call := l.Message.Calls[len(l.Message.Calls)-1]
	appended := time.Since(begun)
	d.mu.Lock()
	s := f.lane.sender
	d.mu.Unlock()
	var result message.CallResult = message.NotCalled{}
	if d.await(f, begun) && d.unchanged(ctx, l, begun) && d.mayCall(f, begun, time.Now()) {
		calling, abandon := context.WithCancel(span.In(d.calling))
		d.abandonBy(f, abandon)
		result = d.caller.Send(calling, CallRequest{
			SenderID: s.ID, PhoneNumberID: s.PhoneNumberID, TokenID: s.TokenID,
			To: l.Message.To, Kind: l.Message.Kind, Content: l.Message.Content, ReplyTo: l.Message.ReplyTo,
			MessageID: l.ID, Call: call.Number, Written: f.slot.written,
		})
		d.abandonBy(f, nil)
		abandon()
	}
	called := time.Since(begun) - appended
	d.spend(f, result)
	recorded, fault := d.judge(f, &l.Message, s, result)
	err := d.record(ctx, l, call.Number, recorded, span)
	if fault != nil {
		d.holdSender(s, *fault)
	}
	d.logAttempt(ctx, l, &call, result, err, f.slot.writtenAt(), appended, called)
	if span.On() {
		traceOutcome(span, call, result, err)
	}
	if err != nil {
		return ending{}, err
	}
	return done(l), nil
}

// recorded takes in that f no longer records SendAttempted; d.mu is held.
func (d *Dispatcher) recorded(f *flight) {
	if !f.recording {
		return
	}
	f.recording = false
	if d.recordings >= d.leads.recording() {
		signal(d.sub.turn)
	}
	d.recordings--
}

func (d *Dispatcher) abandonBy(f *flight, abandon func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.abandon = abandon
}

// spend takes the slot of a call that may have been written, even if nobody
// said so, and gives back that of one that surely was not.
func (d *Dispatcher) spend(f *flight, result message.CallResult) {
	unmade := false
	switch r := result.(type) {
	case message.NotCalled:
		unmade = true
	case message.Refused:
		unmade = r.Unreachable && r.Failure.HTTPStatus == 0
	}
	if !unmade {
		f.slot.written(time.Now())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if unmade && (f.slot == nil || f.slot.release()) {
		f.lane.pairReturn(f)
	}
	f.paired = false
}

// judge takes what came of a call into the state of its lane and its scopes, and
// answers what is to be recorded. The fault is set when the sender must be held.
func (d *Dispatcher) judge(
	f *flight, m *message.Message, s sender.Sender, result message.CallResult,
) (message.CallResult, *sender.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, now := f.lane, d.clock()
	switch r := result.(type) {
	case message.Accepted:
		l.breaker.answered(f.probe)
		if l.templateTaken(m.Template, f.templateProbe) {
			d.log.InfoContext(d.recording, "the template is taken again",
				slog.String("sender", s.ID), slog.String("template", m.Template))
		}
	case message.Lost:
		if d.calling.Err() == nil {
			l.fault(now, f.probe)
		}
	case message.Refused:
		if r.Unreachable && r.Failure.Class == message.ClassTransient {
			l.fault(now, f.probe)
			if f.probe {
				return message.Put{Reason: message.DeferProbeFailed, Code: r.Failure.Code, DueAt: l.breaker.probeAt}, nil
			}
			return r, nil
		}
		l.breaker.answered(f.probe)
		if m.Template != "" && r.Failure.Code != nil && d.holdsTemplate(*r.Failure.Code) {
			return d.templateHeld(f, m, r, now), nil
		}
		switch r.Failure.Class {
		case message.ClassThrottled:
			return d.throttled(f, m, r, now), nil
		case message.ClassSender:
			put := message.Put{Reason: message.DeferSenderHeld, Code: r.Failure.Code, DueAt: now}
			if s.TokenID != l.sender.TokenID {
				return put, nil // the token has been replaced since: the next call tells
			}
			return put, l.stop(faultOf(r.Failure), now)
		case message.ClassTransient, message.ClassPermanent:
		}
	}
	return result, nil
}

// templateHeld keeps the messages of a template back that WhatsApp does not take
// for now; the sender goes on with the others.
func (d *Dispatcher) templateHeld(f *flight, m *message.Message, r message.Refused, now time.Time) message.CallResult {
	asked := time.Duration(r.RetryAfterSeconds) * time.Second
	until, begun := f.lane.templateHit(m.Template, now, asked, f.templateProbe)
	if begun {
		d.log.WarnContext(d.recording, "WhatsApp does not take the template; its messages wait",
			slog.String("sender", m.Sender), slog.String("template", m.Template), slog.Int("code", *r.Failure.Code))
	}
	return message.Put{Reason: message.DeferTemplateHeld, Code: r.Failure.Code, DueAt: until}
}

// throttled slows the scope of a throttle down. The message waits with it, until
// it has been throttled too often.
func (d *Dispatcher) throttled(f *flight, m *message.Message, r message.Refused, now time.Time) message.CallResult {
	l := f.lane
	asked := time.Duration(r.RetryAfterSeconds) * time.Second
	put := message.Put{Reason: message.DeferThrottled, Scope: r.Scope, Code: r.Failure.Code}
	if r.Scope == message.ScopePair {
		put.Reason = message.DeferPair
		put.DueAt = l.pairHit(m.To, now, asked)
	} else {
		reached := scopeOf(r.Scope, l.sender)
		put.DueAt = d.throttleOf(reached).hit(now, asked)
		d.slowDown(f, reached, put.DueAt.Sub(now))
	}
	if m.Throttles >= d.policy.ThrottleLimit {
		return r
	}
	return put
}

// slowDown lowers the rates of the lanes that a throttle reaches, for after it has
// passed; d.mu is held.
func (d *Dispatcher) slowDown(f *flight, reached scope, wait time.Duration) {
	now := time.Now()
	if reached.reach == message.ScopeNumber {
		f.lane.limiter.refused(f.slot, now, now.Add(wait))
		f.lane.dismiss()
		return
	}
	for _, l := range d.lanes {
		if scopeOf(reached.reach, l.sender) == reached {
			l.limiter.slow(now, now.Add(wait))
			l.dismiss()
		}
	}
}

// record appends the outcome of a call, until it stands or the drain is over, and brings
// l up to it.
func (d *Dispatcher) record(ctx context.Context, l *command.Loaded, call int, result message.CallResult, span trace.Span) error {
	wait := recordRetry
	for tries := 1; ; tries++ {
		events := message.FinishCall(l.Message, call, result, d.policy, d.clock())
		if len(events) == 0 {
			return nil
		}
		err := d.append(ctx, l, events, span)
		if err == nil {
			return nil
		}
		var wrong *event.WrongRevisionError
		pause := !errors.As(err, &wrong) || tries > maxConflicts
		for { // what stands decides what is still to be recorded
			if pause {
				if sleep(ctx, wait) != nil {
					return fmt.Errorf("record the outcome of call %d: %w", call, err)
				}
				wait = min(2*wait, maxRecordRetry)
			}
			stands, loadErr := d.reload(ctx, l.ID)
			if loadErr == nil {
				*l = stands
				break
			}
			err, pause = loadErr, true
		}
	}
}

func (d *Dispatcher) reload(ctx context.Context, id uuid.UUID) (command.Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	return d.messages.Load(ctx, id)
}

// logAttempt writes the one line of a call.
func (d *Dispatcher) logAttempt(
	ctx context.Context, l *command.Loaded, call *message.Call, result message.CallResult, err error,
	written time.Time, appended, called time.Duration,
) {
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("message", l.ID.String()), slog.String("sender", l.Message.Sender),
		slog.Int("call", call.Number), slog.Int("attempt", call.Attempt), slog.Bool("probe", call.Probe),
		slog.String("status", string(l.Message.Status)),
		slog.Time("written", written), slog.Duration("append", appended), slog.Duration("duration", called),
	)
	level := slog.LevelInfo
	switch r := result.(type) {
	case message.Accepted:
		attrs = append(attrs, slog.String("outcome", "accepted"))
	case message.Refused:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("outcome", "refused"), slog.String("class", string(r.Failure.Class)),
			slog.String("category", string(r.Failure.Category)), slog.Int("http_status", r.Failure.HTTPStatus))
		if r.Failure.Code != nil {
			attrs = append(attrs, slog.Int("code", *r.Failure.Code))
		}
	case message.Lost:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("outcome", "lost"), slog.String("cause", r.Cause), slog.Int("http_status", r.HTTPStatus))
	case message.NotCalled:
		attrs = append(attrs, slog.String("outcome", "not called"))
	}
	if err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", err))
	}
	d.log.LogAttrs(ctx, level, "call", attrs...)
}

// traceOutcome has the span of a call say what the call's line says.
func traceOutcome(span trace.Span, call message.Call, result message.CallResult, err error) {
	span.Number("waypost.call", call.Number)
	span.Number("waypost.attempt", call.Attempt)
	switch r := result.(type) {
	case message.Accepted:
		span.Text("waypost.outcome", "accepted")
	case message.Refused:
		span.Text("waypost.outcome", "refused")
		span.Text("waypost.failure.class", string(r.Failure.Class))
		span.Text("waypost.failure.category", string(r.Failure.Category))
		if r.Failure.Code != nil {
			span.Number("waypost.failure.code", *r.Failure.Code)
		}
		span.Fail("refused")
	case message.Lost:
		span.Text("waypost.outcome", "lost")
		span.Fail(r.Cause)
	case message.NotCalled:
		span.Text("waypost.outcome", "not called")
	}
	if err != nil {
		span.Fail("the outcome was not recorded")
	}
}
