// Package attempt works on one message at a time that the feed emitted: it decides the
// next step, records it, makes the call if the step is one, and records its outcome.
package attempt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/command"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/retry"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/app/work"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/guard"
	"github.com/waypost/waypost/ports/dispatch/lane"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

const (
	// appendTimeout limits one decision and its append.
	appendTimeout = 10 * time.Second
	// recordRetry and maxRecordRetry are the waits between two attempts to record an
	// outcome while the event store is unavailable.
	recordRetry    = 50 * time.Millisecond
	maxRecordRetry = 2 * time.Second
	// numberTimeout limits the lookup of the number of a user ID.
	numberTimeout = time.Second
)

// CallRequest is one call to make.
type CallRequest struct {
	SenderID string
	// PhoneNumberID is the calling number. TokenID is the version of the access token in
	// the vault; if empty, the server's default is used.
	PhoneNumberID string
	TokenID       string
	// To is the recipient in E.164. UserID is their user ID, if the call is not to a number.
	To      string
	UserID  string
	Kind    message.Kind
	Content json.RawMessage
	// ReplyTo is the wamid that the message replies to, or empty.
	ReplyTo string
	// MessageID and Call make up the callback data.
	MessageID uuid.UUID
	Call      int
	// Written must be called when the request was written to the connection, with the
	// time of the process's monotonic clock. It is fast and never nil.
	Written func(time.Time)
}

// Caller makes calls to WhatsApp.
type Caller interface {
	// Send makes a call and returns its outcome within the call timeout. If ctx ends
	// before anything was written, the call was not made. If it ends after that, the
	// response is lost.
	Send(ctx context.Context, r CallRequest) message.CallResult
}

// Campaigns knows which campaigns are paused.
type Campaigns interface {
	// Waits reports whether messages with these labels wait.
	Waits(labels []message.Label) bool
	// Indexes returns the labels as work.Item.Labels has them.
	Indexes(labels []message.Label) []string
}

// Options are what a Handler works with. All are required, except NumberOf, Guard, Campaigns, and Trace.
type Options struct {
	Messages *command.Messages
	Lanes    *lane.Set
	Shared   *lane.Shared
	Caller   Caller
	Policy   message.Policy
	// HoldsTemplate reports whether an error code means that a template, and not just
	// one message, can't be sent for now.
	HoldsTemplate func(code int) bool
	// Recording returns whether webhooks are recorded now, and the time since which they
	// have been without a break. SettleAfterOutage is how long after that time a response
	// that was lost before it waits for its status.
	Recording         func() (since time.Time, now bool)
	SettleAfterOutage time.Duration
	// Hold records that a sender is held because of a failure.
	Hold func(ctx context.Context, s sender.Sender, f message.Failure)
	// NumberOf returns the phone number of the person with a user ID, or "" if it is not
	// known. If nil, it never is.
	NumberOf func(ctx context.Context, userID string) (string, error)
	// Guard knows what the recipients' choices and windows forbid. If nil, they forbid nothing.
	Guard *guard.Guard
	// Campaigns knows which campaigns are paused. If nil, none is.
	Campaigns Campaigns
	Trace     *trace.Tracer // if nil, messages are not traced
	Logger    *slog.Logger
}

// A Handler works on messages that the feed emitted. It is safe for concurrent use.
type Handler struct {
	opts Options
	open openCalls
}

// NewHandler returns a Handler.
func NewHandler(o Options) *Handler {
	return &Handler{opts: o, open: openCalls{cancel: make(map[*pace.Slot]context.CancelFunc), begun: make(chan struct{}, 1)}}
}

// openCalls are the calls in flight.
type openCalls struct {
	mu     sync.Mutex
	cancel map[*pace.Slot]context.CancelFunc // guarded by mu

	begun chan struct{} // has a value after the first call began while none was in flight
}

func (c *openCalls) add(s *pace.Slot, cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel[s] = cancel
	if len(c.cancel) == 1 {
		select {
		case c.begun <- struct{}{}:
		default:
		}
	}
}

func (c *openCalls) remove(s *pace.Slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cancel, s)
}

func (c *openCalls) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.cancel) > 0
}

