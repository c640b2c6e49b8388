// Package egress tells other systems what becomes of the messages and of alerts, over a
// broker and over HTTP.
//
// Its invariants: events of one message leave in their order; each leaves at least
// once, under its own id; the position is saved only after the broker confirmed all
// up to it; one process at a time does it. What is personal stays unless the
// operator says otherwise.
package egress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/place"
)

const (
	// maxBatch is how many events leave between two savings of the position: after a
	// crash at most that many leave again.
	maxBatch = 500
	// renewEvery is how often the lease is renewed, and tried for.
	renewEvery = time.Second
	// leaseFor is how long it holds. Whoever cannot renew it stops a second before.
	leaseFor = 5 * time.Second
	// A pause grows from shortestPause to longestPause.
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
	// clockMargin is how far clocks of different processes may differ: by so much
	// earlier events leave again after the log was restored or copied.
	clockMargin = time.Minute
)

// Broker is where events go.
type Broker interface {
	// Publish returns nil when the broker has the messages; it keeps their order.
	Publish(ctx context.Context, topic string, messages ...*wm.Message) error
	// Concurrency is how many calls of Publish at once are of use.
	Concurrency() int
	// Kind is the broker's name, for the log.
	Kind() string
}

// Places keeps the place of each egress, and who works on it.
type Places interface {
	// Lease takes or renews the lease on a name for owner; false if another has it.
	Lease(ctx context.Context, name string, owner uuid.UUID, lasts time.Duration) (bool, error)
	// Release gives the lease back.
	Release(ctx context.Context, name string, owner uuid.UUID) error
	// Place is where the work stands; the zero value if it never began.
	Place(ctx context.Context, name string) (place.Place, error)
	// Save moves it. It fails with place.ErrLeaseLost if owner has no lease.
	Save(ctx context.Context, name string, owner uuid.UUID, p place.Place) error
}

// Start says where the first run begins.
type Start struct {
	// Beginning is the start of the log; without it and After it is its end.
	Beginning bool
	// After is a position of the log.
	After event.Position
}

// Options are what the egress is built of.
type Options struct {
	Broker Broker
	Topic  string
	Log    event.Log
	LogID  uuid.UUID
	Places Places
	// Name is that of the place.
	Name string
	// Start is where the first run begins.
	Start Start
	// Batch is how many events leave between two savings of the place, 500 if zero.
	Batch int
	// Personal lets what is personal leave, too.
	Personal bool
	// Wants chooses the events that leave, if it is set.
	Wants func(event.Recorded) bool
	// Streams are the prefixes of the streams that are followed; those of messages if
	// there are none.
	Streams []string
	// Make makes what leaves of an event, and names what keeps an order; nil: it does not
	// leave. On an error it is asked again later. Without Make, events of messages leave
	// as CloudEvents.
	Make func(ctx context.Context, r event.Recorded) (m *wm.Message, key []byte, err error)
	// Process is the id of this process.
	Process uuid.UUID
	// GroupKey is the metadata in which the broker looks for what keeps an order.
	GroupKey string
	Logger   *slog.Logger
}

// Egress sends events out.
type Egress struct{ opts Options }

// New makes an egress.
func New(o Options) *Egress {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Streams) == 0 {
		o.Streams = []string{event.MessageStreams}
	}
	e := &Egress{opts: o}
	if o.Make == nil {
		e.opts.Make = e.cloudEvent
	}
	return e
}

// Run sends events until ctx ends, and answers ctx's error. While another process
// does it, it stands by; a broker, a Postgres and an event store that are away are
// waited for.
func (e *Egress) Run(ctx context.Context) error {
	pause := pauses{}
	for ctx.Err() == nil {
		err := e.lead(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errStandby):
			pause = pauses{}
			wait(ctx, renewEvery)
		default:
			e.opts.Logger.WarnContext(ctx, "events cannot leave", "broker", e.opts.Broker.Kind(), "error", err)
			pause.wait(ctx)
		}
	}
	return ctx.Err()
}

// errStandby says that another process sends the events.
var errStandby = errors.New("another process sends the events")

// lead sends events for as long as this process has the lease.
func (e *Egress) lead(ctx context.Context) error {
	won, err := e.opts.Places.Lease(ctx, e.opts.Name, e.opts.Process, leaseFor)
	if err != nil {
		return err
	}
	if !won {
		return errStandby
	}
	leading, stop := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { stop(e.renew(leading)) })
	err = e.follow(leading)
	if cause := context.Cause(leading); cause != nil {
		err = cause
	}
	stop(context.Canceled)
	renewing.Wait()
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	return errors.Join(err, e.opts.Places.Release(releasing, e.opts.Name, e.opts.Process))
}

// renew keeps the lease until ctx ends or it is lost, and says why it ended.
func (e *Egress) renew(ctx context.Context) error {
	renewed := time.Now()
	for wait(ctx, renewEvery) {
		asked := time.Now()
		asking, cancel := context.WithDeadline(ctx, renewed.Add(leaseFor-renewEvery))
		won, err := e.opts.Places.Lease(asking, e.opts.Name, e.opts.Process, leaseFor)
		cancel()
		switch {
		case err == nil && won:
			renewed = asked
		case err == nil:
			return place.ErrLeaseLost
		case time.Since(renewed) > leaseFor-renewEvery:
			return fmt.Errorf("%w: it could not be renewed: %w", place.ErrLeaseLost, err)
		}
	}
	return ctx.Err()
}

