// Package egress publishes the events of messages, inbound messages, opt-outs, and alerts to other
// systems, through a broker and over HTTP.
//
// # Invariants
//
//   - The events of one message are published in order, and so are the inbound messages of one
//     conversation. Each is published at least once, under its own ID.
//   - A checkpoint is saved only after the broker has confirmed all events up to it.
//   - One process at a time publishes.
//   - Personal data is published only if the operator enables it.
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

	"github.com/waypost/waypost/app/checkpoint"
	"github.com/waypost/waypost/app/event"
	"github.com/waypost/waypost/app/retry"
)

const (
	// maxBatch is the maximum number of events published between two checkpoints, and so
	// the maximum number published again after a crash.
	maxBatch = 500
	// renewEvery is the time between two attempts to renew or acquire the lease.
	renewEvery = time.Second
	// leaseFor is how long the lease lasts. A process that cannot renew it stops one
	// second before it expires.
	leaseFor = 5 * time.Second
	// The delay before a retry grows from shortestPause to longestPause.
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
	// clockMargin is the maximum difference between the clocks of two processes. After
	// the event log was restored or copied, events that were recorded up to this long
	// before the last published one are published again.
	clockMargin = time.Minute
)

// Broker receives the published events.
type Broker interface {
	// Publish returns nil when the broker has confirmed the messages. It keeps their order.
	Publish(ctx context.Context, topic string, messages ...*wm.Message) error
	// Concurrency returns the number of concurrent calls of Publish that are useful.
	Concurrency() int
	// Kind returns the broker's name for log output.
	Kind() string
}

// CheckpointStore stores the checkpoint of each Publisher, and which process runs it.
type CheckpointStore interface {
	// AcquireLease acquires or renews the lease on a name for owner. It returns false if
	// another process has the lease.
	AcquireLease(ctx context.Context, name string, owner uuid.UUID, lasts time.Duration) (bool, error)
	// Release releases the lease.
	Release(ctx context.Context, name string, owner uuid.UUID) error
	// Load returns the checkpoint, or the zero value if none was saved.
	Load(ctx context.Context, name string) (checkpoint.Checkpoint, error)
	// Save saves the checkpoint. It returns checkpoint.ErrLeaseLost if owner does not have
	// the lease.
	Save(ctx context.Context, name string, owner uuid.UUID, p checkpoint.Checkpoint) error
}

// Start is where publishing begins on the first run. The zero value is the end of the
// event log.
type Start struct {
	// Beginning means the start of the event log.
	Beginning bool
	// After is a position in the event log. Publishing begins after it.
	After event.Position
}

// Options configure a Publisher.
type Options struct {
	Broker Broker
	Topic  string
	Log    event.Log
	LogID  uuid.UUID
	Places CheckpointStore
	// Name is the name of the checkpoint.
	Name string
	// Start is where publishing begins if there is no checkpoint.
	Start Start
	// Batch is the maximum number of events published between two checkpoints. If zero,
	// 500.
	Batch int
	// Personal includes personal data in CloudEvents.
	Personal bool
	// MaxMessage is the maximum size of a CloudEvent in bytes, unlimited if zero. A larger
	// one is published without its personal data.
	MaxMessage int
	// Filter selects the events that are published as CloudEvents. If nil, all are.
	Filter func(event.Recorded) bool
	// Streams are the prefixes of the streams to follow. If empty, the streams of messages,
	// of inbound messages, and of choices about marketing are followed.
	Streams []string
	// Marshal returns the message to publish for an event, and a key. Messages with the
	// same key stay in order. If the message is nil, the event is not published. After an
	// error, Marshal is called again later. If Marshal is nil, the events of these
	// streams are published as CloudEvents.
	Marshal func(ctx context.Context, r event.Recorded) (m *wm.Message, key []byte, err error)
	// ThroughLoss continues by recording time, as on another log, if the event log has
	// become shorter than the checkpoint. Otherwise, nothing is published until the loss
	// is accepted.
	ThroughLoss bool
	// Process is the ID of this process.
	Process uuid.UUID
	// GroupKey is the metadata key from which the broker reads the group whose messages it
	// keeps in order. If empty, the broker needs none.
	GroupKey string
	Logger   *slog.Logger
}