// abandonUnwritten cancels the calls whose request has not been written yet.
func (c *openCalls) abandonUnwritten() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s, cancel := range c.cancel {
		if !s.Spent() {
			cancel()
		}
	}
}

// AbandonUnwritten cancels the calls in flight whose request has not been written yet when owned
// returns false: another process may soon write its own. It looks at each interval while calls are
// in flight, until ctx ends.
func (h *Handler) AbandonUnwritten(ctx context.Context, interval time.Duration, owned func(now time.Time) bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.open.begun:
		}
		for h.open.any() {
			if retry.Sleep(ctx, interval) != nil {
				return
			}
			if !owned(time.Now()) {
				h.open.abandonUnwritten()
			}
		}
	}
}

// An attempt is the work on one flight.
type attempt struct {
	*Handler

	flight *lane.Flight
	// calling ends when a drain abandons the calls in flight.
	calling context.Context //nolint:containedctx // it ends before the context that outcomes are recorded with
	loaded  repository.Loaded
	span    trace.Span
	// decided is when it was decided to record SendAttempted.
	decided time.Time
	slot    *pace.Slot
	// verdict is the guard's, if the message concerns it.
	verdict *guard.Verdict
}

// Handle takes the next step for a flight's message, and concludes the flight with its
// decision. Everything is recorded with ctx. Calls end with calling, which can end
// before ctx: their responses are then recorded as lost.
func (h *Handler) Handle(ctx, calling context.Context, f *lane.Flight) error {
	repository.GrowStack()
	a := &attempt{Handler: h, flight: f, calling: calling}
	defer func() { a.span.End() }()
	end, err := a.advance(ctx)
	if err != nil {
		return fmt.Errorf("dispatch message %s: %w", f.Item().MessageID, err)
	}
	f.Conclude(end)
	return nil
}

// advance decides the next step, records it, and makes the call if the step is one.
func (a *attempt) advance(ctx context.Context) (lane.Disposition, error) {
	item := a.flight.Item()
	var next step
	err := a.change(ctx, repository.Loaded{ID: item.MessageID, Revision: item.Revision}, func(m *message.Message) []message.Event {
		next = a.decide(ctx, m)
		return next.events
	})
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return lane.Done(item.Position), nil
	case err != nil:
		return lane.Disposition{}, err
	case next.calls:
		return a.call(ctx)
	case next.waits:
		return next.end, nil
	default:
		return lane.Done(a.loaded.Position), nil
	}
}

// A step is the decision on a message.
type step struct {
	events []message.Event
	calls  bool // whether the events announce a call
	// waits is set if nothing is recorded because the message waits. Then end is the
	// flight's disposition.
	waits bool
	end   lane.Disposition
}

func waitFor(end lane.Disposition) step { return step{waits: true, end: end} }

// decide decides the next step.
func (a *attempt) decide(ctx context.Context, m *message.Message) step {
	f, now := a.flight, a.opts.Shared.Clock()
	if f.Item().State == work.Undelivered && m.Status != message.StatusSent {
		return step{} // delivered, or requeued: then the work list has it
	}
	if until, delayed := a.settleLater(m, now); delayed {
		return waitFor(lane.Later(until))
	}
	events := message.Advance(*m, a.opts.Policy, f.Probes(), now)
	attempted, calls := announced(events)
	if !calls {
		return step{events: events}
	}
	if f.Template() == template.Unsendable {
		return step{events: message.Reject(*m, unsendableTemplate(f.Item().Template), now)}
	}
	if !f.HasCall() {
		return waitFor(lane.NeedsSlot())
	}
	if a.paused() {
		return waitFor(lane.Paused(a.opts.Campaigns.Indexes(m.Labels)))
	}
	if a.verdict = nil; a.opts.Guard.Concerns(m, f.Lane().Sender) {
		if instead, withheld := a.withhold(ctx, m); withheld {
			return instead
		}
		// Asking took time, in which the message can have expired.
		events = message.Advance(*m, a.opts.Policy, f.Probes(), a.opts.Shared.Clock())
		if attempted, calls = announced(events); !calls {
			return step{events: events}
		}
	}
	if number := a.numberOf(ctx, m); number != "" {
		events[len(events)-1] = attempted.WithNumber(number)
	}
	a.decided = time.Now()
	if !f.MayCall(a.decided, a.decided) {
		return waitFor(lane.Later(now.Add(pace.FirstRetry)))
	}
	if !a.span.IsRecording() {
		a.span = a.startSpan(ctx)
	}
	return step{events: events, calls: true}
}