// follow sends what stands behind the place and then what comes.
func (e *Egress) follow(ctx context.Context) error {
	at, skip, err := e.begin(ctx)
	if err != nil {
		return err
	}
	sub := event.Subscription{
		After: at.Position, MaxBatch: cmp.Or(e.opts.Batch, maxBatch), Filter: event.Filter{StreamPrefixes: e.opts.Streams},
	}
	return e.opts.Log.Subscribe(ctx, sub, func(ctx context.Context, b event.Batch) error {
		events := b.Events
		for len(events) > 0 && events[0].Meta.RecordedAt.Before(skip) {
			events = events[1:]
		}
		if err := e.send(ctx, events); err != nil {
			return err
		}
		for _, r := range events {
			if r.Meta.RecordedAt.After(at.RecordedAt) {
				at.RecordedAt = r.Meta.RecordedAt
			}
		}
		at.Position = b.Position
		return e.save(ctx, at)
	})
}

// begin finds the place. On another log than the one it was saved for (a copy, a
// restored one), positions mean nothing, so it goes through that log from its start
// and leaves out what is older than what has left.
func (e *Egress) begin(ctx context.Context) (at place.Place, skip time.Time, err error) {
	if at, err = e.opts.Places.Place(ctx, e.opts.Name); err != nil {
		return at, skip, err
	}
	logID := e.opts.LogID.String()
	switch {
	case at.LogID == logID:
		return at, skip, nil
	case at.LogID != "":
		e.opts.Logger.WarnContext(ctx, "the log is another one, a copy or restored: events go on by their time, and the latest may leave twice")
		return place.Place{LogID: logID, RecordedAt: at.RecordedAt}, at.RecordedAt.Add(-clockMargin), nil
	}
	at = place.Place{LogID: logID, Position: e.opts.Start.After}
	if !e.opts.Start.Beginning && e.opts.Start.After == 0 {
		if at.Position, err = e.opts.Log.End(ctx); err != nil {
			return at, skip, err
		}
	}
	return at, skip, e.save(ctx, at)
}

// save saves the place, for as long as ctx lasts.
func (e *Egress) save(ctx context.Context, p place.Place) error {
	pause := pauses{}
	for {
		err := e.opts.Places.Save(ctx, e.opts.Name, e.opts.Process, p)
		if err == nil || errors.Is(err, place.ErrLeaseLost) {
			return err
		}
		e.opts.Logger.WarnContext(ctx, "the place of the events cannot be saved", "error", err)
		if !pause.wait(ctx) {
			return ctx.Err()
		}
	}
}

// send has the broker confirm all of the events. Those of one message, or of one alert,
// go one way, so that they keep their order.
func (e *Egress) send(ctx context.Context, events []event.Recorded) error {
	ways := make([][]*wm.Message, max(1, e.opts.Broker.Concurrency()))
	for _, r := range events {
		m, key, err := e.opts.Make(ctx, r)
		if err != nil {
			return fmt.Errorf("make what leaves of %s: %w", r.Stream, err)
		}
		if m != nil {
			h := fnv.New32a()
			_, _ = h.Write(key)
			way := h.Sum32() % uint32(len(ways))
			ways[way] = append(ways[way], m)
		}
	}
	var sending sync.WaitGroup
	for _, messages := range ways {
		if len(messages) > 0 {
			sending.Go(func() { e.sendUntilConfirmed(ctx, messages) })
		}
	}
	sending.Wait()
	return ctx.Err()
}

// cloudEvent is the broker's message of an event of a message. One that cannot be read is
// logged and left out: it would be so for ever.
func (e *Egress) cloudEvent(ctx context.Context, r event.Recorded) (*wm.Message, []byte, error) {
	id, isMessage := event.MessageOf(r.Stream)
	if !isMessage || e.opts.Wants != nil && !e.opts.Wants(r) {
		return nil, nil, nil
	}
	out, err := newCloudEvent(e.opts.LogID.String(), r, id.String(), e.opts.Personal)
	var body []byte
	if err == nil {
		body, err = json.Marshal(out)
	}
	if err != nil {
		e.opts.Logger.ErrorContext(ctx, "an event cannot leave", "stream", r.Stream, "revision", uint64(r.Revision), "type", r.Type, "error", err)
		return nil, nil, nil
	}
	m := wm.NewMessage(out.ID, body)
	m.Metadata = wm.Metadata{"content-type": contentType, "ce-type": out.Type, subjectKey: out.Subject}
	if e.opts.GroupKey != "" {
		m.Metadata[e.opts.GroupKey] = out.Subject
	}
	return m, id[:], nil
}

// sendUntilConfirmed repeats the messages until the broker has them all or ctx ends.
func (e *Egress) sendUntilConfirmed(ctx context.Context, messages []*wm.Message) {
	pause := pauses{}
	for {
		err := e.opts.Broker.Publish(ctx, e.opts.Topic, messages...)
		if err == nil || ctx.Err() != nil {
			return
		}
		e.opts.Logger.WarnContext(ctx, "events wait for the broker", "broker", e.opts.Broker.Kind(), "events", len(messages), "error", err)
		if !pause.wait(ctx) {
			return
		}
	}
}

// pauses grow with each one.
type pauses struct{ last time.Duration }

// wait waits for the next pause; false if ctx ended before.
func (p *pauses) wait(ctx context.Context) bool {
	p.last = min(max(2*p.last, shortestPause), longestPause)
	return wait(ctx, p.last)
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
