package eventstore

import (
	"context"
	"sync/atomic"

	"github.com/waypost/waypost/app/event"
)

// Usage counts what a Log has asked of its store since it was opened. Calls that a client
// repeats count once.
type Usage struct {
	// Appends are calls, also those that the store rejected, and Appended their events.
	Appends, Appended uint64
	// Reads are calls, those for the end of the log included, and ReadEvents the events
	// that they returned.
	Reads, ReadEvents uint64
	// Subscriptions are those opened in the store, and Delivered the events that they
	// received.
	Subscriptions, Delivered uint64
	// Decoded are events that were decoded: those read, and those delivered, once for each
	// consumer that wants them.
	Decoded uint64
}

// Usage returns what the Log has asked of its store.
func (l *Log) Usage() Usage {
	m := l.backend.meter
	return Usage{
		Appends: m.appends.Load(), Appended: m.appended.Load(), Reads: m.reads.Load(), ReadEvents: m.readEvents.Load(),
		Subscriptions: m.subscriptions.Load(), Delivered: m.delivered.Load(), Decoded: m.decoded.Load(),
	}
}

type meter struct {
	appends, appended, reads, readEvents, subscriptions, delivered, decoded atomic.Uint64
}

// metered counts the calls of a backend.
type metered struct {
	backend

	meter *meter
}

func newMetered(b backend) metered { return metered{b, new(meter)} }

func (m metered) append(ctx context.Context, stream string, expected event.Expected, events []proposal) (event.Appended, error) {
	m.meter.appends.Add(1)
	m.meter.appended.Add(uint64(len(events)))
	return m.backend.append(ctx, stream, expected, events)
}

func (m metered) read(ctx context.Context, stream string, from event.Revision, limit int) ([]record, error) {
	found, err := m.backend.read(ctx, stream, from, limit)
	return m.countRead(found), err
}

func (m metered) readBackwards(ctx context.Context, stream string, limit int) ([]record, error) {
	found, err := m.backend.readBackwards(ctx, stream, limit)
	return m.countRead(found), err
}

func (m metered) readAllBackwards(ctx context.Context, before event.Position, limit int) ([]record, error) {
	found, err := m.backend.readAllBackwards(ctx, before, limit)
	return m.countRead(found), err
}

func (m metered) countRead(found []record) []record {
	m.meter.reads.Add(1)
	m.meter.readEvents.Add(uint64(len(found)))
	return found
}

func (m metered) end(ctx context.Context) (event.Position, error) {
	m.meter.reads.Add(1)
	return m.backend.end(ctx)
}

func (m metered) ping(ctx context.Context) error {
	m.meter.reads.Add(1)
	return m.backend.ping(ctx)
}

func (m metered) subscribe(ctx context.Context, after event.Position, filter event.Filter, receive func(notice) error) error {
	m.meter.subscriptions.Add(1)
	return m.backend.subscribe(ctx, after, filter, func(n notice) error {
		if n.event != nil {
			m.meter.delivered.Add(1)
		}
		return receive(n)
	})
}