// Publisher publishes events.
type Publisher struct{ opts Options }

// New returns a Publisher.
func New(o Options) *Publisher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Streams) == 0 {
		o.Streams = []string{event.MessageStreams, event.InboundStreams, event.MarketingStreams}
	}
	e := &Publisher{opts: o}
	if o.Marshal == nil {
		e.opts.Marshal = e.cloudEvent
	}
	return e
}

// Run publishes events until ctx ends and returns ctx's error. While another process
// publishes, it waits. It retries while the broker, Postgres, or the event store is
// unavailable.
func (e *Publisher) Run(ctx context.Context) error {
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for ctx.Err() == nil {
		err := e.publishAsLeader(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errStandby):
			retries.Reset()
			_ = retry.Sleep(ctx, renewEvery)
		default:
			e.opts.Logger.WarnContext(ctx, "failed to publish events", "broker", e.opts.Broker.Kind(), "error", err)
			_ = retries.Sleep(ctx)
		}
	}
	return ctx.Err()
}

// errStandby means that another process publishes the events.
var errStandby = errors.New("another process publishes the events")

// publishAsLeader publishes events while this process has the lease. It returns
// errStandby if another process has it.
func (e *Publisher) publishAsLeader(ctx context.Context) error {
	won, err := e.opts.Places.AcquireLease(ctx, e.opts.Name, e.opts.Process, leaseFor)
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

// renew renews the lease until ctx ends or the lease is lost. It returns the reason.
func (e *Publisher) renew(ctx context.Context) error {
	renewed := time.Now()
	for retry.Sleep(ctx, renewEvery) == nil {
		asked := time.Now()
		asking, cancel := context.WithDeadline(ctx, renewed.Add(leaseFor-renewEvery))
		won, err := e.opts.Places.AcquireLease(asking, e.opts.Name, e.opts.Process, leaseFor)
		cancel()
		switch {
		case err == nil && won:
			renewed = asked
		case err == nil:
			return checkpoint.ErrLeaseLost
		case time.Since(renewed) > leaseFor-renewEvery:
			return fmt.Errorf("%w: renew the lease: %w", checkpoint.ErrLeaseLost, err)
		}
	}
	return ctx.Err()
}

// follow publishes the events after the checkpoint, and then new events.
func (e *Publisher) follow(ctx context.Context) error {
	at, skip, err := e.begin(ctx)
	if err != nil {
		return err
	}
	err = e.followFrom(ctx, at, skip)
	var shorter *event.ShorterError
	if errors.As(err, &shorter) && e.opts.ThroughLoss {
		e.opts.Logger.WarnContext(ctx, "the event log is shorter than it was; publishing continues by recording time, and the latest events can be published twice")
		at, skip = e.byTime(at)
		return e.followFrom(ctx, at, skip)
	}
	return err
}

// followFrom publishes the events after a checkpoint, except those recorded before skip.
func (e *Publisher) followFrom(ctx context.Context, at checkpoint.Checkpoint, skip time.Time) error {
	sub := event.Subscription{
		After: at.Position, MaxBatch: cmp.Or(e.opts.Batch, maxBatch), Filter: event.Filter{StreamPrefixes: e.opts.Streams},
		Consumer: "egress " + e.opts.Name,
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

// begin returns the checkpoint to continue from. If it was saved for another log, because
// this one was copied or restored, its position means nothing here. Then begin returns
// the start of this log, and the time before which events are skipped because they were
// published already.
func (e *Publisher) begin(ctx context.Context) (at checkpoint.Checkpoint, skip time.Time, err error) {
	if at, err = e.opts.Places.Load(ctx, e.opts.Name); err != nil {
		return at, skip, err
	}
	logID := e.opts.LogID.String()
	switch {
	case at.LogID == logID:
		return at, skip, nil
	case at.LogID != "":
		e.opts.Logger.WarnContext(ctx, "the event log is a copy or was restored; publishing continues by recording time, and the latest events can be published twice")
		at, skip = e.byTime(at)
		return at, skip, nil
	}
	at = checkpoint.Checkpoint{LogID: logID, Position: e.opts.Start.After}
	if !e.opts.Start.Beginning && e.opts.Start.After == 0 {
		if at.Position, err = e.opts.Log.End(ctx); err != nil {
			return at, skip, err
		}
	}
	return at, skip, e.save(ctx, at)
}

// byTime returns the start of the event log, and the time before which all events were
// published when at was saved.
func (e *Publisher) byTime(at checkpoint.Checkpoint) (from checkpoint.Checkpoint, skip time.Time) {
	return checkpoint.Checkpoint{LogID: e.opts.LogID.String(), RecordedAt: at.RecordedAt}, at.RecordedAt.Add(-clockMargin)
}

// save saves the checkpoint. It retries until it succeeds, the lease is lost, or ctx ends.
func (e *Publisher) save(ctx context.Context, p checkpoint.Checkpoint) error {
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for {
		err := e.opts.Places.Save(ctx, e.opts.Name, e.opts.Process, p)
		if err == nil || errors.Is(err, checkpoint.ErrLeaseLost) {
			return err
		}
		e.opts.Logger.WarnContext(ctx, "failed to save checkpoint, retrying", "error", err)
		if retries.Sleep(ctx) != nil {
			return ctx.Err()
		}
	}
}

// send publishes the events and waits until the broker confirms all of them. Events with
// the same key, such as those of one message or alert, are published one after the
// other, so that they stay in order.
func (e *Publisher) send(ctx context.Context, events []event.Recorded) error {
	ways := make([][]*wm.Message, max(1, e.opts.Broker.Concurrency()))
	for _, r := range events {
		m, key, err := e.opts.Marshal(ctx, r)
		if err != nil {
			return fmt.Errorf("marshal an event of %s: %w", r.Stream, err)
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

// cloudEvent returns the broker's message for an event of a message or an inbound message. An
// event that cannot be encoded is logged and skipped, because retrying would never help. An
// event that is too large for the broker is published without its personal data: what someone
// writes must not stop the events after it.
func (e *Publisher) cloudEvent(ctx context.Context, r event.Recorded) (*wm.Message, []byte, error) {
	of, ok := subjectOf(r)
	if !ok || e.opts.Filter != nil && !e.opts.Filter(r) {
		return nil, nil, nil
	}
	out, body, err := e.encode(r, of.id, e.opts.Personal)
	if limit := e.opts.MaxMessage; err == nil && e.opts.Personal && limit > 0 && len(body) > limit {
		e.opts.Logger.WarnContext(ctx, "event published without its personal data: with it, it is too large for the broker",
			"stream", r.Stream, "revision", uint64(r.Revision), "type", r.Type, "bytes", len(body), "limit", limit)
		out, body, err = e.encode(r, of.id, false)
	}
	if err != nil {
		e.opts.Logger.ErrorContext(ctx, "event skipped: failed to encode it", "stream", r.Stream, "revision", uint64(r.Revision), "type", r.Type, "error", err)
		return nil, nil, nil
	}
	m := wm.NewMessage(out.ID, body)
	m.Metadata = wm.Metadata{"content-type": contentType, "ce-type": out.Type, subjectKey: out.Subject}
	if e.opts.GroupKey != "" {
		m.Metadata[e.opts.GroupKey] = of.group
	}
	return m, []byte(of.order), nil
}

func (e *Publisher) encode(r event.Recorded, subject string, personal bool) (out CloudEvent, body []byte, err error) {
	if out, err = newCloudEvent(e.opts.LogID.String(), r, subject, personal); err == nil {
		body, err = json.Marshal(out)
	}
	return out, body, err
}

// sendUntilConfirmed publishes the messages until the broker confirms all of them or ctx
// ends.
func (e *Publisher) sendUntilConfirmed(ctx context.Context, messages []*wm.Message) {
	retries := retry.Backoff{First: shortestPause, Max: longestPause}
	for {
		err := e.opts.Broker.Publish(ctx, e.opts.Topic, messages...)
		if err == nil || ctx.Err() != nil {
			return
		}
		e.opts.Logger.WarnContext(ctx, "failed to publish events to the broker, retrying", "broker", e.opts.Broker.Kind(), "events", len(messages), "error", err)
		if retries.Sleep(ctx) != nil {
			return
		}
	}
}
