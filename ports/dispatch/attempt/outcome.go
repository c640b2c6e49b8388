package attempt

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
	"github.com/waypost/waypost/domain/template"
	"github.com/waypost/waypost/ports/dispatch/guard"
	"github.com/waypost/waypost/ports/dispatch/pace"
)

// applyResult applies the outcome of a call to the state of its lane and its scopes,
// and returns what to record. If hold is not nil, it must also be recorded that the
// sender s, which made the call, is held because of that failure.
func (a *attempt) applyResult(
	ctx context.Context, s sender.Sender, result message.CallResult,
) (outcome message.CallResult, hold *message.Failure) {
	f, now := a.flight, a.opts.Shared.Clock()
	switch r := result.(type) {
	case message.Accepted:
		f.Responded()
		if f.TemplateAccepted() {
			a.opts.Logger.InfoContext(ctx, "the template is accepted again",
				slog.String("sender", s.ID), slog.String("template", f.Item().Template))
		}
	case message.Lost:
		if a.calling.Err() == nil {
			f.Fault(now, "response lost: "+r.Cause)
		}
	case message.Refused:
		return a.applyRefusal(ctx, s, r, now)
	}
	return result, nil
}

// applyRefusal is applyResult for a call that WhatsApp refused or that didn't reach it.
func (a *attempt) applyRefusal(
	ctx context.Context, s sender.Sender, r message.Refused, now time.Time,
) (outcome message.CallResult, hold *message.Failure) {
	f, m := a.flight, a.loaded.Message
	if r.Unreachable && r.Failure.Class == message.ClassTransient {
		probeAt := f.Fault(now, r.Failure.Message)
		if f.Probes() {
			return message.Postponed{Reason: message.DeferProbeFailed, Code: r.Failure.Code, DueAt: probeAt}, nil
		}
		return r, nil
	}
	f.Responded()
	if a.opts.Guard.Refused(ctx, a.verdict, r.Failure) {
		return message.Postponed{Reason: message.DeferMessagingLimit, Code: r.Failure.Code, DueAt: now.Add(guard.WaitForLimit)}, nil
	}
	if m.Template != "" && r.Failure.Code != nil && a.opts.HoldsTemplate(*r.Failure.Code) {
		return a.holdTemplate(ctx, r, now), nil
	}
	switch r.Failure.Class {
	case message.ClassThrottled:
		return a.throttle(r, now), nil
	case message.ClassSender:
		postponed := message.Postponed{Reason: message.DeferSenderHeld, Code: r.Failure.Code, DueAt: now}
		if f.Lane().Stop(s.TokenID, now) {
			return postponed, &r.Failure
		}
		return postponed, nil
	case message.ClassTransient, message.ClassPermanent:
	}
	return r, nil
}

// holdTemplate holds back the messages of a template that WhatsApp does not accept for
// now. The sender continues with the others.
func (a *attempt) holdTemplate(ctx context.Context, r message.Refused, now time.Time) message.CallResult {
	m := a.loaded.Message
	until, began := a.flight.TemplateRefused(now, retryAfter(r))
	if began {
		a.opts.Logger.WarnContext(ctx, "WhatsApp does not accept the template; its messages wait",
			slog.String("sender", m.Sender), slog.String("template", a.flight.Item().Template), slog.Int("code", *r.Failure.Code))
	}
	return message.Postponed{Reason: message.DeferTemplateHeld, Code: r.Failure.Code, DueAt: until}
}

// throttle slows down the scope of a throttle. The message waits with it, until it has
// been throttled too often.
func (a *attempt) throttle(r message.Refused, now time.Time) message.CallResult {
	m, l := a.loaded.Message, a.flight.Lane()
	postponed := message.Postponed{Reason: message.DeferThrottled, Scope: r.Scope, Code: r.Failure.Code}
	if r.Scope == message.ScopePair {
		postponed.Reason = message.DeferPair
		postponed.DueAt = a.flight.PairThrottled(now, retryAfter(r))
	} else {
		scope := pace.ScopeOf(r.Scope, l.Sender())
		postponed.DueAt = a.opts.Shared.Throttles.Hit(scope, now, retryAfter(r))
		a.slowDown(scope, postponed.DueAt.Sub(now))
	}
	if m.Throttles >= a.opts.Policy.ThrottleLimit {
		return r
	}
	return postponed
}

// slowDown lowers the rates of the lanes in a scope, for the time after the throttle.
func (a *attempt) slowDown(scope pace.Scope, wait time.Duration) {
	now := time.Now()
	if scope.Reach == message.ScopeNumber {
		a.flight.Refused(now, now.Add(wait))
		return
	}
	for _, l := range a.opts.Lanes.All() {
		l.SlowDown(scope, now, now.Add(wait))
	}
}

func retryAfter(r message.Refused) time.Duration {
	return time.Duration(r.RetryAfterSeconds) * time.Second
}

// postponed returns the result of a call that was not made because its campaign was paused, or its
// template was reported as paused, in the meantime. It returns every other result unchanged.
func (a *attempt) postponed(result message.CallResult) message.CallResult {
	_, not := result.(message.NotCalled)
	switch {
	case not && a.paused():
		return message.Postponed{Reason: message.DeferCampaignPaused, DueAt: a.opts.Shared.Clock()}
	case not && a.flight.Template() == template.Waiting:
		return message.Postponed{Reason: message.DeferTemplateHeld, DueAt: a.opts.Shared.Clock()}
	}
	return result
}

// unsendableTemplate is the failure of a message whose template WhatsApp will never accept.
func unsendableTemplate(key string) message.Failure {
	return message.Failure{
		Category: message.CategoryTemplate, Class: message.ClassPermanent,
		Message: "WhatsApp rejected or deleted the template " + key,
		Advice:  "Queue the message with another template, or correct the template and queue the message again when WhatsApp has approved it.",
	}
}
