package attempt

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain/message"
)

// log writes the log line of a call.
func (a *attempt) log(
	ctx context.Context, call *message.Call, result message.CallResult, err error, appended, called time.Duration,
) {
	l := &a.loaded
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("message", l.ID.String()), slog.String("sender", l.Message.Sender),
		slog.Int("call", call.Number), slog.Int("attempt", call.Attempt), slog.Bool("probe", call.Probe),
		slog.String("status", string(l.Message.Status)),
		slog.Time("written", a.slot.WrittenAt()), slog.Duration("append", appended), slog.Duration("duration", called),
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
	a.opts.Logger.LogAttrs(ctx, level, "call", attrs...)
}

// startSpan starts the span of a call and of the events before and after it. It
// continues the trace in which the message was queued or last called.
func (a *attempt) startSpan(ctx context.Context) trace.Span {
	l := &a.loaded
	_, span := a.opts.Trace.Begin(ctx, trace.Start{
		Kind: trace.Consumer, Name: "send message", Parent: l.Traceparent, Root: l.Traceparent == "",
	})
	if span.IsRecording() {
		span.SetString("waypost.message.id", l.ID.String())
		span.SetString("waypost.sender.id", l.Message.Sender)
		span.SetString("waypost.message.type", string(l.Message.Kind))
		span.SetString("waypost.priority", string(l.Message.Priority))
	}
	return span
}

// traceOutcome adds the contents of the call's log line to the span.
func (a *attempt) traceOutcome(call *message.Call, result message.CallResult, err error) {
	span := a.span
	span.SetInt("waypost.call", call.Number)
	span.SetInt("waypost.attempt", call.Attempt)
	switch r := result.(type) {
	case message.Accepted:
		span.SetString("waypost.outcome", "accepted")
	case message.Refused:
		span.SetString("waypost.outcome", "refused")
		span.SetString("waypost.failure.class", string(r.Failure.Class))
		span.SetString("waypost.failure.category", string(r.Failure.Category))
		if r.Failure.Code != nil {
			span.SetInt("waypost.failure.code", *r.Failure.Code)
		}
		span.SetError("refused")
	case message.Lost:
		span.SetString("waypost.outcome", "lost")
		span.SetError(r.Cause)
	case message.NotCalled:
		span.SetString("waypost.outcome", "not called")
	}
	if err != nil {
		span.SetError("the outcome was not recorded")
	}
}
