package command

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/repository"
	"github.com/waypost/waypost/app/trace"
	"github.com/waypost/waypost/domain"
	"github.com/waypost/waypost/domain/message"
)

// Reports records statuses on the messages that they belong to. A status belongs to a
// message only if it was sent for the phone number of the message's sender.
type Reports struct {
	messages *Messages
	senders  *Senders
}

// NewReports returns the use case.
func NewReports(messages *Messages, senders *Senders) *Reports {
	return &Reports{messages: messages, senders: senders}
}

// Record records statuses on a message and returns the indexes of those that do not
// belong to it: their phone number is another sender's, they fit none of the message's
// calls, or the message does not exist. numbers are the phone number IDs of the statuses.
func (s *Reports) Record(
	ctx context.Context, id uuid.UUID, cause event.Cause, reports []message.StatusUpdate, numbers []string,
) (unmatched []int, err error) {
	number, err := s.numberOf(ctx, id)
	if err != nil {
		return nil, err
	}
	var ours []message.StatusUpdate
	var indexes []int
	for i, r := range reports {
		if numbers[i] != number || number == "" {
			unmatched = append(unmatched, i)
			continue
		}
		ours, indexes = append(ours, r), append(indexes, i)
	}
	if len(ours) == 0 {
		return unmatched, nil
	}
	unfit, err := s.messages.RecordReports(ctx, id, cause, ours)
	for _, i := range unfit {
		unmatched = append(unmatched, indexes[i])
	}
	return unmatched, err
}

// numberOf returns the phone number ID of a message's sender, or "" if the message does
// not exist.
func (s *Reports) numberOf(ctx context.Context, id uuid.UUID) (string, error) {
	senderID, err := s.messages.LoadSender(ctx, id)
	if err == nil {
		owner, err := s.senders.Load(ctx, senderID)
		if err == nil || domain.CodeOf(err) != domain.CodeNotFound {
			return owner.PhoneNumberID, err
		}
		return "", nil
	}
	if domain.CodeOf(err) == domain.CodeNotFound {
		return "", nil
	}
	return "", err
}

// errStale makes Execute load the message again. Only a decision on a cached message
// returns it.
var errStale = errors.New("the cached message is outdated")

// RecordReports records the statuses of one message in one append and returns the indexes
// of those that fit none of its calls. The order of the statuses doesn't matter, and
// recording one again adds nothing. RecordReports returns domain.NotFound if nothing is
// recorded of the message.
func (s *Messages) RecordReports(ctx context.Context, id uuid.UUID, cause event.Cause, reports []message.StatusUpdate) (unmatched []int, err error) {
	var span trace.Span
	defer func() { span.End() }()
	_, err = repository.Execute(ctx, s.Stream(id, &cause), func(l repository.Loaded) (events []message.Event, err error) {
		events, unmatched = decideReports(l.Message, reports, s.clock())
		if len(unmatched) > 0 && l.Cached() {
			return nil, errStale // another process can have made the call since
		}
		if len(events) > 0 && !span.IsRecording() {
			span = s.traceStatuses(ctx, &l, events)
			cause.Traceparent = span.Traceparent()
		}
		return events, nil
	})
	if err != nil {
		span.SetError("the event log did not accept the statuses")
		return nil, err
	}
	return unmatched, nil
}

// traceStatuses starts the span of statuses in the message's trace. Statuses follow from
// the message's call, even though one request of WhatsApp can also bring statuses of other
// messages.
func (s *Messages) traceStatuses(ctx context.Context, l *repository.Loaded, events []message.Event) trace.Span {
	_, span := s.trace.Begin(ctx, trace.Start{
		Kind: trace.Consumer, Name: "record status", Parent: l.Traceparent, Root: l.Traceparent == "",
	})
	if span.IsRecording() {
		types := make([]string, len(events))
		for i, e := range events {
			types[i] = e.EventType()
		}
		span.SetString("waypost.message.id", l.ID.String())
		span.SetString("waypost.sender.id", l.Message.Sender)
		span.SetString("waypost.events", strings.Join(types, ","))
	}
	return span
}

// decideReports decides on all of the reports as if they were received one by one.
func decideReports(known *message.Message, reports []message.StatusUpdate, now time.Time) (events []message.Event, unmatched []int) {
	m := *known
	for _, i := range reportOrder(reports) {
		r := reports[i]
		if r.At.IsZero() {
			r.At = now
		}
		decided, fits := message.RecordStatusUpdate(m, r)
		if !fits {
			unmatched = append(unmatched, i)
			continue
		}
		for _, e := range decided {
			m = m.Apply(message.Record{Event: e, At: now})
		}
		events = append(events, decided...)
	}
	return events, unmatched
}

// reportOrder returns the indexes of reports in the order to decide on them: the order in
// which they happen to a message. A shuffled delivery then records the same events as an
// ordered one. A failure is last, because a delivered message stays delivered.
func reportOrder(reports []message.StatusUpdate) []int {
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
