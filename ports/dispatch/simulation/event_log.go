package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/domain/campaign"
	"github.com/waypost/waypost/domain/conversation"
	"github.com/waypost/waypost/domain/message"
	"github.com/waypost/waypost/domain/sender"
)

// errDead is the error of every request of a process that has crashed.
var errDead = errors.New("the process is dead")

// positionGap is the distance between the positions of two events: positions have gaps.
const positionGap = 7

// eventLog is the event log as one process uses it.
type eventLog struct{ p *process }

// transit returns how long a request to a store, or its response, is in transit.
func (p *process) transit(d *dice) time.Duration {
	if p.w.faulty() && d.chance(p.w.plan.faults.slow) {
		return d.between(50*time.Millisecond, 2*time.Second)
	}
	return d.between(50*time.Microsecond, 2*time.Millisecond)
}

// Append records events at the expected revision. A request that was sent arrives, whatever
// happens to the process that sent it.
func (l eventLog) Append(ctx context.Context, stream string, expected event.Expected, events ...event.Proposed) (event.Appended, error) {
	p, w := l.p, l.p.w
	if err := p.alive(ctx); err != nil {
		return event.Appended{}, err
	}
	d := w.dice("append", hash(stream)^uint64(p.number))
	w.step(p.transit(d))
	done, err := w.arrive(p, d, stream, expected, events)
	if err := w.stepWith(ctx, p.transit(d)); err != nil {
		return event.Appended{}, fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	if err := p.alive(ctx); err != nil {
		return event.Appended{}, err
	}
	return done, err
}

// arrive processes an append on the store's side.
func (w *world) arrive(p *process, d *dice, stream string, expected event.Expected, events []event.Proposed) (event.Appended, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &w.plan.faults
	lost, refused, unknown := d.chance(0.5), d.chance(f.appendRefused), d.chance(f.appendUnknown)
	if !w.faulty() {
		refused, unknown = false, false
	}
	if p.dead && lost {
		return event.Appended{}, errDead
	}
	if refused || within(f.storeAway, w.now()) {
		return event.Appended{}, fmt.Errorf("append to %s: %w", stream, event.ErrUnavailable)
	}
	done, err := w.append(p, stream, expected, events)
	if err == nil && unknown {
		return event.Appended{}, fmt.Errorf("append to %s: %w", stream, event.ErrUnavailable)
	}
	return done, err
}

// append is what an append does if it succeeds. The caller must hold w.mu.
func (w *world) append(p *process, name string, expected event.Expected, events []event.Proposed) (event.Appended, error) {
	s := w.streams[name]
	if s == nil {
		s = &stream{}
	}
	at := len(s.events) // where the events are stored
	if r, exact := expected.Revision(); exact {
		at = int(r) + 1
	} else if expected.IsNoStream() {
		at = 0
	}
	if w.defect == DefectNoRevisions {
		at = len(s.events)
	}
	if at != len(s.events) {
		if repeats(s.events, at, events) {
			last := s.events[at+len(events)-1]
			return event.Appended{Revision: last.Revision, Position: last.Position}, nil
		}
		return event.Appended{}, &event.WrongRevisionError{Stream: name, Expected: expected}
	}
	if expected.IsAny() && w.known(s, events) {
		last := s.events[len(s.events)-1]
		return event.Appended{Revision: last.Revision, Position: last.Position}, nil
	}
	w.streams[name] = s
	if w.defect == DefectForgetfulStore && at > 0 && hash(name)%3 == 0 {
		return event.Appended{Revision: event.Revision(at), Position: event.Position((len(w.events) + 1) * positionGap)}, nil
	}
	for _, n := range events {
		r := event.Recorded{
			ID: n.ID, Stream: name, Revision: event.Revision(len(s.events)), Position: event.Position((len(w.events) + 1) * positionGap),
			Type: n.Event.EventType(), Event: n.Event, Meta: n.Meta,
		}
		w.watch.recorded(w, p, s, r)
		w.store(s, r)
	}
	close(w.appended)
	w.appended = make(chan struct{})
	last := s.events[len(s.events)-1]
	return event.Appended{Revision: last.Revision, Position: last.Position}, nil
}

// store adds an event to its stream and its fold, to the statistics, and to the digest. The
// caller must hold w.mu.
func (w *world) store(s *stream, r event.Recorded) {
	s.events = append(s.events, r)
	s.at = append(s.at, w.now())
	w.events = append(w.events, r)
	w.stats.Events++
	switch {
	case strings.HasPrefix(r.Stream, event.MessageStreams):
		was, awaited := s.message.Status.Open(), awaitsDelivery(s.message)
		s.message = s.message.Apply(message.Record{Event: r.Event, At: r.Meta.RecordedAt})
		w.open += count(s.message.Status.Open()) - count(was)
		w.awaited += count(awaitsDelivery(s.message)) - count(awaited)
	case strings.HasPrefix(r.Stream, event.SenderStreams):
		s.sender = s.sender.Apply(sender.Record{Event: r.Event, At: r.Meta.RecordedAt, By: r.Meta.Actor()})
	}
	switch e := r.Event.(type) {
	case message.OutcomeUnknown:
		w.stats.Lost++
	case message.Failed:
		w.stats.Refused++
	case message.Deferred:
		w.stats.Refused += count(e.Reason != message.DeferNotCalled)
		w.stats.NotCalled += count(e.Reason == message.DeferNotCalled)
	case message.DeadLettered:
		w.stats.DeadLetters++
	case message.DeliveryOverdue:
		w.stats.Overdue++
	}
	w.note(r.Stream+" "+r.Type, uint64(r.Position), uint64(r.Meta.RecordedAt.UnixNano()))
}

// awaitsDelivery reports whether a message's delivery can become overdue.
func awaitsDelivery(m message.Message) bool {
	return m.Status == message.StatusSent && !m.DueAt.IsZero()
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// repeats reports whether the same events are already stored at that place.
func repeats(have []event.Recorded, at int, events []event.Proposed) bool {
	if at > len(have) || at+len(events) > len(have) {
		return false
	}
	for i, n := range events {
		if have[at+i].ID != n.ID {
			return false
		}
	}
	return true
}

// known reports whether all of the events are already stored in the stream, at any place.
func (w *world) known(s *stream, events []event.Proposed) bool {
	for _, n := range events {
		if !slices.ContainsFunc(s.events, func(r event.Recorded) bool { return r.ID == n.ID }) {
			return false
		}
	}
	return len(events) > 0
}

// Read reads a stream forward.
func (l eventLog) Read(ctx context.Context, name string, from event.Revision, limit int) ([]event.Recorded, error) {
	events, err := l.read(ctx, name)
	if err != nil || int(from) >= len(events) {
		return nil, err
	}
	return events[from:min(len(events), int(from)+limit)], nil
}

// ReadBackwards reads a stream backward from its end.
func (l eventLog) ReadBackwards(ctx context.Context, name string, limit int) ([]event.Recorded, error) {
	events, err := l.read(ctx, name)
	if err != nil {
		return nil, err
	}
	events = slices.Clone(events[max(0, len(events)-limit):])
	slices.Reverse(events)
	return events, nil
}

func (l eventLog) read(ctx context.Context, name string) ([]event.Recorded, error) {
	p, w := l.p, l.p.w
	if err := p.alive(ctx); err != nil {
		return nil, err
	}
	d := w.dice("read", hash(name)^uint64(p.number))
	if err := w.stepWith(ctx, p.transit(d)); err != nil {
		return nil, fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	w.mu.Lock()
	away := within(w.plan.faults.storeAway, w.now())
	var events []event.Recorded
	if s := w.streams[name]; s != nil {
		events = s.events[:len(s.events):len(s.events)]
	}
	w.mu.Unlock()
	if away {
		return nil, fmt.Errorf("read %s: %w", name, event.ErrUnavailable)
	}
	if err := w.stepWith(ctx, p.transit(d)); err != nil {
		return nil, fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	return events, p.alive(ctx)
}

// Subscribe delivers the events of some types, or of some streams, in order until ctx ends.
func (l eventLog) Subscribe(ctx context.Context, sub event.Subscription, handle func(context.Context, event.Batch) error) error {
	p, w := l.p, l.p.w
	next := 0
	for {
		w.mu.Lock()
		appended := w.appended
		var batch event.Batch
		for ; next < len(w.events); next++ {
			r := w.events[next]
			batch.Position = r.Position
			if _, choice := r.Event.(conversation.OptedOut); choice && w.defect == DefectDeafToOptOuts {
				continue
			}
			if _, pause := r.Event.(campaign.CampaignPaused); pause && w.defect == DefectDeafToCampaigns {
				continue
			}
			if r.Position > sub.After && (slices.Contains(sub.Filter.Types, r.Type) || slices.Contains(sub.Filter.StreamPrefixes, r.Stream)) {
				batch.Events = append(batch.Events, r)
			}
		}
		batch.Live = true
		w.mu.Unlock()
		if len(batch.Events) > 0 {
			d := w.dice("subscription", uint64(p.number))
			if err := w.stepWith(ctx, p.transit(d)); err != nil {
				return err
			}
			if err := handle(ctx, batch); err != nil {
				return err
			}
			continue
		}
		select {
		case <-appended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// End returns the position of the last event.
func (l eventLog) End(ctx context.Context) (event.Position, error) {
	l.p.w.mu.Lock()
	defer l.p.w.mu.Unlock()
	return event.Position(len(l.p.w.events) * positionGap), ctx.Err()
}

// Ping returns an error if the store is unavailable.
func (l eventLog) Ping(ctx context.Context) error {
	p, w := l.p, l.p.w
	if err := p.alive(ctx); err != nil {
		return err
	}
	if err := w.stepWith(ctx, p.transit(w.dice("ping", uint64(p.number)))); err != nil {
		return err
	}
	if within(w.plan.faults.storeAway, w.now()) {
		return event.ErrUnavailable
	}
	return nil
}

// messageStream returns a message's stream, or nil if it has no events.
func (w *world) messageStream(id uuid.UUID) *stream { return w.streams[event.MessageStream(id)] }