// announced returns the call that events announce, or false if they announce none.
func announced(events []message.Event) (call message.SendAttempted, calls bool) {
	if len(events) > 0 {
		call, calls = events[len(events)-1].(message.SendAttempted)
	}
	return call, calls
}

// withhold returns the step to take instead of a due call that the guard doesn't allow. withheld
// is false if the call can be made.
func (a *attempt) withhold(ctx context.Context, m *message.Message) (instead step, withheld bool) {
	v := a.opts.Guard.Ask(ctx, m, a.flight.Item().Recipient, a.flight.Lane().Sender)
	switch {
	case v.Exhausted && m.AwaitsLimit && a.opts.Shared.Clock().Before(m.DueAt):
		return waitFor(lane.Stays()), true // its wait is recorded
	case v.Exhausted:
		return step{events: message.AwaitLimit(*m, a.opts.Shared.Clock().Add(guard.WaitForLimit))}, true
	case v.AskAt.IsZero():
	case v.Recorded:
		return step{events: message.AwaitCertainty(*m, v.AskAt)}, true
	default:
		return waitFor(lane.Later(v.AskAt)), true
	}
	if events := message.Withhold(*m, v.Circumstances, a.opts.Shared.Clock()); events != nil {
		return step{events: events}, true
	}
	a.verdict = &v
	return step{}, false
}

// allowed reports whether the guard still allows the call that it allowed before.
func (a *attempt) allowed() bool { return a.verdict == nil || a.opts.Guard.Allows(a.verdict) }

// paused reports whether an operator has paused the message's campaign.
func (a *attempt) paused() bool {
	return a.opts.Campaigns != nil && a.opts.Campaigns.Waits(a.loaded.Message.Labels)
}

// numberOf returns the number to call for a message to a user ID, or "" if it is not known. A
// read model that doesn't respond delays no call for long.
func (a *attempt) numberOf(ctx context.Context, m *message.Message) string {
	if m.ToUserID == "" || a.opts.NumberOf == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, numberTimeout)
	defer cancel()
	number, err := a.opts.NumberOf(ctx, m.ToUserID)
	if err != nil && ctx.Err() == nil {
		a.opts.Logger.WarnContext(ctx, "failed to look up the number of a user ID; the user ID is used", "error", err)
	}
	return number
}

// change records the events that decide returns for the message as known or at a later
// revision, and updates a.loaded.
func (a *attempt) change(ctx context.Context, known repository.Loaded, decide func(*message.Message) []message.Event) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	cause := event.Cause{By: domain.Platform("dispatch")}
	changed, err := a.opts.Messages.ChangeSince(ctx, known, &cause, func(l repository.Loaded) ([]message.Event, error) {
		a.loaded = l
		events := decide(a.loaded.Message)
		cause.Traceparent = a.span.Traceparent()
		return events, nil
	})
	if err == nil {
		a.loaded = changed
	}
	return err
}

// settleLater reports whether a lost response waits longer than its event says, and
// returns the time until which it does: no process could record webhooks all the time since the call, so the
// status that settles it can still come, or come again.
func (a *attempt) settleLater(m *message.Message, now time.Time) (time.Time, bool) {
	if m.Status != message.StatusAmbiguous || now.Before(m.DueAt) || a.opts.Policy.SettleAfter <= 0 || len(m.Calls) == 0 {
		return time.Time{}, false
	}
	since, recorded := a.opts.Recording()
	if !recorded {
		return now.Add(time.Second), true
	}
	called := m.Calls[len(m.Calls)-1].StartedAt
	until := since.Add(a.opts.SettleAfterOutage)
	return until, since.After(called) && now.Before(until)
}

