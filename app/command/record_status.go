package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// RecordReports records statuses of one message in one append and answers the
// indexes of those that fit none of its calls. The order of the reports does
// not matter, and one that stands already adds nothing. A message of which
// nothing is recorded is domain.NotFound.
func (s *Messages) RecordReports(ctx context.Context, id uuid.UUID, cause Cause, reports []message.Report) (unmatched []int, err error) {
	l, cached := s.cache.get(id)
	var span trace.Span
	defer func() { span.End() }()
	for range maxConflicts {
		if !cached {
			if l, err = s.load(ctx, id); err != nil {
				return nil, err
			}
		}
		events, unmatched := decideReports(l.Message, reports, s.clock())
		if len(unmatched) > 0 && cached {
			cached = false // the call may have been made by another process since: ask the log
			continue
		}
		if len(events) == 0 {
			return unmatched, nil
		}
		if !span.On() {
			span = s.traceStatuses(ctx, l, events)
			cause.Traceparent = span.Traceparent()
		}
		err := s.Append(ctx, &l, cause, events...)
		var wrong *event.WrongRevisionError
		switch {
		case err == nil:
			return unmatched, nil
		case !errors.As(err, &wrong):
			span.Fail("the log did not take it")
			return nil, err
		}
		cached = false
	}
	return nil, domain.Unavailable("message %s is being changed by too many at once; try again", id)
}

// traceStatuses begins the span of statuses, in the message's trace: they come of its
// call, whatever request of WhatsApp brought them beside those of other messages.
func (s *Messages) traceStatuses(ctx context.Context, l Loaded, events []message.Event) trace.Span {
	_, span := s.trace.Begin(ctx, trace.Start{
		Kind: trace.Consumer, Name: "record status", Parent: l.Traceparent, Root: l.Traceparent == "",
	})
	if span.On() {
		types := make([]string, len(events))
		for i, e := range events {
			types[i] = e.EventType()
		}
		span.Text("waypost.message.id", l.ID.String())
		span.Text("waypost.sender.id", l.Message.Sender)
		span.Text("waypost.events", strings.Join(types, ","))
	}
	return span
}

// decideReports decides on all of the reports as if they came one after the other.
func decideReports(m message.Message, reports []message.Report, now time.Time) (events []message.Event, unmatched []int) {
	for _, i := range reportOrder(reports) {
		r := reports[i]
		if r.At.IsZero() {
			r.At = now
		}
		decided, fits := message.RecordReport(m, r)
		if !fits {
			unmatched = append(unmatched, i)
			continue
		}
		for _, e := range decided {
			m = m.With(message.Record{Event: e, At: now})
		}
		events = append(events, decided...)
	}
	return events, unmatched
}

// reportOrder is the order in which reports are decided on: that in which they
// happen to a message, so that a shuffled delivery records what an orderly one
// does. A failure comes last: what was delivered stays delivered.
func reportOrder(reports []message.Report) []int {
	rank := func(k message.StatusKind) int {
		return slices.Index([]message.StatusKind{
			message.ReportSent, message.ReportDelivered, message.ReportRead, message.ReportFailed,
		}, k)
	}
	order := make([]int, len(reports))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := reports[i], reports[j]
		return cmp.Or(cmp.Compare(a.Call, b.Call), cmp.Compare(a.WhatsAppID, b.WhatsAppID),
			cmp.Compare(rank(a.Kind), rank(b.Kind)), a.At.Compare(b.At))
	})
	return order
}

// senderOf is the sender of a message, without a read when it is at hand: it
// never changes.
func (s *Messages) senderOf(ctx context.Context, id uuid.UUID) (string, error) {
	if l, ok := s.cache.get(id); ok {
		return l.Message.Sender, nil
	}
	l, err := s.load(ctx, id)
	if err != nil {
		return "", fmt.Errorf("find the sender of a message: %w", err)
	}
	return l.Message.Sender, nil
}