// call makes the call that SendAttempted announced, and records its outcome.
func (a *attempt) call(ctx context.Context) (lane.Disposition, error) {
	call := a.loaded.Message.Calls[len(a.loaded.Message.Calls)-1]
	appended := time.Since(a.decided)
	s := a.flight.Lane().Sender()
	var result message.CallResult = message.NotCalled{}
	if a.awaitSlot() && a.isCurrent(ctx) && a.flight.MayCall(a.decided, time.Now()) && a.allowed() && !a.paused() {
		result = a.send(&call, s)
	}
	called := time.Since(a.decided) - appended
	a.flight.FinishSlot(!wasNotMade(result))
	outcome, hold := a.applyResult(ctx, s, a.postponed(result))
	err := a.record(ctx, call.Number, outcome)
	if hold != nil {
		a.opts.Hold(ctx, s, *hold)
	}
	a.log(ctx, &call, result, err, appended, called)
	if a.span.IsRecording() {
		a.traceOutcome(&call, result, err)
	}
	if err != nil {
		return lane.Disposition{}, err
	}
	return lane.Done(a.loaded.Position), nil
}

// awaitSlot waits for the flight's slot, and until the slot's time has come. It reports
// whether there is one. SendAttempted is recorded.
func (a *attempt) awaitSlot() bool {
	turn, ok := a.flight.Recorded(a.decided)
	if !ok {
		return false
	}
	tooLate := time.NewTimer(time.Until(a.decided.Add(pace.CallWithin)))
	defer tooLate.Stop()
	select {
	case <-turn:
	case <-tooLate.C:
	case <-a.calling.Done():
	}
	a.slot = a.flight.EndWait()
	return a.slot != nil && retry.Sleep(a.calling, time.Until(a.slot.NotBefore())) == nil
}

// isCurrent reports whether the message is unchanged since SendAttempted was recorded:
// no status showed that an earlier call was accepted, and its recipient was not erased.
// If a response of the message was lost, that is read from the event log, since any
// process may have recorded the status. Otherwise this process knows it.
func (a *attempt) isCurrent(ctx context.Context) bool {
	l := &a.loaded
	latest, known := a.opts.Messages.IsLatest(l)
	lost := slices.ContainsFunc(l.Message.Calls, func(c message.Call) bool { return c.Lost })
	if known && (!latest || !lost) {
		return latest
	}
	ctx, cancel := context.WithDeadline(ctx, a.decided.Add(pace.CallWithin))
	defer cancel()
	stored, err := a.opts.Messages.Load(ctx, l.ID)
	return err == nil && stored.Revision == l.Revision && !stored.Message.Erased()
}

// send makes the call.
func (a *attempt) send(call *message.Call, s sender.Sender) message.CallResult {
	ctx, abandon := context.WithCancel(a.span.ContextWithSpan(a.calling))
	defer abandon()
	a.open.add(a.slot, abandon)
	defer a.open.remove(a.slot)
	m := a.loaded.Message
	to, user := m.To, m.ToUserID
	if call.To != "" {
		to, user = call.To, ""
	}
	return a.opts.Caller.Send(ctx, CallRequest{
		SenderID: s.ID, PhoneNumberID: s.PhoneNumberID, TokenID: s.TokenID,
		To: to, UserID: user, Kind: m.Kind, Content: m.Content, ReplyTo: m.ReplyTo,
		MessageID: a.loaded.ID, Call: call.Number, Written: a.slot.Written,
	})
}

// wasNotMade reports whether a call was surely not written.
func wasNotMade(result message.CallResult) bool {
	switch r := result.(type) {
	case message.NotCalled:
		return true
	case message.Refused:
		return r.Unreachable && r.Failure.HTTPStatus == 0
	}
	return false
}

// record appends the outcome of a call, and retries until it is recorded or ctx ends. It
// applies the outcome to the loaded message.
func (a *attempt) record(ctx context.Context, call int, result message.CallResult) error {
	failing := retry.Backoff{First: recordRetry, Max: maxRecordRetry}
	for known := a.loaded; ; {
		err := a.change(ctx, known, func(m *message.Message) []message.Event {
			return message.FinishCall(*m, call, result, a.opts.Policy, a.opts.Shared.Clock())
		})
		if err == nil {
			return nil
		}
		if failing.Sleep(ctx) != nil {
			return fmt.Errorf("record the outcome of call %d: %w", call, err)
		}
		// The outcome may have been recorded, so the stored events decide what is still to be.
		known = repository.Loaded{ID: a.loaded.ID, Revision: a.loaded.Revision}
	}
}
